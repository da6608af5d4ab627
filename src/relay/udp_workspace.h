/* SPDX-License-Identifier: MIT */
/*
 * What a worker's UDP flows borrow while a batch is on its way: buffers, and the lists of what is
 * to be sent. Between batches nothing is in it.
 */
#ifndef MMPROXY_RELAY_UDP_WORKSPACE_H
#define MMPROXY_RELAY_UDP_WORKSPACE_H

#include "relay/udp.h"
#include "relay/udp_receiver.h"
#include "relay/udp_sender.h"
#include "wire/spp.h"

/* Datagrams that wait for the end of a batch. */
#define UDP_PENDING_MAX 512

struct udp_pending {
	const uint8_t *bytes;
	size_t length;
	uint16_t next; /* of the same flow; or UDP_PENDING_NONE */
};

/* The datagram before this one: whatever has the same route and header is of the same flow. */
struct udp_memo {
	struct udp_flow *flow; /* NULL: nothing to remember */
	struct udp_route route;
	const uint8_t *header; /* in the slots */
	size_t header_length;
};

struct udp_spill;

struct udp_workspace {
	/* From balancers to upstreams, within one event. */
	struct udp_receiver arrivals;
	struct udp_sender *upstream; /* for one flow at a time */
	struct udp_memo last;
	struct udp_pending pending[UDP_PENDING_MAX];
	struct udp_flow *touched[UDP_PENDING_MAX]; /* whose datagrams are pending */
	unsigned pending_count;
	unsigned touched_count;
	bool emptied; /* the listener's queue, by the batch */

	/* From upstreams to balancers, within one round. */
	struct udp_receiver answers;
	unsigned answers_used; /* slots */
	uint8_t headers[UDP_RECEIVER_SLOTS][SPP_LENGTH];
	struct udp_sender *replies;
	struct udp_listener *replying; /* whose socket they leave by */
	struct loop_task flush;
	struct relay *relay;

	struct udp_spill *spill; /* NULL until the kernel carries a flow */
};

struct udp_workspace *udp_workspace_create(struct relay *relay); /* NULL when out of memory */
void udp_workspace_destroy(struct udp_workspace *workspace);     /* takes NULL */

/* udp_inbound.c, udp_reply.c: what became of what was sent. */
void udp_inbound_report(struct relay *relay, const struct udp_run *run, int error);
void udp_reply_report(struct relay *relay, const struct udp_run *run, int error);

#endif
