/* SPDX-License-Identifier: MIT */
/*
 * The kernel's reverse-path filter, which drops a packet from an address that it would not send to
 * by the interface that the packet came in. What comes in by lo is not filtered: its route was
 * decided when it was sent.
 */
#ifndef MMPROXY_DOCTOR_RP_FILTER_H
#define MMPROXY_DOCTOR_RP_FILTER_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

struct netlink;

enum rp_filter_mode {
	RP_FILTER_OFF,
	RP_FILTER_STRICT, /* the route back leaves by the same interface */
	RP_FILTER_LOOSE,  /* there is a route back */
};

struct rp_filter {
	char interface[IFNAMSIZ];
	enum rp_filter_mode mode; /* the greater of all's and the interface's own */
	bool by_all;              /* it is conf/all that says so: the command has to change that */
	bool src_valid_mark;      /* the packet's mark counts for the route back */
};

/* 0; -ENOENT: no such interface (or IPv6, which has no such filter). */
int rp_filter_read(const char *interface, struct rp_filter *filter);

/*
 * Would an answer from the upstream to the client, coming in by this interface, be dropped by it?
 * 1: yes. 0: no. -errno: the kernel could not be asked. `netlink`: of NETLINK_ROUTE.
 */
int rp_filter_drops(struct netlink *netlink, const struct address *upstream,
		    const struct address *client, uint32_t mark, unsigned interface);

/* For how many interfaces that is so; `interface` is set to one of them. */
unsigned rp_filter_find(struct netlink *netlink, const struct address *upstream,
			const struct address *client, uint32_t mark, unsigned *interface);

/* TcpExt IPReversePathFilter: packets that it has dropped in this namespace. */
uint64_t rp_filter_count(void);

/* The same, out of the text of /proc/net/netstat. 0 when it is not there. */
uint64_t rp_filter_count_in(const char *netstat);

#endif
