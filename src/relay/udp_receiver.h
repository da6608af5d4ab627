/* SPDX-License-Identifier: MIT */
/*
 * Receiving datagrams by the batch: a worker's slots, each with room for whatever the kernel may
 * put into one buffer, and what it says beside the bytes.
 */
#ifndef MMPROXY_RELAY_UDP_RECEIVER_H
#define MMPROXY_RELAY_UDP_RECEIVER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/address.h"

struct sys;

/* Datagrams, or bursts of them that the kernel has joined, taken in one call. */
#define UDP_RECEIVER_SLOTS 64

/* Where a datagram came from, and so where the answers go, and from which address of ours. */
struct udp_route {
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} peer;
	socklen_t peer_length;
	union {
		struct in_addr in;
		struct in6_addr in6;
	} local;
	sa_family_t local_family; /* 0: the socket is bound to one address anyway */
	unsigned interface;       /* its index, where the socket says so; else 0 */
};

struct udp_received {
	const uint8_t *bytes; /* in the slot: good until it is filled again */
	size_t length;
	size_t segment;         /* bytes of each datagram but the last in it; `length` of one */
	uint32_t overflow;      /* datagrams the socket has lost in all, as of this one; 0: none */
	struct udp_route route; /* set by a receiver with routes */
	/* What it was sent to, where the socket has IP_RECVORIGDSTADDR or the like. */
	struct sockaddr_storage destination;
};

struct udp_receiver {
	struct mmsghdr *messages;
	struct udp_receiver_slot *slots;
	uint8_t *bytes;
	bool routes;
	unsigned touched; /* slots, from the first on, of which some have been filled */
};

/* `routes`: for sockets that are not connected. Returns 0 or -ENOMEM. */
int udp_receiver_init(struct udp_receiver *receiver, bool routes);
void udp_receiver_finish(struct udp_receiver *receiver);

/* Fills up to `count` slots from `first` on. Returns how many, or -errno. */
int udp_receiver_fill(struct udp_receiver *receiver, const struct sys *sys, int fd, unsigned first,
		      unsigned count);

/* What is in a slot. */
void udp_receiver_read(const struct udp_receiver *receiver, unsigned slot,
		       struct udp_received *received);

struct address udp_route_peer(const struct udp_route *route);
bool udp_route_equal(const struct udp_route *a, const struct udp_route *b);

#endif
