/* SPDX-License-Identifier: MIT */
/* A full disk loses lines by the thousand; the log gets one message a minute about them. */
#include "trouble.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <mmproxy/plugin.h>

static int tell(struct trouble *trouble, enum mmproxy_log_level level, uint64_t now, char *text,
		const char *format, ...) __attribute__((format(printf, 5, 6)));

static int tell(struct trouble *trouble, enum mmproxy_log_level level, uint64_t now, char *text,
		const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, TROUBLE_TEXT_SIZE, format, arguments);
	va_end(arguments);
	trouble->lost = 0;
	trouble->told = true;
	trouble->told_at = now;
	return (int)level;
}

int trouble_note(struct trouble *trouble, const struct queue_outcome *outcome, uint64_t now,
		 bool last, char text[static TROUBLE_TEXT_SIZE])
{
	bool due = last || !trouble->told || now - trouble->told_at >= TROUBLE_INTERVAL_MS;

	trouble->lost += outcome->failed + outcome->refused;
	if (outcome->error != 0 && due) {
		trouble->failing = true;
		return tell(trouble, MMPROXY_LOG_ERROR, now, text,
			    "cannot write to %s: %s; %" PRIu64
			    " lines dropped, and more until it can",
			    trouble->target, strerror(-outcome->error), trouble->lost);
	}
	if (outcome->error == 0 && outcome->written > 0 && trouble->failing) {
		trouble->failing = false;
		return tell(trouble, MMPROXY_LOG_INFO, now, text,
			    "writing to %s again; %" PRIu64 " more lines were dropped",
			    trouble->target, trouble->lost);
	}
	if (trouble->lost > 0 && due)
		return tell(trouble, MMPROXY_LOG_WARNING, now, text,
			    "%" PRIu64 " lines dropped: %s did not take them in time",
			    trouble->lost, trouble->target);
	return -1;
}
