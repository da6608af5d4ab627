/* SPDX-License-Identifier: MIT */
/* UTF-8 text that has to be cut. */
#ifndef MMPROXY_BASE_UTF8_H
#define MMPROXY_BASE_UTF8_H

#include <stddef.h>
#include <string.h>

/* How many bytes of the text to keep when there is room for `most`: no character is cut in two. */
static inline size_t utf8_cut(const char *text, size_t most)
{
	size_t length = strnlen(text, most + 1);

	if (length <= most)
		return length;
	/* Back over what only goes on with a character. */
	while (most > 0 && ((unsigned char)text[most] & 0xc0) == 0x80)
		most--;
	return most;
}

#endif
