/* SPDX-License-Identifier: MIT */
/* Text that may be missing. */
#ifndef MMPROXY_BASE_TEXT_H
#define MMPROXY_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* NULL is equal to NULL alone. */
static inline bool text_equal(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

#endif
