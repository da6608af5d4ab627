/* SPDX-License-Identifier: MIT */
/*
 * From the balancer to the upstreams: each datagram of a batch is traced to its flow by its header,
 * or where only the first has one, by its sender. Then all are sent, flow by flow, in the order in
 * which they came.
 */
#include <stdlib.h>
#include <string.h>

#include "base/source_policy.h"
#include "host/plugin_session.h"
#include "os/sys.h"
#include "relay/relay.h"
#include "relay/session_log.h"
#include "relay/settings.h"
#include "relay/udp_offload.h"
#include "relay/udp_waiting.h"
#include "relay/udp_workspace.h"
#include "wire/proxy_header.h"

/* A datagram on its way to its flow. */
struct arrival {
	struct udp_listener *listener;
	const struct udp_route *route;
	const uint8_t *bytes;
	size_t length;
	struct address balancer;
};

void udp_inbound_report(struct relay *relay, const struct udp_run *run, int error)
{
	struct udp_flow *flow = run->flow;

	flow->no_runs_upstream = flow->no_runs_upstream || run->refused;
	if (error < 0) {
		udp_flow_dropped(flow, COUNTER_DATAGRAMS_DROPPED_FULL, run->datagrams, error);
		return;
	}
	flow->datagrams_from_client += run->datagrams;
	flow->bytes_from_client += run->bytes;
	counter_add(&relay->counters, COUNTER_DATAGRAMS_FROM_CLIENT, run->datagrams);
	counter_add(&relay->counters, COUNTER_BYTES_FROM_CLIENT, run->bytes);
}

static void send_pending_of(struct relay *relay, struct udp_flow *flow)
{
	struct udp_workspace *workspace = relay->udp;

	for (uint16_t i = flow->first_pending; i != UDP_PENDING_NONE;) {
		const struct udp_pending *pending = &workspace->pending[i];
		const struct udp_outgoing outgoing = {
			.flow = flow,
			.bytes = pending->bytes,
			.length = pending->length,
			.alone = flow->no_runs_upstream,
		};

		if (udp_sender_add(workspace->upstream, &outgoing))
			i = pending->next;
		else
			udp_sender_flush(workspace->upstream, relay, flow->fd);
	}
	udp_sender_flush(workspace->upstream, relay, flow->fd);
	flow->first_pending = flow->last_pending = UDP_PENDING_NONE;
}

void udp_inbound_flush(struct relay *relay)
{
	struct udp_workspace *workspace = relay->udp;

	for (unsigned i = 0; i < workspace->touched_count; i++) {
		send_pending_of(relay, workspace->touched[i]);
		if (workspace->touched[i]->offload != NULL)
			udp_offload_try(workspace->touched[i]);
	}
	workspace->touched_count = workspace->pending_count = 0;
}

void udp_inbound_forget(struct udp_flow *flow)
{
	struct relay *relay = flow->listener->relay;

	if (flow->first_pending != UDP_PENDING_NONE)
		udp_inbound_flush(relay);
	if (relay->udp->last.flow == flow)
		relay->udp->last.flow = NULL;
}

void udp_inbound_add(struct udp_flow *flow, const uint8_t *bytes, size_t length)
{
	struct udp_listener *listener = flow->listener;
	struct udp_workspace *workspace = listener->relay->udp;
	uint16_t index;

	if (workspace->pending_count == UDP_PENDING_MAX)
		udp_inbound_flush(listener->relay);
	index = (uint16_t)workspace->pending_count++;
	workspace->pending[index] = (struct udp_pending){bytes, length, UDP_PENDING_NONE};
	if (flow->first_pending == UDP_PENDING_NONE) {
		workspace->touched[workspace->touched_count++] = flow;
		flow->first_pending = index;
		flow_table_touch(&listener->flows, &flow->entry, listener->relay->loop.now);
	} else {
		workspace->pending[flow->last_pending].next = index;
	}
	flow->last_pending = index;
}

/* `client` is NULL where the header did not get as far as naming one. */
static void refuse(const struct arrival *arrival, enum close_reason reason,
		   const struct address *client)
{
	struct relay *relay = arrival->listener->relay;

	counter_add(&relay->counters, counter_of_close(reason), 1);
	session_log_refusal(relay, arrival->listener->settings, reason, &arrival->balancer, client,
			    arrival->bytes, arrival->length);
}

static bool balancer_is_allowed(const struct arrival *arrival)
{
	const struct relay_settings *settings = arrival->listener->settings;
	struct relay *relay = arrival->listener->relay;

	if (settings->subnets == NULL || prefix_set_contains(settings->subnets, &arrival->balancer))
		return true;
	counter_add(&relay->counters, counter_of_close(CLOSE_BALANCER_NOT_ALLOWED), 1);
	session_log_stranger(relay, settings, &arrival->balancer);
	return false;
}

