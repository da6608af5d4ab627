/* SPDX-License-Identifier: MIT */
/*
 * What is to be shown: lines, each with a role. A screen gives the roles a look, plain output none.
 * Every line is made printable as it is added: see format_printable().
 */
#ifndef MMPROXY_CTL_LINES_H
#define MMPROXY_CTL_LINES_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

enum line_role {
	LINE_PLAIN,
	LINE_TITLE,   /* the first line of a screen */
	LINE_HEADING, /* the names of a table's columns */
	LINE_QUIET,   /* nothing moves there */
	LINE_ALERT,   /* worth a look: refusals right now */
};

struct line {
	char *text; /* printable ASCII, no newline, no blanks at the end */
	enum line_role role;
};

struct lines {
	struct line *items;
	size_t count;
	size_t room;
};

/* Zeroed memory is no lines. */
void lines_finish(struct lines *lines);

/* printf-like. */
void lines_add(struct lines *lines, enum line_role role, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Lines are cut to `width` characters; 0: they are not. */
void lines_print(const struct lines *lines, size_t width, FILE *to);

/* How wide the terminal is that standard output is; 0: it is none, or does not say. */
size_t lines_terminal_width(void);

#endif
