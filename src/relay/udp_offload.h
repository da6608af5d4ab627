/* SPDX-License-Identifier: MIT */
/*
 * Flows that the kernel carries. A flow that has gone both ways a few times is handed over: then
 * its datagrams pass in the kernel, and it has no socket. It stays in all tables and lists, and is
 * looked at: what has passed is counted, and when it was used last is known. A datagram of its that
 * comes here after all makes it an ordinary flow again.
 */
#ifndef MMPROXY_RELAY_UDP_OFFLOAD_H
#define MMPROXY_RELAY_UDP_OFFLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct relay;
struct udp_flow;
struct udp_listener;

/* Is there a kernel that could carry flows at all? */
bool udp_offload_is_possible(const struct relay *relay);

/* The socket tells what has to be known of a datagram. At its start, and with new settings. */
void udp_offload_prepare_listener(struct udp_listener *listener);

/* For a new flow's `offload_at`. */
uint64_t udp_offload_first(const struct udp_listener *listener);

/*
 * The flow has had `offload_at` datagrams, and one more, which begins with this header: it may be
 * handed over, as soon as that is sent.
 */
void udp_offload_consider(struct udp_flow *flow, const uint8_t *header, size_t length);

/* All that has come is sent: hands the flow over if it is considered. */
void udp_offload_try(struct udp_flow *flow);

/* Makes it an ordinary flow again, with a socket. False: it could not be, and is over. */
bool udp_offload_take_back(struct udp_flow *flow);

/* Counts what the kernel has passed of any flow. When was it used last, by the loop's clock? */
uint64_t udp_offload_count(struct udp_flow *flow);

/* The same; and the flow has its place by that. Returns true if that was later than was known. */
bool udp_offload_look(struct udp_flow *flow);

/* Does the kernel carry it? Then it may have no socket. */
bool udp_offload_is_carried(const struct udp_flow *flow);

/* At its end, before that is told to anybody. `leave`: the kernel carries it on. */
void udp_offload_end(struct udp_flow *flow, bool leave);

#endif
