/* SPDX-License-Identifier: MIT */
/* A full disk loses lines by the thousand; the log gets a message a minute about them, and is
 * told at once when it begins and when it is over. */
#include "trouble.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <mmproxy/plugin.h>

static int tell(struct trouble *trouble, enum trouble_told told, uint64_t now, char *text,
		const char *format, ...) __attribute__((format(printf, 5, 6)));

static int tell(struct trouble *trouble, enum trouble_told told, uint64_t now, char *text,
		const char *format, ...)
{
	static const int levels[] = {
		[TROUBLE_FAILING] = MMPROXY_LOG_ERROR,
		[TROUBLE_OVER] = MMPROXY_LOG_INFO,
		[TROUBLE_LOST] = MMPROXY_LOG_WARNING,
	};
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, TROUBLE_TEXT_SIZE, format, arguments);
	va_end(arguments);
	trouble->lost = 0;
	trouble->error = 0;
	trouble->told = told;
	trouble->told_at = now;
	return levels[told];
}

/* To whom one was told, a full buffer or a target that refuses, the other is news. */
static bool is_due(const struct trouble *trouble, uint64_t now)
{
	enum trouble_told kind = trouble->error != 0 ? TROUBLE_FAILING : TROUBLE_LOST;
	uint64_t wait = trouble->told == kind ? TROUBLE_INTERVAL_MS : TROUBLE_PAUSE_MS;

	return trouble->told == TROUBLE_NOTHING || now - trouble->told_at >= wait;
}

int trouble_note(struct trouble *trouble, const struct queue_outcome *outcome, uint64_t now,
		 bool last, char text[static TROUBLE_TEXT_SIZE])
{
	bool works = outcome->error == 0 && outcome->written > 0;

	trouble->lost += outcome->failed + outcome->refused;
	if (outcome->error != 0)
		trouble->error = outcome->error;
	if (works && trouble->told == TROUBLE_FAILING)
		return tell(trouble, TROUBLE_OVER, now, text,
			    "writing to %s again; %" PRIu64 " more lines were dropped",
			    trouble->target, trouble->lost);
	if (!last && !is_due(trouble, now))
		return -1;
	if (outcome->error != 0)
		return tell(trouble, TROUBLE_FAILING, now, text,
			    "cannot write to %s: %s; %" PRIu64
			    " lines dropped, and more until it can",
			    trouble->target, strerror(-trouble->error), trouble->lost);
	if (trouble->lost > 0 && trouble->error != 0)
		return tell(trouble, TROUBLE_LOST, now, text,
			    "%" PRIu64 " lines dropped: could not write to %s: %s", trouble->lost,
			    trouble->target, strerror(-trouble->error));
	if (trouble->lost > 0)
		return tell(trouble, TROUBLE_LOST, now, text,
			    "%" PRIu64 " lines dropped: %s did not take them in time",
			    trouble->lost, trouble->target);
	return -1;
}
