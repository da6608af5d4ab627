/* SPDX-License-Identifier: MIT */
/* One doubt, and the flow stays a relay; there is a counter for each. */
#include "relay/udp_handover.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "offload/tuple.h"
#include "os/sys.h"
#include "os/wall_clock.h"
#include "relay/relay.h"
#include "relay/settings.h"
#include "relay/udp.h"
#include "relay/udp_spill.h"
#include "wire/proxy_header.h"

#define LOOPBACK_INTERFACE 1

#define LARGEST_PACKET 65535

/* Missing from libc's headers: asm/socket.h. */
#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

/*
 * Silence after which the kernel leaves a flow to the daemon, in milliseconds, in addition to its
 * idle timeout: it is the daemon's to end. And where there is none, so that no flow outlives it for
 * ever.
 */
#define IDLE_IN_ADDITION 1000
#define IDLE_AT_MOST     3600000

static bool stay(enum counter *stays, enum counter why)
{
	*stays = why;
	return false;
}

static const struct relay *relay_of(const struct udp_flow *flow)
{
	return flow->listener->relay;
}

/* The listener's address, as the balancer has asked for it. */
static int find_local(const struct udp_flow *flow, struct address *local)
{
	const struct udp_route *route = &flow->route;
	struct sockaddr_storage bound;
	int error = relay_of(flow)->sys->local_address(flow->listener->fd, &bound);
	uint16_t port;

	if (error < 0)
		return error;
	port = address_from_sockaddr(&bound).port;
	if (route->local_family == AF_INET)
		*local = address_from_ipv4((const uint8_t *)&route->local.in, port);
	else if (route->local_family == AF_INET6)
		*local = address_from_ipv6(route->local.in6.s6_addr, port);
	else
		*local = address_from_sockaddr(&bound);
	return 0;
}

/* Does what is sent there stay on this host? */
static bool is_own(const struct relay *relay, const struct address *address)
{
	const uint8_t loopback6[16] = {[15] = 1};

	if (address->family == ADDRESS_IPV4 && address->ip[0] == IN_LOOPBACKNET)
		return true;
	if (address->family == ADDRESS_IPV6 && memcmp(address->ip, loopback6, 16) == 0)
		return true;
	return prefix_set_contains(relay->own_addresses->own.addresses, address);
}

/*
 * The largest IP packet that gets from here to the balancer by the interface that it came by, or
 * -errno when none does. An IPv4 peer of a socket for both is told as IPv6 writes it.
 */
static int measure_way(const struct udp_flow *flow, const struct address *balancer)
{
	const struct sys *sys = relay_of(flow)->sys;
	struct sockaddr_storage peer;
	socklen_t length = address_to_sockaddr(balancer, &peer);
	int fd = sys->socket(peer.ss_family, SOCK_DGRAM), mtu;

	if (fd < 0)
		return fd;
	if (peer.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&peer)->sin6_scope_id = flow->route.peer.in6.sin6_scope_id;
	mtu = sys->set_option(fd, SOL_SOCKET, SO_BINDTOIFINDEX, (int)flow->route.interface);
	if (mtu == 0)
		mtu = sys->connect(fd, &peer, length);
	if (mtu == 0)
		mtu = sys->path_mtu(fd);
	sys->close(fd);
	return mtu;
}

/*
 * Would a reply come in pieces? They find no socket; and all that there can be fits lo, unless
 * somebody has made it smaller.
 */
static bool comes_whole(const struct udp_flow *flow)
{
	return relay_of(flow)->sys->path_mtu(flow->fd) >= LARGEST_PACKET;
}

static bool find_way(const struct udp_flow *flow, const struct address *local,
		     const struct address *balancer, struct udp_handover *handover,
		     enum counter *stays)
{
	struct datapath *datapath = relay_of(flow)->datapath;
	int mtu;

