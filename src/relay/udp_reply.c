/* SPDX-License-Identifier: MIT */
/*
 * From the upstreams to the balancer. What the flows of a listener have to say within a round of
 * events leaves its socket together.
 */
#include <errno.h>

#include "os/sys.h"
#include "relay/relay.h"
#include "relay/settings.h"
#include "relay/udp_workspace.h"

/* Fewer free slots than this, and what is in the others is sent first. */
#define SLOTS_WANTED 16

void udp_reply_report(struct relay *relay, const struct udp_run *run, int error)
{
	struct udp_flow *flow = run->flow;
	uint64_t bytes = run->bytes - run->headers;

	flow->replies_pending = false;
	flow->no_runs_downstream = flow->no_runs_downstream || run->refused;
	if (error < 0) {
		udp_flow_dropped(flow, COUNTER_REPLIES_DROPPED_FULL, run->datagrams, error);
		return;
	}
	flow->datagrams_from_upstream += run->datagrams;
	flow->bytes_from_upstream += bytes;
	counter_add(&relay->counters, COUNTER_DATAGRAMS_FROM_UPSTREAM, run->datagrams);
	counter_add(&relay->counters, COUNTER_BYTES_FROM_UPSTREAM, bytes);
}

static void send_replies(struct udp_workspace *workspace)
{
	if (!udp_sender_empty(workspace->replies))
		udp_sender_flush(workspace->replies, workspace->relay, workspace->replying->fd);
}

void udp_reply_flush(struct relay *relay)
{
	send_replies(relay->udp);
	relay->udp->answers_used = 0;
}

static void add_reply(struct udp_workspace *workspace, struct udp_flow *flow, const uint8_t *header,
		      const uint8_t *bytes, size_t length)
{
	const struct udp_outgoing outgoing = {
		.flow = flow,
		.route = &flow->route,
		.header = header,
		.header_length = header != NULL ? SPP_LENGTH : 0,
		.bytes = bytes,
		.length = length,
		.alone = flow->no_runs_downstream,
	};

	if (!udp_sender_add(workspace->replies, &outgoing)) {
		send_replies(workspace);
		udp_sender_add(workspace->replies, &outgoing);
	}
	flow->replies_pending = true;
}

/* The header of all of a flow's replies in this round, which stays until they are sent. */
static const uint8_t *reply_header(struct udp_workspace *workspace, const struct udp_flow *flow)
{
	uint8_t *header = workspace->headers[workspace->answers_used];

	if (flow->header != PROXY_VERSION_SPP)
		return NULL;
	spp_write(header, &flow->claim.client, &flow->claim.destination);
	return header;
}

void udp_reply_pass(struct udp_flow *flow, const struct udp_received *received)
{
	struct udp_workspace *workspace = flow->listener->relay->udp;
	const uint8_t *header = reply_header(workspace, flow);
	size_t offset = 0;

	do {
		size_t left = received->length - offset;
		size_t length = left < received->segment ? left : received->segment;

		add_reply(workspace, flow, header, received->bytes + offset, length);
		offset += length;
	} while (offset < received->length);
}

static void take_answers(struct udp_flow *flow, unsigned count)
{
	struct udp_workspace *workspace = flow->listener->relay->udp;
	const uint8_t *header = reply_header(workspace, flow);
	unsigned end = workspace->answers_used + count;

	for (unsigned slot = workspace->answers_used; slot < end; slot++) {
		struct udp_received received;
		size_t offset = 0;

		udp_receiver_read(&workspace->answers, slot, &received);
		do {
			size_t left = received.length - offset;
			size_t length = left < received.segment ? left : received.segment;

			add_reply(workspace, flow, header, received.bytes + offset, length);
			offset += length;
		} while (offset < received.length);
	}
	workspace->answers_used = end;
}

void udp_reply_ready(struct loop_source *source, uint32_t events)
{
	struct udp_flow *flow = container_of(source, struct udp_flow, source);
	struct udp_listener *listener = flow->listener;
	struct relay *relay = listener->relay;
	struct udp_workspace *workspace = relay->udp;
	int count;

	(void)events;
	if (workspace->replying != listener ||
	    UDP_RECEIVER_SLOTS - workspace->answers_used < SLOTS_WANTED)
		udp_reply_flush(relay);
	workspace->replying = listener;
	count = udp_receiver_fill(&workspace->answers, relay->sys, flow->fd,
				  workspace->answers_used,
				  UDP_RECEIVER_SLOTS - workspace->answers_used);
	if (count <= 0) {
		/*
		 * The upstream is away, perhaps to come back; or a router has dropped a datagram
		 * that was too large for it. Having been told clears the error.
		 */
		if (udp_is_path_error(count) || count == -EMSGSIZE)
			counter_add(&relay->counters, COUNTER_UPSTREAM_ICMP_ERRORS, 1);
		return;
	}
	take_answers(flow, (unsigned)count);
	flow->answered = true;
	flow_table_touch(&listener->flows, &flow->entry, relay->loop.now);
	/* The last ones may not leave the slots before the round is over. */
	loop_defer(&relay->loop, &workspace->flush);
}
