/* SPDX-License-Identifier: MIT */
/*
 * A flow that the kernel has carried on while there was no mmproxy. It becomes an ordinary one,
 * with a socket, and is handed over anew as any: what passed meanwhile is known, and so are its
 * client and its upstream, also where only its first datagram had a header.
 */
#include <netinet/in.h>
#include <string.h>

#include "offload/tuple.h"
#include "offload/udp_datapath.h"
#include "os/log.h"
#include "os/sys.h"
#include "relay/relay.h"
#include "relay/settings.h"
#include "relay/udp.h"

unsigned udp_adopt_fit(const struct sys *sys, int fd, const struct offload_udp_record *record)
{
	const struct offload_tuple *tuple = &record->key.tuple;
	const struct address asked = address_from_ipv6((const uint8_t *)tuple->destination,
						       ntohs(tuple->destination_port));
	struct sockaddr_storage local;
	struct address bound;
	struct udp_route route;

	memcpy(&route, record->route, sizeof(route));
	/* One of both families writes IPv4 peers as IPv6 does. */
	if (sys->local_address(fd, &local) < 0 || local.ss_family != route.peer.any.sa_family)
		return 0;
	bound = address_from_sockaddr(&local);
	if (bound.port != asked.port)
		return 0;
	if (address_equal_ip(&bound, &asked))
		return 2;
	return address_is_wildcard(&bound) ? 1 : 0;
}

static struct udp_listener *find_listener(struct relay *relay,
					  const struct offload_udp_record *record)
{
	struct udp_listener *best = NULL;
	unsigned fits = 0;

	for (struct list *link = relay->udp_listeners.next; link != &relay->udp_listeners;
	     link = link->next) {
		struct udp_listener *listener = container_of(link, struct udp_listener, link);
		unsigned fit = 0;

		if (strcmp(listener->settings->listener_name, record->listener) == 0)
			fit = udp_adopt_fit(relay->sys, listener->fd, record);
		if (fit > fits) {
			best = listener;
			fits = fit;
		}
	}
	return best;
}

static struct udp_past past_of(const struct relay *relay, uint64_t id,
			       const struct offload_udp_record *record)
{
	return (struct udp_past){
		.id = id,
		.started = relay_time_of(relay, record->started),
		.datagrams_from_client = record->before[0].datagrams + record->counted[0].datagrams,
		.datagrams_from_upstream =
			record->before[1].datagrams + record->counted[1].datagrams,
		.bytes_from_client = record->before[0].bytes + record->counted[0].bytes,
		.bytes_from_upstream = record->before[1].bytes + record->counted[1].bytes,
	};
}

static struct udp_flow *reopen(struct udp_listener *listener, uint64_t id,
			       const struct offload_udp_record *record)
{
	const bool first = listener->settings->udp.framing == UDP_FRAMING_FIRST;
	const struct udp_past past = past_of(listener->relay, id, record);
	struct udp_route route;
	struct flow_key key = {0};
	struct udp_opening opening = {
		.key = &key,
		.route = &route,
		.client = offload_address_read(&record->client),
		.destination = offload_address_read(&record->destination),
		.header = record->header_version,
	};

	memcpy(&route, record->route, sizeof(route));
	if (first) {
		key.source = offload_address_read(&record->balancer);
	} else {
		key.source = opening.client;
		key.destination = opening.destination;
	}
	opening.hash = flow_table_hash(&listener->flows, &key);
	return udp_flow_reopen(listener, &opening, &past);
}

static void count(struct udp_flow *flow, const struct offload_udp_record *record,
		  const struct offload_udp_flow *noted)
{
	struct counter_set *counters = &flow->listener->relay->counters;
	uint64_t datagrams[] = {noted->from_client.datagrams - record->counted[0].datagrams,
				noted->from_upstream.datagrams - record->counted[1].datagrams};
	uint64_t bytes[] = {noted->from_client.bytes - record->counted[0].bytes,
			    noted->from_upstream.bytes - record->counted[1].bytes};

	flow->datagrams_from_client += datagrams[0];
	flow->datagrams_from_upstream += datagrams[1];
	flow->bytes_from_client += bytes[0];
	flow->bytes_from_upstream += bytes[1];
	counter_add(counters, COUNTER_DATAGRAMS_FROM_CLIENT, datagrams[0]);
	counter_add(counters, COUNTER_DATAGRAMS_FROM_UPSTREAM, datagrams[1]);
	counter_add(counters, COUNTER_BYTES_FROM_CLIENT, bytes[0]);
	counter_add(counters, COUNTER_BYTES_FROM_UPSTREAM, bytes[1]);
}

/* Another may have its place by now: a client whose balancer has failed over. */
static bool is_carried(struct datapath *datapath, uint64_t id,
		       const struct offload_udp_record *record)
{
	uint64_t found;

	return udp_datapath_find(datapath, &record->reply, &found) == 0 && found == id;
}

/* Of the listener that it came by; NULL when it cannot be, and that has been logged. */
static struct udp_flow *revive(struct relay *relay, uint64_t id,
			       const struct offload_udp_record *record)
{
	struct udp_listener *listener = find_listener(relay, record);
	const struct address client = offload_address_read(&record->client);

	if (listener != NULL)
		return reopen(listener, id, record);
	log_warning("offload", "a flow ends whose listener is gone", LOG_NUMBER("id", id),
		    LOG_TEXT("listener", record->listener), LOG_ADDRESS("client", &client));
	return NULL;
}

void udp_adopt(struct relay *relay, uint64_t id)
{
	struct udp_places places = {.id = id};
	struct offload_udp_record record;
	struct offload_udp_flow noted;
	struct udp_flow *flow = NULL;

	if (udp_datapath_read_record(relay->datapath, id, &record) < 0)
		return;
	record.listener[sizeof(record.listener) - 1] = '\0';
	/* Answers have somewhere to go at any time. */
	if (is_carried(relay->datapath, id, &record))
		flow = revive(relay, id, &record);
	places.key = record.key;
	places.reply = record.reply;
	udp_datapath_take(relay->datapath, &places);
	if (flow != NULL && udp_datapath_look(relay->datapath, id, &noted) == 0) {
		count(flow, &record, &noted);
		counter_add(&relay->counters, COUNTER_OFFLOAD_ADOPTED, 1);
	}
	udp_datapath_forget(relay->datapath, id);
}
