/* SPDX-License-Identifier: MIT */
/*
 * Sending datagrams by the batch. Neighbours of one flow that are equally long (the last may be
 * shorter) become one run, which the kernel takes whole and cuts up again (UDP_SEGMENT): one way
 * through its stack instead of one each. Order is kept.
 *
 * The bytes stay where they are until udp_sender_flush().
 */
#ifndef MMPROXY_RELAY_UDP_SENDER_H
#define MMPROXY_RELAY_UDP_SENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct relay;
struct udp_flow;
struct udp_route;

/* One datagram. */
struct udp_outgoing {
	struct udp_flow *flow;
	const struct udp_route *route; /* NULL: the socket is connected */
	const uint8_t *header;         /* in front of the datagram; NULL: none */
	size_t header_length;
	const uint8_t *bytes;
	size_t length;
	bool alone; /* not to be part of a run: the kernel refused to cut one up on this path */
};

/* Equally long datagrams of one flow. */
struct udp_run {
	struct udp_flow *flow;
	size_t bytes;   /* in all, headers included */
	size_t headers; /* bytes of headers among them */
	size_t segment; /* of each but the last */
	unsigned datagrams;
	unsigned first_part; /* its place in `parts` */
	bool closed;         /* takes no more */
	bool refused;        /* as a run: its datagrams went one by one */
};

struct udp_sender;

/*
 * What became of a run: sent (0), or dropped (-errno). Of a run whose datagrams went one by one it
 * is told for each.
 */
typedef void udp_sender_report(struct relay *relay, const struct udp_run *run, int error);

/* NULL when out of memory. `connected`: errors of the path come in place of a send. */
struct udp_sender *udp_sender_create(bool connected, udp_sender_report *report);
void udp_sender_destroy(struct udp_sender *sender); /* takes NULL */

/* False: there is no room, flush first. */
bool udp_sender_add(struct udp_sender *sender, const struct udp_outgoing *outgoing);
bool udp_sender_empty(const struct udp_sender *sender);

/* An ICMP error that a connected socket reports, in place of a send or a receive. */
bool udp_is_path_error(int error);

/* Sends everything, or reports why not; empty afterwards. */
void udp_sender_flush(struct udp_sender *sender, struct relay *relay, int fd);

#endif
