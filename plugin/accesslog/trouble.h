/* SPDX-License-Identifier: MIT */
/* What to tell the administrator about lines that were lost, and when: at once, but not at length.
 */
#ifndef ACCESSLOG_TROUBLE_H
#define ACCESSLOG_TROUBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue.h"

/* Between two messages of a trouble that lasts. The end of it is told without delay. */
#define TROUBLE_INTERVAL_MS 60000

/*
 * From any message to the next trouble's first. That one should be told at once; but a target may
 * fail and recover with every batch.
 */
#define TROUBLE_PAUSE_MS 10000

#define TROUBLE_TEXT_SIZE 512

/* What the last message said. */
enum trouble_told {
	TROUBLE_NOTHING, /* there was none */
	TROUBLE_FAILING, /* the target refuses lines */
	TROUBLE_OVER,    /* it takes them again */
	TROUBLE_LOST     /* lines were lost, and it takes others */
};

struct trouble {
	const char *target; /* where the lines go, for the messages; the owner's */
	uint64_t lost;      /* lines, since the last message */
	int error;          /* the target's last one since that message, or 0 */
	uint64_t told_at;   /* milliseconds; unless TROUBLE_NOTHING */
	enum trouble_told told;
};

/*
 * Takes in an outcome; `now` in milliseconds. Returns the level (enum mmproxy_log_level) of a
 * message that it has put into text, or -1: there is nothing to say. With `last`, what was held
 * back is said.
 */
int trouble_note(struct trouble *trouble, const struct queue_outcome *outcome, uint64_t now,
		 bool last, char text[static TROUBLE_TEXT_SIZE]);

#endif
