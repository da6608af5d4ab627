/* SPDX-License-Identifier: MIT */
/* How a log line is put together, between log.c and the two formats. */
#ifndef MMPROXY_OS_LOG_LINE_H
#define MMPROXY_OS_LOG_LINE_H

#include "os/log.h"

/* A line with its newline; below PIPE_BUF, so that a pipe takes it in one piece. */
#define LOG_LINE_SIZE 2048

struct log_line_head {
	enum log_level level;
	const char *subsystem;
	const char *event;
	bool priority_prefix; /* "<6>" in front, as sd-daemon(3) describes; the reader adds the time
			       */
};

/* Both return the length written, newline included; 0 when there was no memory for it. */
size_t log_line_text(char line[static LOG_LINE_SIZE], const struct log_line_head *head,
		     const struct log_field *fields, size_t count);
size_t log_line_json(char line[static LOG_LINE_SIZE], const struct log_line_head *head,
		     const struct log_field *fields, size_t count);

#define LOG_TIME_SIZE 32
/* "2026-01-31T12:00:00.000Z" */
void log_line_time(char text[static LOG_TIME_SIZE]);
/* syslog's number for the level: RFC 5424, section 6.2.1. */
int log_line_priority(enum log_level level);

const char *log_level_name(enum log_level level);

#endif