	handover->flow.interface = flow->route.interface;
	if (flow->route.interface == LOOPBACK_INTERFACE)
		return true;
	if (flow->route.interface == 0 ||
	    udp_datapath_way_out(datapath, local, balancer) != (int)flow->route.interface)
		return stay(stays, COUNTER_OFFLOAD_UDP_STAYED_WAY);
	if (udp_datapath_way_in(datapath, &flow->claim.client, &flow->claim.upstream) < 0)
		return stay(stays, COUNTER_OFFLOAD_UDP_STAYED_ROUTE);
	mtu = measure_way(flow, balancer);
	if (mtu <= 0)
		return stay(stays, COUNTER_OFFLOAD_UDP_STAYED_WAY);
	handover->flow.mtu = (uint32_t)mtu;
	return true;
}

/* Ones' complement sums of words as they are in memory, folded. */
static uint32_t add(uint32_t sum, uint32_t other)
{
	sum += other;
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t subtract(uint32_t sum, uint32_t other)
{
	return add(sum, ~other & 0xffff);
}

static uint32_t sum_of(const void *bytes, size_t length)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < length; i += sizeof(uint16_t)) {
		uint16_t word;

		memcpy(&word, (const uint8_t *)bytes + i, sizeof(word));
		sum = add(sum, word);
	}
	return sum;
}

static uint32_t sum_of_addresses(const struct offload_tuple *tuple)
{
	return add(sum_of(tuple->source, sizeof(tuple->source)),
		   sum_of(tuple->destination, sizeof(tuple->destination)));
}

static uint32_t sum_of_ports(const struct offload_tuple *tuple)
{
	return add(tuple->source_port, tuple->destination_port);
}

/* What `from` becomes on its way to `tuple`, so much shorter. */
static struct offload_udp_change change_of(const struct offload_tuple *from,
					   const struct offload_tuple *tuple, const uint8_t *header,
					   size_t shorter)
{
	uint32_t length = htons((uint16_t)shorter);
	uint32_t addresses = subtract(sum_of_addresses(tuple), sum_of_addresses(from));
	uint32_t rest = subtract(sum_of_ports(tuple), sum_of_ports(from));

	addresses = subtract(addresses, length);
	return (struct offload_udp_change){
		.tuple = *tuple,
		/* The length is in the pseudo header, in UDP's, and in IP's. */
		.addresses = addresses,
		.ip = addresses,
		.rest = subtract(subtract(rest, length), sum_of(header, shorter)),
	};
}

static struct offload_udp_change longer(const struct offload_tuple *from,
					const struct offload_tuple *tuple, const uint8_t *header,
					size_t length)
{
	struct offload_udp_change change = change_of(from, tuple, NULL, 0);
	uint32_t more = htons((uint16_t)length);

	change.addresses = change.ip = add(change.addresses, more);
	change.rest = add(add(change.rest, more), sum_of(header, length));
	return change;
}

static void find_changes(const struct udp_flow *flow, const struct address *local,
			 const struct address *balancer, struct udp_handover *handover)
{
	const struct udp_claim *claim = &flow->claim;
	struct offload_udp_flow *given = &handover->flow;
	const struct offload_tuple from = offload_tuple_of(balancer, local);
	const struct offload_tuple back = offload_tuple_turned(&from);
	const struct offload_tuple to = offload_tuple_of(&claim->client, &claim->upstream);
	const struct offload_tuple reply = offload_tuple_turned(&to);

	handover->places.key.tuple = from;
	handover->places.reply = reply;
	given->to_upstream = change_of(&from, &to, given->header, given->length);
	given->to_balancer = longer(&reply, &back, given->header,
				    given->framing == OFFLOAD_UDP_SPP ? given->length : 0);
	if (given->framing != OFFLOAD_UDP_BARE) {
		const struct offload_address client = offload_address_of(&claim->client);

		memcpy(handover->places.key.client, client.ip, sizeof(client.ip));
		handover->places.key.client_port = client.port;
	}
}

static enum offload_udp_framing framing_of(const struct udp_flow *flow)
{
	if (flow->header == PROXY_VERSION_SPP)
		return OFFLOAD_UDP_SPP;
	return flow->settings->udp.framing == UDP_FRAMING_FIRST ? OFFLOAD_UDP_BARE
								: OFFLOAD_UDP_EVERY;
}

