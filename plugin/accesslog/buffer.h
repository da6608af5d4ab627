/* SPDX-License-Identifier: MIT */
/* Appending to a buffer of fixed size. One that was too small stays full: nothing is cut. */
#ifndef ACCESSLOG_BUFFER_H
#define ACCESSLOG_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct buffer {
	char *bytes;
	size_t size;
	size_t length;
	bool full; /* something did not fit */
};

static inline void buffer_put(struct buffer *buffer, const void *bytes, size_t length)
{
	if (buffer->full || length > buffer->size - buffer->length) {
		buffer->full = true;
		return;
	}
	memcpy(buffer->bytes + buffer->length, bytes, length);
	buffer->length += length;
}

static inline void buffer_put_text(struct buffer *buffer, const char *text)
{
	buffer_put(buffer, text, strlen(text));
}

#endif
