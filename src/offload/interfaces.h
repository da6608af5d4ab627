/* SPDX-License-Identifier: MIT */
/* The interfaces of this host, as the kernel lists them, and at which of them sessions can be seen.
 */
#ifndef MMPROXY_OFFLOAD_INTERFACES_H
#define MMPROXY_OFFLOAD_INTERFACES_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum interface_kind {
	INTERFACE_LOOPBACK,
	INTERFACE_ETHERNET,
	INTERFACE_PORT, /* the same, of a bridge, bond or the like, whose own ingress comes later */
	INTERFACE_OTHER, /* without packets as Ethernet has them */
};

/* Of lo: what /proc/sys/net/ipv4/conf/lo says, which a sandbox may hide. */
struct interface_settings {
	bool known;
	bool route_localnet;
	bool accept_local;
	unsigned rp_filter;
};

struct interface {
	unsigned index;
	char name[IF_NAMESIZE];
	enum interface_kind kind;
};

struct interfaces {
	struct interface *list;
	size_t count;
	struct interface_settings lo;
};

/* 0 or -errno; to be finished in any case. */
int interfaces_read(struct interfaces *interfaces);
void interfaces_finish(struct interfaces *interfaces);

/* Should it have the filter? */
static inline bool interface_takes_filter(const struct interface *interface)
{
	return interface->kind == INTERFACE_LOOPBACK || interface->kind == INTERFACE_ETHERNET;
}

/* "it is ...": why it has none. Only of those that do not take it. */
const char *interface_kind_reason(enum interface_kind kind);

/* rp_filter of `all`, from netlink; or -errno. */
int interfaces_rp_filter_all(void);

/* A netlink descriptor, non-blocking, that is readable after interfaces have changed; or -errno. */
int interfaces_open_notices(void);
void interfaces_drain_notices(int fd);

#endif
