/* SPDX-License-Identifier: MIT */
/* The format logfmt: as mmproxy's own log lines are. */
#include <string.h>

#include "buffer.h"
#include "line.h"

/* A value that a reader could split at the wrong place goes between quotes. */
static bool needs_quotes(const char *text)
{
	return *text == '\0' || strpbrk(text, " \"\\=") != NULL;
}

static void put_field(struct buffer *line, const struct field *field)
{
	char text[FIELD_TEXT_SIZE];
	const char *quote;

	field_text(field, FIELD_ASCII, text);
	quote = needs_quotes(text) ? "\"" : "";
	buffer_put_text(line, field->key);
	buffer_put_text(line, "=");
	buffer_put_text(line, quote);
	buffer_put_text(line, text);
	buffer_put_text(line, quote);
}

size_t line_logfmt(char *line, size_t size, const struct field *fields, size_t count)
{
	struct buffer buffer = {.bytes = line, .size = size};

	for (size_t i = 0; i < count; i++) {
		put_field(&buffer, &fields[i]);
		buffer_put_text(&buffer, i + 1 < count ? " " : "\n");
	}
	return buffer.full ? 0 : buffer.length;
}
