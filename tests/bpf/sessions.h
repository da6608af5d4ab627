/* SPDX-License-Identifier: MIT */
/*
 * A session in the kernel's maps, and segments of it: between a balancer and our listener, whose
 * leg is named after the balancer, and between a client and the upstream, who is at the far end.
 */
#ifndef MMPROXY_TESTS_SESSIONS_H
#define MMPROXY_TESTS_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel.h"
#include "packets.h"

#define SESSION 7

/* Numbers of the two legs at the instant of the move. All but the names are arbitrary. */
struct session_spec {
	bool ipv6;
	uint32_t received[2]; /* by our socket of each leg */
	uint32_t sent[2];
	uint32_t timestamp[2];      /* added to those that arrive by the leg */
	uint32_t timestamp_echo[2]; /* the same */
	uint8_t window_left[2], window_right[2];
	uint8_t way[2];
};

extern const struct session_spec session_ipv4, session_ipv6;

/* As the packets of a leg arrive. */
struct offload_tuple session_tuple(const struct session_spec *spec, unsigned leg);

/* The session is observed; by each leg came what it has received, and an acknowledgement of all. */
void session_observe(const struct session_spec *spec);
/* What moves it. */
struct offload_move session_move(const struct session_spec *spec);
/* Observed and moved. */
void session_begin(const struct session_spec *spec);

/* A segment of a leg, without options: the next in order, acknowledging all. */
struct segment_spec session_segment(const struct session_spec *spec, unsigned leg);
/* What it has to become. */
struct segment_spec session_changed(const struct session_spec *spec, unsigned leg,
				    const struct segment_spec *segment);

/* The segment arrives, by lo. Says what became of it; the packet is left in session_packet. */
enum action session_arrive(const struct segment_spec *segment);
extern struct packet session_packet;

/* It arrives, and becomes just what it has to. */
void session_assert_changed(const struct session_spec *spec, unsigned leg,
			    const struct segment_spec *segment);

/* Arrives with these flags, as far from the next in order and from acknowledging all as said. */
void session_step(const struct session_spec *spec, unsigned leg, uint8_t flags, size_t payload,
		  int32_t ahead, int32_t acknowledged);

/* Calls it for both families and both legs, with a session that was just moved. */
void session_each_leg(void (*test)(const struct session_spec *spec, unsigned leg));

/* By now. */
struct offload_leg session_leg(unsigned leg);
struct offload_base session_base(unsigned leg);
uint32_t session_state(void);
uint64_t session_last_active(void);

/* Until a packet would be noted to have come later than this. */
void session_wait_past(uint64_t time);

/* Of the leg, as session_step() has it. */
void session_assert_end(const struct session_spec *spec, unsigned leg, int32_t ahead);
void session_assert_acked(const struct session_spec *spec, unsigned leg, int32_t ahead);

/* Since the last call: it goes on; or it has ended, is no longer counted, and this was told once.
 */
void session_assert_over(bool over);

#endif
