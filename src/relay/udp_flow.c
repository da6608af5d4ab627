/* SPDX-License-Identifier: MIT */
/* How a UDP flow begins and ends. */
#include <errno.h>
#include <stdlib.h>

#include "host/plugin_session.h"
#include "os/log.h"
#include "os/sys.h"
#include "relay/client_counts.h"
#include "relay/flow_quota.h"
#include "relay/relay.h"
#include "relay/session_log.h"
#include "relay/session_plugins.h"
#include "relay/session_view.h"
#include "relay/settings.h"
#include "relay/udp.h"
#include "relay/udp_offload.h"
#include "relay/udp_waiting.h"
#include "wire/proxy_header.h"

static void release_run(struct loop_task *task)
{
	free(container_of(task, struct udp_flow, release));
}

static struct udp_flow *flow_create(struct udp_listener *listener,
				    const struct udp_opening *opening)
{
	const struct relay_settings *settings = listener->settings;
	struct relay *relay = listener->relay;
	struct udp_flow *flow = calloc(1, sizeof(*flow));

	if (flow == NULL)
		return NULL;
	flow->claim.client = opening->client;
	flow->claim.upstream = *relay_settings_forward(settings, opening->client.family);
	flow->claim.destination = opening->destination;
	flow->claim.listener = settings->listener_name;
	flow->claim.owner = relay;
	loop_task_init(&flow->release, release_run);
	flow->listener = listener;
	flow->settings = settings;
	flow->route = *opening->route;
	flow->id = relay_new_session_id(relay);
	flow->started = relay->loop.now;
	flow->fd = -1;
	flow->first_pending = flow->last_pending = UDP_PENDING_NONE;
	flow->header = opening->header;
	flow->header_local = opening->header_local;
	flow->offload_at = udp_offload_first(listener);
	refcount_take(settings->owner);
	relay_count_session(relay, &listener->quota->flows, 1);
	return flow;
}

static void count_opening(struct udp_listener *listener, const struct udp_opening *opening)
{
	struct counter_set *counters = &listener->relay->counters;

	counter_add(counters, COUNTER_SESSIONS_ACCEPTED, 1);
	budget_count(&listener->quota->flows);
	counter_add(counters,
		    opening->header == PROXY_VERSION_SPP ? COUNTER_HEADERS_SPP : COUNTER_HEADERS_V2,
		    1);
	if (opening->header_local)
		counter_add(counters, COUNTER_HEADERS_LOCAL, 1);
	else if (opening->client.port == 0)
		counter_add(counters, COUNTER_CLIENT_PORT_ZERO, 1);
}

static const char *header_text(const struct udp_flow *flow)
{
	if (flow->header_local)
		return "local";
	return flow->header == PROXY_VERSION_SPP ? "spp" : "v2";
}

/* Where the upstream sees the client, when that is not the client's own port. */
static struct address replaced_source(const struct udp_flow *flow)
{
	struct sockaddr_storage source;

	if (!flow->port_replaced || flow->fd < 0 ||
	    flow->listener->relay->sys->local_address(flow->fd, &source) < 0)
		return (struct address){.family = ADDRESS_NONE};
	return address_from_sockaddr(&source);
}

/* `step` and `error`: the call that made it fail, if one did. */
static struct session_end end_of(const struct udp_flow *flow, enum close_reason reason,
				 const char *step, int error)
{
	return (struct session_end){
		.settings = flow->settings,
		.reason = reason,
		.id = flow->id,
		.started = flow->started,
		.header = header_text(flow),
		.client = flow->claim.client,
		.upstream_sees = replaced_source(flow),
		.balancer = udp_route_peer(&flow->route),
		.destination = flow->claim.destination,
		.failed_step = step,
		.error = error,
		.datagrams_from_client = flow->datagrams_from_client,
		.datagrams_from_upstream = flow->datagrams_from_upstream,
		.bytes_from_client = flow->bytes_from_client,
		.bytes_from_upstream = flow->bytes_from_upstream,
	};
}

static void publish_counts(struct udp_listener *listener)
{
	flow_quota_publish(listener->member, listener->flows.count, listener->flows.fresh_count);
}

/* The flow ends before its verdict. Its first datagram is what its end is counted for. */
static void drop_waiting(struct udp_flow *flow)
{
	if (flow->waiting != NULL && flow->waiting->count > 1)
		counter_add(&flow->listener->relay->counters, COUNTER_DATAGRAMS_DROPPED_WAITING,
			    flow->waiting->count - 1);
	udp_waiting_destroy(flow->waiting);
}

