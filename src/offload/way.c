/* SPDX-License-Identifier: MIT */
#include "offload/way.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>

#include "offload/conntrack.h"
#include "offload/datapath.h"
#include "offload/setting.h"
#include "offload/tuple.h"

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
	return offload_tuple_is_ipv4(tuple) &&
	       ntohl(tuple->destination[3]) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
}

/* A packet that comes in is not led to 127.0.0.0/8, not even by lo, unless that is allowed. */
static bool is_open(enum offload_way way, const struct offload_tuple *tuple)
{
	return way != OFFLOAD_TO_LOOPBACK || !is_loopback(tuple) ||
	       kernel_setting("net/ipv4/conf/lo/route_localnet") != 0 ||
	       kernel_setting("net/ipv4/conf/all/route_localnet") != 0;
}

int way_find(unsigned from, unsigned to, const struct offload_tuple *tuple)
{
	enum offload_way way = choose(from, to);

	return is_open(way, tuple) ? (int)way : -ENETUNREACH;
}
