/* SPDX-License-Identifier: MIT */
/*
 * Of UDP: what the kernel's program and the daemon share. See layout.h, of which this is a part:
 * any change here takes another OFFLOAD_LAYOUT as well.
 */
#ifndef MMPROXY_OFFLOAD_UDP_LAYOUT_H
#define MMPROXY_OFFLOAD_UDP_LAYOUT_H

#include "offload/layout.h"

/* Flows that the kernel can carry at a time. */
#define OFFLOAD_UDP_FLOWS (1 << 17)

/* The longest header that the kernel compares, in bytes; of even length, as checksums are of words.
 */
#define OFFLOAD_UDP_HEADER_MAX  126
#define OFFLOAD_UDP_HEADER_SIZE 128 /* its place, a power of two for the verifier's sake */

/* An SPP header, in bytes. */
#define OFFLOAD_UDP_SPP_LENGTH 38

/*
 * The largest payload that the kernel moves to take a header away or to put one in front, in bytes.
 * A packet that is made longer must stay below four pages.
 */
#define OFFLOAD_UDP_MOVED_MAX 15000

/* Room for a struct udp_route. A change of it takes another OFFLOAD_LAYOUT, too. */
#define OFFLOAD_UDP_ROUTE_SIZE 64

/*
 * Whose datagram is it, from a balancer? `client` is as its header says, IPv4 as IPv6 writes it;
 * all zero where datagrams have none.
 */
struct offload_udp_key {
	struct offload_tuple tuple;
	__u32 client[4];
	__u16 client_port;
	__u16 unused[3];
};

enum offload_udp_framing {
	OFFLOAD_UDP_BARE,  /* the first had a header: what begins with one is the daemon's */
	OFFLOAD_UDP_EVERY, /* PROXY v2 */
	OFFLOAD_UDP_SPP,   /* replies have the header as well */
};

/*
 * What makes a datagram that arrives one that goes on. The sums are ones' complement, of 16-bit
 * words as they are in memory: what the new bytes add up to, less what the old ones did.
 */
struct offload_udp_change {
	struct offload_tuple tuple; /* replaces its own */
	__u32 addresses;            /* of the pseudo header, with its length */
	__u32 rest;                 /* of ports, length and the header that goes or comes */
	__u32 ip;                   /* of the IPv4 header */
	__u32 unused;
};

struct offload_udp_count {
	__u64 datagrams;
	__u64 bytes;     /* of payload */
	__u64 last_seen; /* the newest; nanoseconds, CLOCK_MONOTONIC; 0: none */
	__u64 unused[5]; /* a cache line: the two directions may be on two CPUs */
};

/* SO_MARK of the daemon's socket at `spill_port`: a privilege to set. */
#define OFFLOAD_UDP_SPILL_MARK 0x6d6d7270

struct offload_udp_flow {
	struct offload_udp_change to_upstream;
	struct offload_udp_change to_balancer;
	__u64 moved;      /* when the kernel got it; as last_seen */
	__u64 idle;       /* nanoseconds of silence after which it is the daemon's; 0: none */
	__u32 interface;  /* the index of the one the balancer is behind; 1: lo */
	__u32 mtu;        /* of the way to the balancer; a larger packet is the daemon's */
	__u16 spill_port; /* on lo: the socket for replies that are the daemon's; as on the wire */
	__u8 framing;     /* enum offload_udp_framing */
	__u8 length;      /* of the header */
	__u8 header[OFFLOAD_UDP_HEADER_SIZE]; /* zero behind its end */
	__u32 unused;
	struct offload_udp_count from_client;
	struct offload_udp_count from_upstream;
};

/* What only the daemon reads: all that a later one has to know of a flow. */
struct offload_udp_record {
	char listener[OFFLOAD_NAME_SIZE]; /* its name, and NUL */
	__u8 header_version;
	__u8 unused[6];
	__u64 started; /* seconds since the epoch */
	struct offload_udp_passed {
		__u64 datagrams;
		__u64 bytes;
	} before[2],        /* from the client and from the upstream, up to the move */
		counted[2]; /* of what the kernel has, by a daemon that has left */
	struct offload_address balancer, client, destination;
	struct offload_udp_key key;
	struct offload_tuple reply;         /* as replies arrive */
	__u8 route[OFFLOAD_UDP_ROUTE_SIZE]; /* struct udp_route, as the daemon has it */
};

#endif
