/* SPDX-License-Identifier: MIT */
/*
 * One client's datagrams between leaving and coming back, numbered in the order in which they
 * leave. They are kept in a ring from the oldest that is still on its way to the newest.
 *
 * Times are in nanoseconds, of whatever clock the caller has, and above zero. No I/O.
 */
#ifndef MMPROXY_BENCH_UDP_FLIGHT_H
#define MMPROXY_BENCH_UDP_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct datagram {
	int64_t due;     /* when it was to leave */
	int64_t sent_at; /* when it left; 0: it came back or was given up */
};

struct flight {
	struct datagram *ring;
	uint64_t room;   /* datagrams; a power of two */
	uint64_t oldest; /* what has a lower number is settled */
	uint64_t next;   /* number of the next to leave */
	uint64_t count;  /* on their way */
	uint64_t heard;  /* one more than the highest number that came back */
};

enum arrival {
	ARRIVAL_IN_ORDER,
	ARRIVAL_OVERTAKEN, /* one with a higher number was here before */
	ARRIVAL_LATE,      /* it had been given up, or it is here for the second time */
	ARRIVAL_UNKNOWN,   /* never sent */
};

/* Makes room for at least `wanted`. Never freed; a want of memory ends the program. */
void flight_init(struct flight *flight, size_t wanted);

/* No further one can leave until the oldest has come back or is given up. */
bool flight_is_full(struct flight *flight);

/* The number of one more that leaves, for which there must be room. */
uint64_t flight_add(struct flight *flight, int64_t due, int64_t sent_at);

/* Settles what comes back. `*due` is set for the first two. */
enum arrival flight_arrive(struct flight *flight, uint64_t number, int64_t *due);

/*
 * Gives up the oldest when it left at `sent_until` or before and sets `*due`; false: there is none.
 */
bool flight_give_up(struct flight *flight, int64_t sent_until, int64_t *due);

#endif
