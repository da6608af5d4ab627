/* SPDX-License-Identifier: MIT */
#include "base/text_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int text_list_add(struct text_list *list, const char *text)
{
	char **texts = reallocarray(list->texts, list->count + 1, sizeof(*texts));
	char *copy;

	if (texts == NULL)
		return -ENOMEM;
	list->texts = texts;
	copy = strdup(text);
	if (copy == NULL)
		return -ENOMEM;
	texts[list->count++] = copy;
	return 0;
}

bool text_list_equal(const struct text_list *a, const struct text_list *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (strcmp(a->texts[i], b->texts[i]) != 0)
			return false;
	}
	return true;
}

void text_list_finish(struct text_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->texts[i]);
	free(list->texts);
	*list = (struct text_list){0};
}
