/* SPDX-License-Identifier: MIT */
/*
 * Mistakes found in the configuration, or remarks, one line each, in the order they were found.
 * What could not be done for it stands among the mistakes: an address that is in use, memory that
 * has run out. That may be over by itself, a mistake is not.
 */
#ifndef MMPROXY_BASE_REPORT_H
#define MMPROXY_BASE_REPORT_H

#include <stdbool.h>
#include <stddef.h>

/* Lines. A file of the wrong kind is all mistakes; nobody reads past the first screens. */
#define REPORT_LINES_MAX 200

struct report {
	char **lines;
	size_t count;
	bool failed[REPORT_LINES_MAX]; /* the line is about what could not be done */
	bool lost;                     /* a line found no room */
};

void report_init(struct report *report);
void report_finish(struct report *report);

/*
 * printf-like, without a newline. Control characters in the result are escaped, a line past 1 KiB
 * is cut, and the 200th line says that there are more. Those behind it are lost, and so is a line
 * for which there is no memory: whoever adds a line also returns an error.
 */
void report_add(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same for a failure that is no mistake. */
void report_add_failure(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Either: memory or descriptors that have run out (`error` is a -errno) are nobody's mistake. */
void report_add_error(struct report *report, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
bool report_is_failure(int error);

/* The lines from number `first` on turn out to be failures. */
void report_excuse(struct report *report, size_t first);

/* Forgets all that was said since the report had `before` lines. */
void report_cut(struct report *report, size_t before);

/*
 * Has anything been said since the report had `before` lines, also if it was lost? For whoever asks
 * others that return no error.
 */
bool report_grew(const struct report *report, size_t before);

/* Is there a mistake, with which every other try ends the same way? */
bool report_has_mistake(const struct report *report);

#endif