void udp_flow_end(struct udp_flow *flow, enum close_reason reason, const char *step, int error)
{
	struct udp_listener *listener = flow->listener;
	struct relay *relay = listener->relay;
	struct session_end end;

	udp_inbound_forget(flow);
	if (flow->replies_pending)
		udp_reply_flush(relay);
	udp_offload_end(flow, reason == CLOSE_LEFT_TO_KERNEL);
	end = end_of(flow, reason, step, error);
	session_log_end(relay, &end);
	counter_add(&relay->counters, counter_of_close(reason), 1);
	session_plugins_close(flow->plugins, &end);
	drop_waiting(flow);
	udp_dial_close(flow);
	udp_claim_drop(relay->udp_claims, &flow->claim);
	client_counts_give_back(relay->client_counts, flow->client_count);
	if (flow->established) {
		flow_table_remove(&listener->flows, &flow->entry);
		publish_counts(listener);
		flow_quota_give_back(listener->quota, listener->member,
				     reason == CLOSE_FLOW_EVICTED);
	}
	relay_count_session(relay, &listener->quota->flows, -1);
	refcount_drop(flow->settings->owner);
	/* This round's events may still name the flow. */
	loop_defer(&relay->loop, &flow->release);
}

void udp_flow_close(struct udp_flow *flow, enum close_reason reason)
{
	udp_flow_end(flow, reason, NULL, 0);
}

void udp_flow_evict(struct udp_listener *listener)
{
	struct udp_flow *flow;

	/* Of a flow that the kernel carries it is not known yet when it was used last. */
	do {
		struct flow_entry *entry = flow_table_expendable(&listener->flows);

		flow = container_of(entry, struct udp_flow, entry);
	} while (udp_offload_look(flow));
	udp_flow_close(flow, CLOSE_FLOW_EVICTED);
}

void udp_flow_assure(struct udp_flow *flow)
{
	struct udp_listener *listener = flow->listener;

	flow_table_assure(&listener->flows, &flow->entry, listener->relay->loop.now);
	publish_counts(listener);
}

static bool take_place(struct udp_listener *listener)
{
	switch (flow_quota_take(listener->quota, listener->member)) {
	case FLOW_ROOM_TAKEN:
		return true;
	case FLOW_ROOM_EVICT:
		udp_flow_evict(listener);
		return true;
	case FLOW_ROOM_NONE:
		break;
	}
	return false;
}

/* Returns false when there is no place, and the flow is over. */
static bool establish(struct udp_flow *flow, const struct udp_opening *opening)
{
	struct udp_listener *listener = flow->listener;

	if (!take_place(listener)) {
		udp_flow_close(flow, CLOSE_FLOW_TABLE_FULL);
		return false;
	}
	flow_table_add(&listener->flows, &flow->entry, opening->key, opening->hash,
		       listener->relay->loop.now);
	flow->established = true;
	publish_counts(listener);
	udp_listener_watch_idle(listener);
	return true;
}

static bool upstream_is_known(const struct udp_listener *listener, const struct address *client)
{
	return relay_settings_forward(listener->settings, client->family)->family != ADDRESS_NONE;
}

static void refuse_client(struct udp_flow *flow, const struct udp_opening *opening)
{
	const struct flow_key who = {opening->client, opening->destination};
	const struct address balancer = udp_route_peer(opening->route);
	struct udp_listener *listener = flow->listener;

	session_log_refusal(listener->relay, flow->settings, CLOSE_CLIENT_LIMIT, &balancer,
			    &opening->client, NULL, 0);
	udp_verdict_remember(listener, opening->key, opening->hash, &who);
	udp_flow_close(flow, CLOSE_CLIENT_LIMIT);
}

/* May the client have one more flow? If not, this one is over. */
static bool count_client(struct udp_flow *flow, const struct udp_opening *opening)
{
	struct udp_listener *listener = flow->listener;
	struct relay *relay = listener->relay;
	unsigned limit = flow->settings->max_sessions_per_client;
	int error;

	/* The balancer's own flows, its health checks, are no client's. */
	if (limit == 0 || opening->header_local)
		return true;
	error = client_counts_take(relay->client_counts, listener->quota, &opening->client, limit,
				   &flow->client_count);
	/* A flow that comes by another way is none more: the one that it was makes way for it. */
	if (error == -EDQUOT && udp_claim_has_forerunner(relay->udp_claims, &flow->claim))
		error = client_counts_take(relay->client_counts, listener->quota, &opening->client,
					   0, &flow->client_count);
	if (error == -EDQUOT)
		refuse_client(flow, opening);
	else if (error < 0)
		udp_flow_close(flow, CLOSE_NO_MEMORY);
	return error == 0;
}

