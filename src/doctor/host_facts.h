/* SPDX-License-Identifier: MIT */
/*
 * What is so on this host whatever a listener wants of it: read once, judged by check_host.c.
 * Reading changes nothing but for sockets that are bound and closed again.
 */
#ifndef MMPROXY_DOCTOR_HOST_FACTS_H
#define MMPROXY_DOCTOR_HOST_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct netlink;

/* Ports that are named one by one. */
#define HOST_FACTS_PORTS 8

/* A port of a client's that no service of this host could bind. */
struct host_facts_port {
	uint16_t port;
	bool udp;
	uint8_t family; /* enum address_family */
};

enum host_facts_confinement {
	HOST_FACTS_UNCONFINED,
	HOST_FACTS_COMPLAINING, /* a profile for mmproxy that only logs */
	HOST_FACTS_ENFORCED,
};

struct host_facts {
	char release[65];      /* of the kernel: "6.1.0-28-amd64" */
	int transparent_ipv4;  /* setting IP_TRANSPARENT: 0 or -errno */
	int transparent_ipv6;  /* the same for IPv6; -EAFNOSUPPORT: the host has none */
	int policy_rules;      /* reading the rules of IPv4: 0 or -errno */
	bool net_admin;        /* this process holds CAP_NET_ADMIN */
	bool conntrack;        /* connections are tracked here */
	uint64_t tracked;      /* of at most */
	uint64_t tracked_most; /* this many */
	int unprivileged_port; /* from here on binding takes no privilege; -1: unknown */
	struct host_facts_port blocked[HOST_FACTS_PORTS]; /* the first of them */
	size_t blocked_count;                             /* all of them */
	int blocked_error;                                /* 0, or -errno: it could not be looked */
	bool selinux;                                     /* is enforcing */
	enum host_facts_confinement apparmor;
};

/* `routes`, `sockets`: of NETLINK_ROUTE and NETLINK_SOCK_DIAG, or NULL where there is none. */
void host_facts_read(struct host_facts *facts, struct netlink *routes, struct netlink *sockets);

/* What /sys/kernel/security/apparmor/profiles says of mmproxy: "NAME (MODE)" a line. Pure. */
enum host_facts_confinement host_facts_find_profile(const char *profiles);

#endif
