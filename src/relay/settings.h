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

enum relay_protocol {
	RELAY_PROTOCOL_TCP,
	RELAY_PROTOCOL_UDP,
};

static inline const char *relay_protocol_name(enum relay_protocol protocol)
{
	return protocol == RELAY_PROTOCOL_UDP ? "udp" : "tcp";
}

/* Where the header stands in what a UDP balancer sends. */
enum udp_framing {
	UDP_FRAMING_EVERY, /* PROXY v2 in front of every datagram */
	UDP_FRAMING_FIRST, /* PROXY v2 in front of a flow's first datagram only */
	UDP_FRAMING_SPP,   /* Simple Proxy Protocol in front of every datagram and every reply */
};

struct dial_timeouts;
struct plugin_chain;

struct relay_settings {
	struct refcount *owner;    /* the generation that holds all of this */
	const char *listener_name; /* for logs */
	enum relay_protocol protocol;
	struct address forward_ipv4;             /* upstream of IPv4 clients, or ADDRESS_NONE */
	struct address forward_ipv6;             /* upstream of IPv6 clients, or ADDRESS_NONE */
	const struct prefix_set *subnets;        /* balancers that may connect; NULL: any */
	const struct prefix_set *permit_sources; /* opens what the source policy refuses; or NULL */
	const struct plugin_chain *plugins;      /* what sessions have to pass; NULL: nothing */
	struct dial_timeouts *dial_timeouts;     /* who is told of them; NULL: nobody */
	uint32_t mark;                           /* SO_MARK of dialled sockets; 0: none */
	bool offload;                            /* hand over to the kernel what can be */
	enum relay_port_conflict port_conflict;
	/* Milliseconds. */
	uint32_t header_timeout;
	uint32_t connect_timeout;
	uint32_t idle_timeout;            /* 0: none */
	uint32_t user_timeout;            /* 0: the kernel's own */
	uint32_t keepalive;               /* idle time before the first probe; 0: no keepalive */
	uint32_t max_header;              /* bytes, PROXY_V1_MAX_LENGTH to PROXY_V2_MAX_LENGTH */
	uint32_t max_sessions;            /* of this listener; 0: what the descriptors allow */
	uint32_t max_sessions_per_client; /* of those, or of its flows; 0: no limit */
	uint32_t max_waiting_headers;     /* of this listener's sessions; 0: no limit */
	struct {
		enum udp_framing framing;
		uint32_t idle_timeout; /* milliseconds; 0: none */
		uint32_t max_flows;    /* of this listener, all workers together */
	} udp;
};

/* The upstream of clients of this family; ADDRESS_NONE when there is none. */
static inline const struct address *relay_settings_forward(const struct relay_settings *settings,
							   uint8_t family)
{
	return family == ADDRESS_IPV4 ? &settings->forward_ipv4 : &settings->forward_ipv6;
}

#endif