static bool read_header(const struct arrival *arrival, struct proxy_header *header)
{
	const struct relay_settings *settings = arrival->listener->settings;
	enum close_reason reason = CLOSE_HEADER_TRUNCATED;

	if (settings->udp.framing == UDP_FRAMING_SPP) {
		if (spp_parse(arrival->bytes, arrival->length, header, &reason))
			return true;
	} else if (proxy_header_parse(arrival->bytes, arrival->length, settings->max_header,
				      PROXY_TRANSPORT_DATAGRAM, header,
				      &reason) == PROXY_PARSE_OK) {
		return true;
	}
	refuse(arrival, reason, NULL);
	return false;
}

static bool source_is_permitted(const struct arrival *arrival, const struct proxy_header *header)
{
	struct udp_listener *listener = arrival->listener;
	enum close_reason reason;

	if (header->local ||
	    source_policy_permits(&header->source, listener->settings->permit_sources,
				  &listener->relay->own_addresses->own, &reason))
		return true;
	refuse(arrival, reason, &header->source);
	return false;
}

static struct udp_flow *find(const struct udp_listener *listener, const struct flow_key *key,
			     uint64_t hash)
{
	struct flow_entry *entry = flow_table_find(&listener->flows, key, hash);

	return entry != NULL ? container_of(entry, struct udp_flow, entry) : NULL;
}

/* A header names a client that this listener has no flow of. */
static struct udp_flow *open_flow(const struct arrival *arrival, const struct flow_key *key,
				  uint64_t hash, const struct proxy_header *header)
{
	const struct udp_opening opening = {
		.key = key,
		.hash = hash,
		.route = arrival->route,
		.client = header->local ? arrival->balancer : header->source,
		.destination = header->destination,
		.header = header->version,
		.header_local = header->local,
		.tlvs = header->tlvs,
		.tlvs_length = header->tlvs_length,
	};

	if (!source_is_permitted(arrival, header))
		return NULL;
	return udp_flow_open(arrival->listener, &opening);
}

/* What the flow's plugins saw, to be freed. Without memory they see none. */
static uint8_t *copy_tlvs(const struct udp_flow *flow, size_t *length)
{
	const uint8_t *tlvs = NULL;
	uint8_t *copy = NULL;

	*length = 0;
	if (flow->plugins != NULL)
		tlvs = plugin_session_tlvs(flow->plugins, length);
	if (*length > 0)
		copy = malloc(*length);
	if (copy == NULL)
		*length = 0;
	else
		memcpy(copy, tlvs, *length);
	return copy;
}

/* The client's flow lives on elsewhere, or did: here it begins anew. */
static struct udp_flow *reopen_flow(struct udp_flow *flow, const struct udp_route *route)
{
	struct udp_listener *listener = flow->listener;
	const struct flow_key key = flow->entry.key;
	struct udp_opening opening = {
		.key = &key,
		.hash = flow->entry.hash,
		.route = route,
		.client = flow->claim.client,
		.destination = flow->claim.destination,
		.header = flow->header,
		.header_local = flow->header_local,
	};
	uint8_t *tlvs = copy_tlvs(flow, &opening.tlvs_length);

	opening.tlvs = tlvs;
	udp_flow_close(flow, CLOSE_FLOW_MOVED);
	flow = udp_flow_open(listener, &opening);
	free(tlvs);
	return flow;
}

/* Another datagram of a flow: its answers go where it came from. */
static struct udp_flow *resume_flow(struct udp_flow *flow, const struct udp_route *route)
{
	if (udp_claim_is_lost(&flow->claim))
		return reopen_flow(flow, route);
	if (udp_route_equal(&flow->route, route))
		return flow;
	flow->route = *route;
	/* The kernel would send them where the last one came from. */
	if (udp_offload_is_carried(flow) && !udp_offload_take_back(flow))
		return NULL;
	return flow;
}

/* Does the header say what the flow was opened with? */
static bool same_client(const struct udp_flow *flow, const struct arrival *arrival,
			const struct proxy_header *header)
{
	const struct address *client = header->local ? &arrival->balancer : &header->source;

	return address_equal(&flow->claim.client, client) &&
	       address_equal(&flow->claim.destination, &header->destination);
}

/* Every datagram has a header, which says whose it is. */
static struct udp_flow *trace_by_header(const struct arrival *arrival, size_t *header_length)
{
	struct udp_listener *listener = arrival->listener;
	struct proxy_header header;
	struct flow_key key;
	struct udp_flow *flow;
	uint64_t hash;

	if (!read_header(arrival, &header))
		return NULL;
	*header_length = header.length;
	key.source = header.local ? arrival->balancer : header.source;
	key.destination = header.destination;
	hash = flow_table_hash(&listener->flows, &key);
	flow = find(listener, &key, hash);
	if (flow == NULL)
		return open_flow(arrival, &key, hash, &header);
	return resume_flow(flow, arrival->route);
}

/* Only the first has one: the others are known by who sends them. */
static struct udp_flow *trace_by_sender(const struct arrival *arrival, size_t *header_length)
{
	struct udp_listener *listener = arrival->listener;
	const struct flow_key key = {.source = arrival->balancer};
	uint64_t hash = flow_table_hash(&listener->flows, &key);
	struct udp_flow *flow = find(listener, &key, hash);
	struct proxy_header header;

