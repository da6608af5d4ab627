/* SPDX-License-Identifier: MIT */
/*
 * The hand-off of a session to the kernel, for the files of tcp_session.h alone:
 *
 *   OBSERVED   still RELAY; the kernel notes what passes, and a quiet instant is looked for
 *   SETTLING   there was none: bytes are passed on only when that leaves nothing unsent
 *   MOVED      the kernel carries the packets; the sockets send again what was not acknowledged
 *   OFFLOADED  there are no sockets
 */
#ifndef MMPROXY_RELAY_TCP_OFFLOAD_H
#define MMPROXY_RELAY_TCP_OFFLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "offload/layout.h"

struct tcp_session;

/* Of a session that is observed, until its end. */
struct tcp_offload {
	struct offload_tuple tuples[2]; /* by enum offload_leg_name */
	uint64_t next_try;              /* milliseconds, the loop's clock */
	uint16_t wait;                  /* between tries, or looks; milliseconds */
	uint16_t ticks;                 /* tries, and in SETTLING ticks, so far */
};

/* RELAY: bytes have moved. Returns true if the session is no longer in RELAY. */
bool tcp_offload_consider(struct tcp_session *session);

/* SETTLING or MOVED: the timer. */
void tcp_offload_expired(struct tcp_session *session);

/* At the session's end, whatever it was in. */
void tcp_offload_forget(struct tcp_session *session);

#endif