static void fill_record(const struct udp_flow *flow, const struct address *balancer,
			struct udp_handover *handover)
{
	const struct udp_claim *claim = &flow->claim;
	struct offload_udp_record *record = &handover->record;
	uint64_t age = (relay_of(flow)->loop.now - flow->started) / 1000;

	*record = (struct offload_udp_record){
		.header_version = flow->header,
		.started = (uint64_t)wall_clock_seconds() - age,
		.before = {{flow->datagrams_from_client, flow->bytes_from_client},
			   {flow->datagrams_from_upstream, flow->bytes_from_upstream}},
		.balancer = offload_address_of(balancer),
		.client = offload_address_of(&claim->client),
		.destination = offload_address_of(&claim->destination),
		.key = handover->places.key,
		.reply = handover->places.reply,
	};
	_Static_assert(sizeof(flow->route) <= sizeof(record->route), "there is room for a route");
	memcpy(record->route, &flow->route, sizeof(flow->route));
	snprintf(record->listener, sizeof(record->listener), "%s", flow->settings->listener_name);
}

static bool judge_flow(const struct udp_flow *flow, const struct address *balancer,
		       enum counter *stays)
{
	if (flow->header_local)
		return stay(stays, COUNTER_OFFLOAD_UDP_STAYED_LOCAL);
	if (flow->port_replaced)
		return stay(stays, COUNTER_OFFLOAD_UDP_STAYED_PORT);
	if (balancer->family != flow->claim.client.family)
		return stay(stays, COUNTER_OFFLOAD_UDP_STAYED_FAMILY);
	if (!is_own(relay_of(flow), &flow->claim.upstream))
		return stay(stays, COUNTER_OFFLOAD_UDP_STAYED_UPSTREAM);
	if (!comes_whole(flow))
		return stay(stays, COUNTER_OFFLOAD_UDP_STAYED_MTU);
	return true;
}

static bool take_header(struct offload_udp_flow *given, const uint8_t *header, size_t length,
			enum counter *stays)
{
	/* A checksum is of words, which must stay words. */
	if (length > OFFLOAD_UDP_HEADER_MAX || length % 2 != 0)
		return stay(stays, COUNTER_OFFLOAD_UDP_STAYED_HEADER);
	given->length = (uint8_t)length;
	memcpy(given->header, header, length);
	return true;
}

bool udp_handover_prepare(const struct udp_flow *flow, const uint8_t *header, size_t length,
			  struct udp_handover *handover, enum counter *stays)
{
	const struct address balancer = udp_route_peer(&flow->route);
	struct relay *relay = flow->listener->relay;
	struct offload_udp_flow *given = &handover->flow;
	/* Not the drain's: the flow may be left to the kernel. */
	uint64_t idle = flow->listener->settings->udp.idle_timeout;
	struct address local;
	int error;

	*handover = (struct udp_handover){.places.id = flow->id};
	given->framing = (uint8_t)framing_of(flow);
	if (!judge_flow(flow, &balancer, stays) || !take_header(given, header, length, stays))
		return false;
	if (find_local(flow, &local) < 0)
		return stay(stays, COUNTER_OFFLOAD_UDP_STAYED_ERROR);
	find_changes(flow, &local, &balancer, handover);
	if (!find_way(flow, &local, &balancer, handover, stays))
		return false;
	given->spill_port =
		udp_spill_port(relay, (enum address_family)flow->claim.client.family, &error);
	if (error < 0)
		return stay(stays, COUNTER_OFFLOAD_UDP_STAYED_ERROR);
	given->moved = relay->sys->clock() * 1000;
	idle = idle == 0 || idle > IDLE_AT_MOST ? IDLE_AT_MOST : idle + IDLE_IN_ADDITION;
	given->idle = idle * 1000000;
	fill_record(flow, &balancer, handover);
	return true;
}
