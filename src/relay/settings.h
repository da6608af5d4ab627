/* SPDX-License-Identifier: MIT */
/*
 * What a listener's sessions need to know, and nothing else: the relay never sees the
 * configuration. Immutable once published; a session holds `owner` for as long as it lives, so a
 * reload can put other settings beside these without disturbing it.
 */
#ifndef MMPROXY_RELAY_SETTINGS_H
#define MMPROXY_RELAY_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/prefix_set.h"
#include "base/refcount.h"

enum relay_port_conflict {
	RELAY_PORT_CONFLICT_ANY_PORT, /* keep the address, let the kernel pick a port */
	RELAY_PORT_CONFLICT_REFUSE,   /* refuse the session */
};

struct relay_settings {
	struct refcount *owner;                  /* the generation that holds all of this */
	const char *listener_name;               /* for logs */
	struct address forward_ipv4;             /* upstream of IPv4 clients, or ADDRESS_NONE */
	struct address forward_ipv6;             /* upstream of IPv6 clients, or ADDRESS_NONE */
	const struct prefix_set *subnets;        /* balancers that may connect; NULL: any */
	const struct prefix_set *permit_sources; /* opens what the source policy refuses; or NULL */
	uint32_t mark;                           /* SO_MARK of dialled sockets; 0: none */
	enum relay_port_conflict port_conflict;
	/* Milliseconds. */
	uint32_t header_timeout;
	uint32_t connect_timeout;
	uint32_t idle_timeout; /* 0: none */
	uint32_t user_timeout; /* 0: the kernel's own */
	uint32_t keepalive;    /* idle time before the first probe; 0: no keepalive */
	uint32_t max_header;   /* bytes, PROXY_V1_MAX_LENGTH to PROXY_V2_MAX_LENGTH */
	uint32_t max_sessions; /* of this listener; 0: what the descriptors allow */
};

#endif
