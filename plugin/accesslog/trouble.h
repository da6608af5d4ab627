/* SPDX-License-Identifier: MIT */
/* What to tell the administrator about lines that were lost, and when: at once, but not at length.
 */
#ifndef ACCESSLOG_TROUBLE_H
#define ACCESSLOG_TROUBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue.h"

/* Between two messages of trouble. The end of it is told without delay. */
#define TROUBLE_INTERVAL_MS 60000

#define TROUBLE_TEXT_SIZE 512

struct trouble {
	const char *target; /* where the lines go, for the messages; the owner's */
	uint64_t lost;      /* lines, since the last message */
	uint64_t told_at;   /* milliseconds; when `told` */
	bool told;          /* something, ever */
	bool failing;       /* that the target refuses lines was told, and no recovery since */
};

/*
 * Takes in an outcome; `now` in milliseconds. Returns the level (enum mmproxy_log_level) of a
 * message that it has put into text, or -1: there is nothing to say. With `last`, what was held
 * back is said.
 */
int trouble_note(struct trouble *trouble, const struct queue_outcome *outcome, uint64_t now,
		 bool last, char text[static TROUBLE_TEXT_SIZE]);

#endif
