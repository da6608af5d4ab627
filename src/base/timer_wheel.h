/* SPDX-License-Identifier: MIT */
/*
 * Timers in a hierarchical wheel: setting, moving and dropping one costs the same however many
 * there are, and a timer is two pointers and a deadline inside its owner. The caller brings the
 * clock: milliseconds of any monotonic origin.
 */
#ifndef MMPROXY_BASE_TIMER_WHEEL_H
#define MMPROXY_BASE_TIMER_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define TIMER_WHEEL_LEVELS 5
#define TIMER_WHEEL_SLOTS  64

/* Farther than this (about 12 days) a timer fires early, at this distance. */
#define TIMER_WHEEL_REACH ((UINT64_C(1) << (6 * TIMER_WHEEL_LEVELS)) - 1)

struct timer {
	struct list link; /* next is NULL while the timer is not set */
	uint64_t deadline;
	void (*expired)(struct timer *timer);
};

struct timer_wheel {
	uint64_t now;
	uint64_t occupied[TIMER_WHEEL_LEVELS]; /* a bit per slot that may hold timers */
	struct list slots[TIMER_WHEEL_LEVELS][TIMER_WHEEL_SLOTS];
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now);

void timer_init(struct timer *timer, void (*expired)(struct timer *timer));
bool timer_is_set(const struct timer *timer);

/* Sets or moves the timer. A deadline that has passed fires at the next advance. */
void timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t deadline);
void timer_drop(struct timer *timer); /* harmless when not set */

/*
 * Moves the clock forward and calls `expired` of each timer whose deadline has come, which is no
 * longer set then and may be set again, freed, or drop others.
 */
void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now);

/*
 * Milliseconds from `now`, to which the wheel need not have been moved, until something may expire
 * (a lower bound, never late); -1 when nothing is set.
 */
int64_t timer_wheel_wait(const struct timer_wheel *wheel, uint64_t now);

#endif
