/* SPDX-License-Identifier: MIT */
/*
 * The parts of impair, a bad link: what becomes of a packet (impair_fate.c), the packets that are
 * on their way (impair_queue.c), and the two devices with the loop between them (impair.c).
 */
#ifndef MMPROXY_TOOLS_IMPAIR_H
#define MMPROXY_TOOLS_IMPAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Shares are in units of this: a hundredth of a percent. */
#define IMPAIR_WHOLE 10000

enum impair_setting {
	IMPAIR_LOSS,      /* share of packets that are lost */
	IMPAIR_DUPLICATE, /* share that come twice */
	IMPAIR_CORRUPT,   /* share of which one bit is turned over */
	IMPAIR_REORDER,   /* share that are held back, so that others overtake them */
	IMPAIR_HOLD,      /* for so long: microseconds */
	IMPAIR_DELAY,     /* of every packet: microseconds */
	IMPAIR_JITTER,    /* the most that is added to it at random, in order: microseconds */
	IMPAIR_RATE,      /* kilobits a second, 0: as fast as it goes */
	IMPAIR_QUEUE,     /* packets on their way at a time; those that come then are lost */
	IMPAIR_SETTINGS,
};

struct impair_settings {
	uint64_t values[IMPAIR_SETTINGS];
};

/* The start: nothing is done to a packet. */
void impair_settings_init(struct impair_settings *settings);
/*
 * "name=value": loss, duplicate, corrupt, reorder in percent; hold, delay, jitter in milliseconds;
 * rate in kbit/s; queue in packets. Decimals are allowed. False when it is not of that form.
 */
bool impair_settings_parse(struct impair_settings *settings, const char *word);

struct impair_fate {
	bool lost, twice, corrupt, held;
	uint64_t bit;   /* which one is turned over: modulo the packet's bits */
	uint64_t delay; /* microseconds, without the time that it is held back */
};

/* It depends on nothing else: the same seed does the same to the n-th packet of a direction. */
struct impair_fate impair_fate(const struct impair_settings *settings, uint64_t seed,
			       unsigned direction, uint64_t number);

struct impair_packet {
	uint64_t due;    /* nanoseconds of CLOCK_MONOTONIC */
	uint64_t order;  /* of the queue: of those due at the same time, which came first */
	uint64_t number; /* of its direction */
	size_t length;
	uint8_t bytes[];
};

/* A heap by due time. Zeroed memory is an empty one. */
struct impair_queue {
	struct impair_packet **packets;
	size_t count, room;
	uint64_t next_order;
};

/* Takes over the packet, which is from malloc(). */
void impair_queue_add(struct impair_queue *queue, struct impair_packet *packet);
/* The next one, which stays in the queue; NULL when it is empty. */
const struct impair_packet *impair_queue_first(const struct impair_queue *queue);
/* Takes out the next one, which is then the caller's to free. */
struct impair_packet *impair_queue_take(struct impair_queue *queue);

#endif