	*header_length = 0;
	if (!proxy_v2_begins(arrival->bytes, arrival->length)) {
		if (flow != NULL)
			return resume_flow(flow, arrival->route);
		if (!udp_verdict_remembers(listener, &key, hash, NULL))
			refuse(arrival, CLOSE_NO_FLOW, NULL);
		return NULL;
	}
	if (!read_header(arrival, &header))
		return NULL;
	*header_length = header.length;
	if (flow == NULL)
		return open_flow(arrival, &key, hash, &header);
	if (!same_client(flow, arrival, &header)) {
		/* The balancer has given its port to another client. */
		udp_flow_close(flow, CLOSE_FLOW_REPLACED);
		return open_flow(arrival, &key, hash, &header);
	}
	return resume_flow(flow, arrival->route);
}

/* Most datagrams follow one of their own kind: what was found out about that one holds. */
static bool repeats(const struct udp_memo *last, const struct arrival *arrival)
{
	if (last->flow == NULL || last->flow->listener != arrival->listener ||
	    arrival->length < last->header_length ||
	    !udp_route_equal(&last->route, arrival->route) || udp_claim_is_lost(&last->flow->claim))
		return false;
	if (last->header_length == 0)
		return !proxy_v2_begins(arrival->bytes, arrival->length);
	return memcmp(last->header, arrival->bytes, last->header_length) == 0;
}

/* The flow of a datagram, or NULL: it is dropped, which has been counted. */
static struct udp_flow *trace(struct arrival *arrival, size_t *header_length)
{
	struct udp_listener *listener = arrival->listener;
	struct udp_memo *last = &listener->relay->udp->last;
	struct udp_flow *flow;

	if (repeats(last, arrival)) {
		*header_length = last->header_length;
		return last->flow;
	}
	last->flow = NULL;
	arrival->balancer = udp_route_peer(arrival->route);
	if (!balancer_is_allowed(arrival))
		return NULL;
	if (listener->settings->udp.framing == UDP_FRAMING_FIRST)
		flow = trace_by_sender(arrival, header_length);
	else
		flow = trace_by_header(arrival, header_length);
	*last = (struct udp_memo){flow, *arrival->route, arrival->bytes, *header_length};
	return flow;
}

/* The flow's verdict is awaited. */
static void hold(struct udp_flow *flow, const uint8_t *bytes, size_t length)
{
	struct udp_listener *listener = flow->listener;

	flow_table_touch(&listener->flows, &flow->entry, listener->relay->loop.now);
	if (!udp_waiting_add(flow->waiting, bytes, length))
		counter_add(&listener->relay->counters, COUNTER_DATAGRAMS_DROPPED_WAITING, 1);
}

/* False: the flow is over. */
static bool take_back(struct udp_flow *flow, const struct arrival *arrival, size_t header_length)
{
	if (flow->datagrams_from_client >= flow->offload_at)
		udp_offload_consider(flow, arrival->bytes, header_length);
	return flow->fd >= 0 || udp_offload_take_back(flow);
}

static void take_datagram(struct arrival *arrival)
{
	struct udp_listener *listener = arrival->listener;
	size_t header_length = 0;
	struct udp_flow *flow = trace(arrival, &header_length);
	uint64_t now = listener->relay->loop.now;

	if (flow == NULL)
		return;
	if (flow->answered && !flow->entry.assured)
		udp_flow_assure(flow);
	/* Alone it announces a flow. Where every datagram has one, it is an empty datagram's. */
	if (listener->settings->udp.framing == UDP_FRAMING_FIRST && header_length > 0 &&
	    header_length == arrival->length)
		flow_table_touch(&listener->flows, &flow->entry, now);
	else if (flow->waiting != NULL)
		hold(flow, arrival->bytes + header_length, arrival->length - header_length);
	else if (take_back(flow, arrival, header_length))
		udp_inbound_add(flow, arrival->bytes + header_length,
				arrival->length - header_length);
}

/* The kernel counts, from the socket's beginning, what it had no room for. */
static void note_overflow(struct udp_listener *listener, uint32_t overflow)
{
	if (overflow == 0 || overflow == listener->overflow)
		return;
	counter_add(&listener->relay->counters, COUNTER_DATAGRAMS_DROPPED_QUEUE,
		    overflow - listener->overflow);
	listener->overflow = overflow;
}

void udp_inbound_run(struct udp_listener *listener, unsigned count)
{
	struct udp_workspace *workspace = listener->relay->udp;

	for (unsigned slot = 0; slot < count; slot++) {
		struct udp_received received;
		struct arrival arrival;
		size_t offset = 0;

		udp_receiver_read(&workspace->arrivals, slot, &received);
		note_overflow(listener, received.overflow);
		do {
			size_t left = received.length - offset;

			arrival = (struct arrival){
				.listener = listener,
				.route = &received.route,
				.bytes = received.bytes + offset,
				.length = left < received.segment ? left : received.segment,
			};
			take_datagram(&arrival);
			offset += arrival.length;
		} while (offset < received.length);
	}
	udp_inbound_flush(listener->relay);
	workspace->last.flow = NULL;
}
