/* SPDX-License-Identifier: MIT */
/*
 * What connection tracking knows: how a connection was translated, and how full the table is.
 * Nothing is asked where the kernel has no connection tracking in use, so that asking does not load
 * it.
 */
#ifndef MMPROXY_DOCTOR_CONNTRACK_H
#define MMPROXY_DOCTOR_CONNTRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

struct netlink;
struct nlmsghdr;

struct conntrack_fill {
	uint64_t count, max;
};

/* 0; -ENOENT: there is no connection tracking here. */
int conntrack_fill(struct conntrack_fill *fill);

struct conntrack_entry {
	struct address reply_source;      /* who answers; the upstream, unless translated */
	struct address reply_destination; /* to whom; the client, as the upstream sees it */
	uint32_t mark;
};

/*
 * The entry of a connection by its original direction. `netlink`: of NETLINK_NETFILTER. 0; -ENOENT:
 * it is not tracked; -errno. Takes CAP_NET_ADMIN.
 */
int conntrack_find(struct netlink *netlink, bool udp, const struct address *from,
		   const struct address *to, struct conntrack_entry *entry);

/* Reads one entry out of a ctnetlink message. 0 or -EINVAL. */
int conntrack_read(const struct nlmsghdr *message, struct conntrack_entry *entry);

#endif
