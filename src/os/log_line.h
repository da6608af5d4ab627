/* SPDX-License-Identifier: MIT */
/* How a log line is put together, between log.c and the formats. */
#ifndef MMPROXY_OS_LOG_LINE_H
#define MMPROXY_OS_LOG_LINE_H

#include <limits.h>

#include "os/log.h"

/* A pipe takes a line in one piece. */
_Static_assert(LOG_LINE_SIZE <= PIPE_BUF, "a line is written whole or not at all");

struct log_line_head {
	enum log_level level;
	const char *subsystem;
	const char *event;
	enum {
		LOG_LINE_TIME,     /* begins with the time and, as text, the level */
		LOG_LINE_PRIORITY, /* with "<6>", see sd-daemon(3): the reader adds the time */
		LOG_LINE_BARE,     /* with nothing of that; not for JSON */
	} start;
};

/* Both return the length written, newline included; 0 when there was no memory for it. */
size_t log_line_text(char line[static LOG_LINE_SIZE], const struct log_line_head *head,
		     const struct log_field *fields, size_t count);
size_t log_line_json(char line[static LOG_LINE_SIZE], const struct log_line_head *head,
		     const struct log_field *fields, size_t count);

/* The value of a field that is neither text nor bytes. Returns `text`. */
const char *log_line_number(const struct log_field *field, char text[static ADDRESS_TEXT_SIZE]);

#define LOG_TIME_SIZE 32
/* "2026-01-31T12:00:00.000Z" */
void log_line_time(char text[static LOG_TIME_SIZE]);
/* syslog's number for the level: RFC 5424, section 6.2.1. */
int log_line_priority(enum log_level level);

const char *log_level_name(enum log_level level);

#endif
