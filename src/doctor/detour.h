/* SPDX-License-Identifier: MIT */
/*
 * A return path for the probe's address alone, put in for as long as a probe looks behind one that
 * is missing:
 *
 *	ip rule add pref 1 from UPSTREAM to PROBE lookup 1000000077
 *	ip route add local PROBE dev lo table 1000000077
 *
 * Both carry a protocol number of their own, by which the next run finds what a crashed one left.
 */
#ifndef MMPROXY_DOCTOR_DETOUR_H
#define MMPROXY_DOCTOR_DETOUR_H

#include <stdbool.h>

#include "base/address.h"

struct netlink;

#define DETOUR_PROTOCOL 110
#define DETOUR_TABLE    1000000077
#define DETOUR_PRIORITY 1

struct detour {
	struct address upstream, probe;
	bool rule, route; /* what of it is in place */
};

/* 0 or -errno, with nothing in place. `netlink`: of NETLINK_ROUTE. Takes CAP_NET_ADMIN. */
int detour_open(struct detour *detour, struct netlink *netlink, const struct address *upstream,
		const struct address *probe);
void detour_close(struct detour *detour, struct netlink *netlink);

/* Removes every rule of this family that carries our number, and the route to this probe's address.
 * 0, also when there is none; or -errno. */
int detour_remove_stale(struct netlink *netlink, const struct address *probe);

#endif
