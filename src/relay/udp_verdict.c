/* SPDX-License-Identifier: MIT */
/*
 * May this flow be? The listener's plugins are asked once a flow. While one takes its time the flow
 * has its place in the table but no socket, and its datagrams wait. A client that was refused is
 * remembered for a moment, so that it costs no verdict a datagram.
 */
#include <stdlib.h>

#include "base/denial_cache.h"
#include "host/plugin_session.h"
#include "relay/relay.h"
#include "relay/session_plugins.h"
#include "relay/settings.h"
#include "relay/udp.h"
#include "relay/udp_waiting.h"

bool udp_verdict_remembers(const struct udp_listener *listener, const struct flow_key *key,
			   uint64_t hash, const struct flow_key *who)
{
	struct relay *relay = listener->relay;
	const struct flow_key *denied =
		denial_cache_find(listener->denials, key, hash, relay->loop.now);

	if (denied == NULL || (who != NULL && !flow_key_equal(denied, who)))
		return false;
	counter_add(&relay->counters, COUNTER_DATAGRAMS_DROPPED_DENIED, 1);
	return true;
}

void udp_verdict_remember(struct udp_listener *listener, const struct flow_key *key, uint64_t hash,
			  const struct flow_key *who)
{
	if (listener->denials == NULL)
		listener->denials = calloc(1, sizeof(*listener->denials));
	if (listener->denials != NULL)
		denial_cache_add(listener->denials, key, hash, who, listener->relay->loop.now);
}

static void refused(struct udp_flow *flow, const struct flow_key *key, uint64_t hash)
{
	const struct address balancer = udp_route_peer(&flow->route);
	const struct flow_key who = {flow->claim.client, flow->claim.destination};
	enum close_reason reason = plugin_session_refusal(flow->plugins).reason;

	session_plugins_log_refusal(flow->listener->relay, flow->settings, flow->plugins, &balancer,
				    &flow->claim.client);
	/* A plugin that failed may be well again in a moment. */
	if (reason == CLOSE_PLUGIN_DENIED || reason == CLOSE_PLUGIN_RESET)
		udp_verdict_remember(flow->listener, key, hash, &who);
	udp_flow_close(flow, reason);
}

/* The verdict that was awaited: never from within an event of the flow. */
static void decided(void *owner, enum plugin_ruling ruling)
{
	struct udp_flow *flow = owner;
	const struct flow_key key = flow->entry.key;
	struct relay *relay = flow->listener->relay;
	struct udp_waiting *waiting = flow->waiting;
	const uint8_t *bytes = waiting->bytes;

	if (ruling != PLUGIN_PASSED) {
		refused(flow, &key, flow->entry.hash);
		return;
	}
	if (!udp_dial(flow))
		return;
	counter_add(&relay->counters, COUNTER_SESSIONS_RELAYED, 1);
	flow->waiting = NULL;
	for (unsigned i = 0; i < waiting->count; i++) {
		udp_inbound_add(flow, bytes, waiting->lengths[i]);
		bytes += waiting->lengths[i];
	}
	udp_inbound_flush(relay);
	udp_waiting_destroy(waiting);
}

static struct plugin_session_facts facts_of(const struct udp_flow *flow,
					    const struct udp_opening *opening)
{
	return (struct plugin_session_facts){
		.id = flow->id,
		.started = flow->started,
		.listener = flow->settings->listener_name,
		.client = flow->claim.client,
		.destination = flow->claim.destination,
		.balancer = udp_route_peer(&flow->route),
		.upstream = flow->claim.upstream,
		.protocol = MMPROXY_PROTOCOL_UDP,
		.header = opening->header,
		.local = opening->header_local,
		.tlvs = opening->tlvs,
		.tlvs_length = opening->tlvs_length,
	};
}

static struct plugin_session *ask(struct udp_flow *flow, const struct udp_opening *opening)
{
	const struct plugin_session_facts facts = facts_of(flow, opening);

	return plugin_session_create(flow->settings->plugins, flow->listener->relay->tickets,
				     &facts, decided, flow);
}

bool udp_verdict_adopt(struct udp_flow *flow, const struct udp_opening *opening)
{
	const struct plugin_session_facts facts = facts_of(flow, opening);

	if (flow->settings->plugins == NULL)
		return true;
	flow->plugins = plugin_session_adopt(flow->settings->plugins,
					     flow->listener->relay->tickets, &facts);
	if (flow->plugins == NULL)
		udp_flow_close(flow, CLOSE_NO_MEMORY);
	return flow->plugins != NULL;
}

enum udp_verdict udp_verdict_ask(struct udp_flow *flow, const struct udp_opening *opening)
{
	if (flow->settings->plugins == NULL)
		return UDP_VERDICT_PASSED;
	flow->plugins = ask(flow, opening);
	if (flow->plugins == NULL) {
		udp_flow_close(flow, CLOSE_NO_MEMORY);
		return UDP_VERDICT_OVER;
	}
	switch (plugin_session_judge(flow->plugins)) {
	case PLUGIN_PASSED:
		return UDP_VERDICT_PASSED;
	case PLUGIN_REFUSED:
		refused(flow, opening->key, opening->hash);
		return UDP_VERDICT_OVER;
	case PLUGIN_AWAITED:
		break;
	}
	flow->waiting = udp_waiting_create();
	if (flow->waiting != NULL)
		return UDP_VERDICT_AWAITED;
	udp_flow_close(flow, CLOSE_NO_MEMORY);
	return UDP_VERDICT_OVER;
}
