/* SPDX-License-Identifier: MIT */
/* Lines to be shown. */
#include "ctl/lines.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl/format.h"
#include "ctl/memory.h"

void lines_finish(struct lines *lines)
{
	for (size_t i = 0; i < lines->count; i++)
		free(lines->items[i].text);
	free(lines->items);
	memset(lines, 0, sizeof(*lines));
}

/* Takes `text` over. */
static void append(struct lines *lines, enum line_role role, char *text)
{
	if (lines->count == lines->room) {
		lines->room = lines->room == 0 ? 32 : lines->room * 2;
		lines->items = memory_resize(lines->items, lines->room, sizeof(*lines->items));
	}
	lines->items[lines->count++] = (struct line){text, role};
}

void lines_add(struct lines *lines, enum line_role role, const char *format, ...)
{
	char *raw = NULL, *text;
	va_list arguments;
	size_t length;

	va_start(arguments, format);
	if (vasprintf(&raw, format, arguments) < 0)
		raw = NULL;
	va_end(arguments);
	length = raw != NULL ? strlen(raw) : 0;
	/* Four characters at most for each byte. */
	text = memory_resize(NULL, length + 1, 4);
	length = format_printable(text, (length + 1) * 4, raw != NULL ? raw : "");
	free(raw);
	while (length > 0 && text[length - 1] == ' ')
		text[--length] = '\0';
	append(lines, role, text);
}

void lines_print(const struct lines *lines, size_t width, FILE *to)
{
	for (size_t i = 0; i < lines->count; i++) {
		const char *text = lines->items[i].text;
		size_t length = strlen(text);

		if (width > 0 && length > width)
			length = width;
		fwrite(text, 1, length, to);
		putc('\n', to);
	}
}

size_t lines_terminal_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		return 0;
	return size.ws_col;
}
