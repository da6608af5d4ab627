/* SPDX-License-Identifier: MIT */
/* Mistakes found in the configuration, or remarks, one line each, in the order they were found. */
#ifndef MMPROXY_BASE_REPORT_H
#define MMPROXY_BASE_REPORT_H

#include <stddef.h>

struct report {
	char **lines;
	size_t count;
};

void report_init(struct report *report);
void report_finish(struct report *report);

/*
 * printf-like, without a newline. Control characters in the result are escaped, a line past 1 KiB
 * is cut, and the 200th line says that there are more. When memory is out the line is lost: whoever
 * adds a line also returns an error.
 */
void report_add(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
