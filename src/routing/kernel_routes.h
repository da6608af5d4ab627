/* SPDX-License-Identifier: MIT */
/*
 * The kernel's routes, as far as they decide where an upstream's answers go: read, looked up, added
 * and removed over NETLINK_ROUTE. Changing them takes CAP_NET_ADMIN, reading nothing.
 */
#ifndef MMPROXY_ROUTING_KERNEL_ROUTES_H
#define MMPROXY_ROUTING_KERNEL_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "routing/return_plan.h"

struct netlink;

/*
 * Adds `local default dev lo` to a table, tagged as ours. 1: it has been added; 0: it is there
 * already, whoever made it; -EEXIST: the table has another default; or -errno.
 */
int kernel_route_add(struct netlink *netlink, const struct return_route *route);
/* Removes it if it is tagged as ours. 1: it was there; 0: it was not; or -errno. */
int kernel_route_remove(struct netlink *netlink, const struct return_route *route);

/* A route, or what the kernel does with a packet that this host sends. */
struct kernel_lookup {
	uint8_t family;     /* enum address_family */
	uint8_t type;       /* RTN_LOCAL: it stays here */
	uint8_t length;     /* of the route's prefix, where the kernel says it */
	uint8_t protocol;   /* who made the route */
	uint32_t table;     /* whose route it was; 0: the kernel did not say */
	uint32_t interface; /* by which it leaves; 0: none */
	struct address
		preferred; /* the source that it gets if the socket has none; or ADDRESS_NONE */
	struct address gateway; /* or ADDRESS_NONE */
};

struct kernel_route_state {
	bool local;                 /* `local default dev lo` is in the table */
	bool ours;                  /* with our tag */
	bool occupied;              /* the table has routes, whatever they are */
	struct kernel_lookup other; /* a default route that is not local; ADDRESS_NONE: none */
};

int kernel_route_read(struct netlink *netlink, const struct return_route *route,
		      struct kernel_route_state *state);

/* Tables that have `local default dev lo`, each once. */
struct kernel_tables {
	uint32_t *tables;
	size_t count;
};

/* Those of a family. 0 or -errno. */
int kernel_local_tables_read(struct netlink *netlink, enum address_family family,
			     struct kernel_tables *tables);
void kernel_tables_finish(struct kernel_tables *tables);

/*
 * `from`: ADDRESS_NONE, or the packet's source. Ports are ignored. `iif`: 0 for what this host
 * sends itself, or the interface by which it came in.
 *
 * Returns 0, or -errno as the packet would meet it: -ENETUNREACH, -EHOSTUNREACH, -EACCES
 * (prohibited), -EINVAL (a source of 127.0.0.0/8 that no rule keeps on this host; with `iif`, a
 * source that no interface may send, or one that the reverse-path filter keeps from this host),
 * -EXDEV (with `iif`: one that the filter keeps from being passed on).
 */
int kernel_lookup(struct netlink *netlink, const struct address *to, const struct address *from,
		  uint32_t mark, unsigned iif, struct kernel_lookup *result);

#endif