struct udp_flow *udp_flow_open(struct udp_listener *listener, const struct udp_opening *opening)
{
	const struct flow_key who = {opening->client, opening->destination};
	struct relay *relay = listener->relay;
	struct address balancer;
	struct udp_flow *flow;

	if (listener->draining) {
		counter_add(&relay->counters, COUNTER_DATAGRAMS_DROPPED_DRAINING, 1);
		return NULL;
	}
	if (udp_verdict_remembers(listener, opening->key, opening->hash, &who))
		return NULL;
	count_opening(listener, opening);
	flow = flow_create(listener, opening);
	if (flow == NULL) {
		balancer = udp_route_peer(opening->route);
		session_log_no_memory(relay, listener->settings, &balancer);
		counter_add(&relay->counters, counter_of_close(CLOSE_NO_MEMORY), 1);
		return NULL;
	}
	if (!upstream_is_known(listener, &opening->client)) {
		udp_flow_close(flow, opening->client.family == ADDRESS_IPV4
					     ? CLOSE_NO_FORWARD_IPV4
					     : CLOSE_NO_FORWARD_IPV6);
		return NULL;
	}
	if (!count_client(flow, opening))
		return NULL;
	switch (udp_verdict_ask(flow, opening)) {
	case UDP_VERDICT_OVER:
		return NULL;
	case UDP_VERDICT_AWAITED:
		return establish(flow, opening) ? flow : NULL;
	case UDP_VERDICT_PASSED:
		break;
	}
	/* The socket first: what cannot be dialled must not push another out of its place. */
	if (!udp_dial(flow) || !establish(flow, opening))
		return NULL;
	counter_add(&relay->counters, COUNTER_SESSIONS_RELAYED, 1);
	return flow;
}

static void remember(struct udp_flow *flow, const struct udp_past *past)
{
	const unsigned workers = flow->listener->relay->worker_count;

	/* A number says whose the flow is: another worker's is left to it. */
	if (session_worker(past->id, workers) == session_worker(flow->id, workers))
		flow->id = past->id;
	flow->started = past->started;
	flow->datagrams_from_client = past->datagrams_from_client;
	flow->datagrams_from_upstream = past->datagrams_from_upstream;
	flow->bytes_from_client = past->bytes_from_client;
	flow->bytes_from_upstream = past->bytes_from_upstream;
	if (flow->offload_at != UINT64_MAX)
		flow->offload_at += past->datagrams_from_client;
}

struct udp_flow *udp_flow_reopen(struct udp_listener *listener, const struct udp_opening *opening,
				 const struct udp_past *past)
{
	struct udp_flow *flow = flow_create(listener, opening);

	if (flow == NULL)
		return NULL;
	remember(flow, past);
	if (flow->settings->max_sessions_per_client > 0)
		client_counts_take(listener->relay->client_counts, listener->quota,
				   &opening->client, 0, &flow->client_count);
	if (!udp_verdict_adopt(flow, opening) || !udp_dial(flow) || !establish(flow, opening))
		return NULL;
	udp_flow_assure(flow);
	return flow;
}

void udp_flow_dropped(struct udp_flow *flow, enum counter counters, unsigned datagrams, int error)
{
	struct relay *relay = flow->listener->relay;
	enum { FULL, TOO_LARGE, FAILED } cause = FAILED;
	uint64_t suppressed;

	if (error == -EAGAIN || error == -ENOBUFS || error == -ENOMEM)
		cause = FULL;
	else if (error == -EMSGSIZE)
		cause = TOO_LARGE;
	counter_add(&relay->counters, (enum counter)(counters + cause), datagrams);
	if (cause == FULL ||
	    !relay_admit_line(relay, &flow->claim.client, counters + cause, &suppressed))
		return;
	log_warning(
		"session", "datagrams dropped", LOG_NUMBER("id", flow->id),
		LOG_TEXT("listener", flow->settings->listener_name),
		LOG_ADDRESS("client", &flow->claim.client),
		LOG_TEXT("from", counters == COUNTER_REPLIES_DROPPED_FULL ? "upstream" : "client"),
		LOG_NUMBER("datagrams", datagrams), LOG_ERRNO("error", error),
		suppressed > 0 ? LOG_NUMBER("suppressed", suppressed) : LOG_NOTHING);
}
