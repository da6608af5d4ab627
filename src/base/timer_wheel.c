/* SPDX-License-Identifier: MIT */
/*
 * Five levels of 64 slots; a slot of level n spans 64^n milliseconds. A timer lies in the level of
 * the highest 6-bit digit in which its deadline differs from the clock, and moves down a level each
 * time the clock enters its slot. Deadlines are rounded up to whole milliseconds by the caller,
 * never down.
 */
#include "base/timer_wheel.h"

#include <stddef.h>

#define DIGIT_BITS 6
#define DIGIT_MASK (TIMER_WHEEL_SLOTS - 1)

static unsigned digit_of(uint64_t time, unsigned level)
{
	return (unsigned)(time >> (DIGIT_BITS * level)) & DIGIT_MASK;
}

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now)
{
	wheel->now = now;
	for (unsigned level = 0; level < TIMER_WHEEL_LEVELS; level++) {
		wheel->occupied[level] = 0;
		for (unsigned slot = 0; slot < TIMER_WHEEL_SLOTS; slot++)
			list_init(&wheel->slots[level][slot]);
	}
}

void timer_init(struct timer *timer, void (*expired)(struct timer *timer))
{
	*timer = (struct timer){.expired = expired};
}

bool timer_is_set(const struct timer *timer)
{
	return timer->link.next != NULL;
}

/* `deadline` lies in the future of the wheel's clock, and within its reach. */
static void place(struct timer_wheel *wheel, struct timer *timer, uint64_t deadline)
{
	uint64_t differs = deadline ^ wheel->now;
	unsigned level = (unsigned)(63 - __builtin_clzll(differs)) / DIGIT_BITS;
	unsigned slot;

	/* A carry into a digit past the top level: the slot comes round within one turn of it. */
	if (level >= TIMER_WHEEL_LEVELS)
		level = TIMER_WHEEL_LEVELS - 1;
	slot = digit_of(deadline, level);
	list_append(&wheel->slots[level][slot], &timer->link);
	wheel->occupied[level] |= UINT64_C(1) << slot;
}

void timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t deadline)
{
	timer_drop(timer);
	if (deadline <= wheel->now)
		deadline = wheel->now + 1;
	else if (deadline - wheel->now > TIMER_WHEEL_REACH)
		deadline = wheel->now + TIMER_WHEEL_REACH;
	timer->deadline = deadline;
	place(wheel, timer, deadline);
}

void timer_drop(struct timer *timer)
{
	if (!timer_is_set(timer))
		return;
	/* The slot's bit stays: a bit without timers costs one look, a timer without a bit is lost.
	 */
	list_remove(&timer->link);
	timer->link = (struct list){NULL, NULL};
}

/* The nearest time, after now, at which the clock enters an occupied slot; 0 when there is none. */
static uint64_t next_stop(const struct timer_wheel *wheel)
{
	uint64_t nearest = 0;

	for (unsigned level = 0; level < TIMER_WHEEL_LEVELS; level++) {
		unsigned shift = DIGIT_BITS * level, here = digit_of(wheel->now, level);
		uint64_t occupied = wheel->occupied[level], turned, stop;

		if (occupied == 0)
			continue;
		/* Bit 0 of `turned` is the slot after the current one. */
		turned = occupied >> ((here + 1) & DIGIT_MASK) |
			 occupied << ((DIGIT_MASK - here) & DIGIT_MASK);
		stop = ((wheel->now >> shift) + 1 + (unsigned)__builtin_ctzll(turned)) << shift;
		if (nearest == 0 || stop < nearest)
			nearest = stop;
	}
	return nearest;
}

/* Takes what the clock's new position reaches on `level`: expired, or one level down. */
static void empty_slot(struct timer_wheel *wheel, unsigned level, struct list *expired)
{
	unsigned slot = digit_of(wheel->now, level);
	struct list moving;

	if ((wheel->occupied[level] & UINT64_C(1) << slot) == 0)
		return;
	wheel->occupied[level] &= ~(UINT64_C(1) << slot);
	list_init(&moving);
	list_splice(&moving, &wheel->slots[level][slot]);
	while (!list_empty(&moving)) {
		struct timer *timer = container_of(moving.next, struct timer, link);

		list_remove(&timer->link);
		if (timer->deadline <= wheel->now)
			list_append(expired, &timer->link);
		else
			place(wheel, timer, timer->deadline);
	}
}

void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now)
{
	while (wheel->now < now) {
		uint64_t stop = next_stop(wheel);
		struct list expired;

		if (stop == 0 || stop > now) {
			wheel->now = now;
			return;
		}
		wheel->now = stop;
		list_init(&expired);
		for (unsigned level = TIMER_WHEEL_LEVELS; level-- > 0;) {
			/* A level's slot is entered when every digit below it is zero. */
			if ((stop & ((UINT64_C(1) << (DIGIT_BITS * level)) - 1)) == 0)
				empty_slot(wheel, level, &expired);
		}
		while (!list_empty(&expired)) {
			struct timer *timer = container_of(expired.next, struct timer, link);

			timer_drop(timer);
			timer->expired(timer);
		}
	}
}

int64_t timer_wheel_wait(const struct timer_wheel *wheel, uint64_t now)
{
	uint64_t stop = next_stop(wheel);

	if (stop == 0)
		return -1;
	return stop > now ? (int64_t)(stop - now) : 0;
}
