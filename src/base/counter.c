/* SPDX-License-Identifier: MIT */
/* Names of counters. */
#include "base/counter.h"

#include <stdio.h>

static const char *const names[COUNTER_FIRST_CLOSED] = {
#define COUNTER(id, name, sentence) [COUNTER_##id] = (name),
#include "base/counter.def"
#undef COUNTER
};

void counter_name(enum counter counter, char name[static COUNTER_NAME_SIZE])
{
	const char *reason;

	if (counter < COUNTER_FIRST_CLOSED) {
		snprintf(name, COUNTER_NAME_SIZE, "%s", names[counter]);
		return;
	}
	reason = close_reason_name((enum close_reason)(counter - COUNTER_FIRST_CLOSED));
	snprintf(name, COUNTER_NAME_SIZE, "sessions_closed_%s", reason);
	for (char *c = name; *c != '\0'; c++) {
		if (*c == '-')
			*c = '_';
	}
}
