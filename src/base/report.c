/* SPDX-License-Identifier: MIT */
/*
 * The list of mistakes, or of remarks. What a line quotes was written by somebody else (a file, a
 * command line), so control characters are escaped here, once, and a line has an end.
 */
#include "base/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes. A mistake needs a path, a setting and two short phrases; more is noise on a terminal. */
#define REPORT_LINE_MAX 1024

void report_init(struct report *report)
{
	memset(report, 0, sizeof(*report));
}

void report_finish(struct report *report)
{
	for (size_t i = 0; i < report->count; i++)
		free(report->lines[i]);
	free(report->lines);
	report_init(report);
}

/* A new string in which each control character is four characters, "\x1b". */
static char *escape_controls(const char *raw)
{
	char *text = malloc(strlen(raw) * 4 + 1);
	char *end = text;

	if (text == NULL)
		return NULL;
	for (; *raw != '\0'; raw++) {
		unsigned char byte = (unsigned char)*raw;

		if (byte < 0x20 || byte == 0x7f)
			end += sprintf(end, "\\x%02x", byte);
		else
			*end++ = *raw;
	}
	*end = '\0';
	return text;
}

__attribute__((format(printf, 3, 0))) static bool add(struct report *report, bool failed,
						      const char *format, va_list arguments)
{
	char raw[REPORT_LINE_MAX];
	char **lines;
	char *line;

	if (report->count == REPORT_LINES_MAX)
		return false;
	if (report->count == REPORT_LINES_MAX - 1)
		format = "there are more of them; they are shown once these are gone";
	vsnprintf(raw, sizeof(raw), format, arguments);

	lines = reallocarray(report->lines, report->count + 1, sizeof(*lines));
	if (lines == NULL)
		return false;
	report->lines = lines;
	line = escape_controls(raw);
	if (line == NULL)
		return false;
	report->failed[report->count] = failed;
	lines[report->count++] = line;
	return true;
}

void report_add(struct report *report, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report->lost = !add(report, false, format, arguments) || report->lost;
	va_end(arguments);
}

void report_add_failure(struct report *report, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report->lost = !add(report, true, format, arguments) || report->lost;
	va_end(arguments);
}

bool report_is_failure(int error)
{
	return error == -ENOMEM || error == -EAGAIN || error == -EMFILE || error == -ENFILE;
}

void report_add_error(struct report *report, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report->lost = !add(report, report_is_failure(error), format, arguments) || report->lost;
	va_end(arguments);
}

void report_excuse(struct report *report, size_t first)
{
	for (size_t i = first; i < report->count; i++)
		report->failed[i] = true;
}

void report_cut(struct report *report, size_t before)
{
	while (report->count > before)
		free(report->lines[--report->count]);
	report->lost = false;
}

bool report_grew(const struct report *report, size_t before)
{
	return report->count > before || report->lost;
}

bool report_has_mistake(const struct report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		if (!report->failed[i])
			return true;
	}
	return false;
}
