/* SPDX-License-Identifier: MIT */
#include "offload/way.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "offload/conntrack.h"
#include "offload/datapath.h"
#include "offload/loopback.h"
#include "offload/tuple.h"
#include "routing/kernel_routes.h"
#include "routing/netlink.h"

#define STAYS_OPEN 1000 /* milliseconds */

/*
 * On lo a packet can stay where it is, with the route that it has. But it also has the entry of the
 * connection that it was of, and that of the other leg would see one side only.
 */
static enum offload_way choose(unsigned from, unsigned to)
{
	if (to != DATAPATH_LOOPBACK)
		return OFFLOAD_TO_NEIGHBOUR;
	return from == to && !conntrack_is_active() ? OFFLOAD_IN_PLACE : OFFLOAD_TO_LOOPBACK;
}

static bool is_loopback(const struct offload_tuple *tuple)
{
	return ntohl(tuple->destination[3]) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
}

static uint64_t now_milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Would lo let by what enters there? Not asked again for a while, once it does. */
static bool lo_is_open(const struct loopback_needs *needs)
{
	static _Atomic uint64_t open_until[2];
	_Atomic uint64_t *until = &open_until[needs->always.loopback_upstream];
	struct loopback_lack lacks[LOOPBACK_SETTING_COUNT];
	uint64_t now = now_milliseconds();

	if (now < atomic_load_explicit(until, memory_order_relaxed))
		return true;
	if (loopback_look(needs, lacks) != 0)
		return false;
	atomic_store_explicit(until, now + STAYS_OPEN, memory_order_relaxed);
	return true;
}

static struct address address_of(const __u32 ip[static 4], bool ipv4)
{
	struct offload_address address = {.family = ipv4 ? ADDRESS_IPV4 : ADDRESS_IPV6};

	memcpy(address.ip, ip, sizeof(address.ip));
	return offload_address_read(&address);
}

/* What this host's routes make of it where it has come in by `iif`, or 0: where it is sent. */
static int look_up(const struct offload_tuple *tuple, unsigned iif, struct kernel_lookup *found)
{
	bool ipv4 = offload_tuple_is_ipv4(tuple);
	struct address to = address_of(tuple->destination, ipv4);
	struct address from = address_of(tuple->source, ipv4);
	struct netlink *netlink = netlink_open(NETLINK_ROUTE);
	int error = netlink == NULL ? -errno : kernel_lookup(netlink, &to, &from, 0, iif, found);

	netlink_close(netlink);
	return error;
}

/*
 * Packets for a balancer leave by the interface that its own come by. Where this host's routes lead
 * elsewhere, nobody may be there who takes them.
 */
static bool leads_there(unsigned interface, const struct offload_tuple *tuple)
{
	struct kernel_lookup found = {0};

	return look_up(tuple, 0, &found) == 0 && found.interface == interface;
}

/*
 * Whether lo lets a packet by depends on rules and routes besides: if they make the client's
 * address one of this host, to bring answers back, it is a local source.
 */
static bool is_let_in(const struct offload_tuple *tuple)
{
	struct kernel_lookup found = {0};

	return look_up(tuple, DATAPATH_LOOPBACK, &found) == 0 && found.type == RTN_LOCAL;
}

int way_find(unsigned from, unsigned to, const struct offload_tuple *tuple)
{
	enum offload_way way = choose(from, to);
	struct loopback_needs needs = {0};

	if (way == OFFLOAD_TO_NEIGHBOUR)
		return leads_there(to, tuple) ? (int)way : -ENETUNREACH;
	if (way != OFFLOAD_TO_LOOPBACK || !offload_tuple_is_ipv4(tuple))
		return (int)way;
	needs.always.loopback_upstream = is_loopback(tuple);
	needs.always.other_upstream = !needs.always.loopback_upstream;
	return lo_is_open(&needs) && is_let_in(tuple) ? (int)way : -ENETUNREACH;
}
