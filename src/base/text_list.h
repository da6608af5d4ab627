/* SPDX-License-Identifier: MIT */
/* Texts in the order they were added. All zero is an empty list. */
#ifndef MMPROXY_BASE_TEXT_LIST_H
#define MMPROXY_BASE_TEXT_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct text_list {
	char **texts;
	size_t count;
};

/* Adds a copy. Returns 0 or -ENOMEM. */
int text_list_add(struct text_list *list, const char *text);

/* The same texts in the same order? */
bool text_list_equal(const struct text_list *a, const struct text_list *b);

/* Leaves it empty. */
void text_list_finish(struct text_list *list);

#endif
