/* SPDX-License-Identifier: MIT */
/*
 * What the kernel's programs and the daemon share: keys and values of the pinned maps. They outlive
 * the process, so any change here takes another OFFLOAD_LAYOUT, by which a later daemon knows them.
 *
 * Compiled for both, with the types of <linux/types.h> alone. Addresses and ports are as on the
 * wire, IPv4 as IPv6 writes it, ::ffff:a.b.c.d; everything else is in this host's order.
 */
#ifndef MMPROXY_OFFLOAD_LAYOUT_H
#define MMPROXY_OFFLOAD_LAYOUT_H

#include <linux/types.h>

#define OFFLOAD_LAYOUT 1

/* Keys of the map that tells about the others. It alone stays as it is in every layout. */
enum offload_about {
	OFFLOAD_ABOUT_LAYOUT, /* OFFLOAD_LAYOUT of those who made it */
	OFFLOAD_ABOUT_LIVE,   /* how many sessions and flows the kernel carries now */
	OFFLOAD_ABOUT_COUNT
};

/* Whose packet is it? As it arrives here. */
struct offload_tuple {
	__u32 source[4];
	__u32 destination[4];
	__u16 source_port;
	__u16 destination_port;
	__u32 unused; /* zero: a key is compared as a whole */
};

/* A session has two legs, each named after who is at its far end. */
enum offload_leg_name {
	OFFLOAD_BALANCER,
	OFFLOAD_UPSTREAM,
};

/* Of a tuple: whose it is. */
struct offload_place {
	__u64 session;
	__u32 leg; /* enum offload_leg_name: the one that it arrives by */
	__u32 unused;
};

enum offload_state {
	OFFLOAD_OBSERVED, /* its packets are the sockets'; what passes is noted */
	OFFLOAD_MOVED,    /* its packets go from leg to leg */
	OFFLOAD_ENDED,    /* as before, for the late ones */
};

/* Bits of a leg: what has come by it. */
enum offload_seen {
	OFFLOAD_SEEN_ANY = 1,       /* `end`, `acked` and `interface` are known */
	OFFLOAD_SEEN_TIMESTAMP = 2, /* so is `timestamp` */
	OFFLOAD_SEEN_FIN = 4,       /* `end` is behind it */
	OFFLOAD_SEEN_RESET = 8,
	OFFLOAD_SEEN_SYN = 16,   /* moved: of another connection between the same two */
	OFFLOAD_SEEN_ODD = 32,   /* fragments or unknown options, which cannot be carried over */
	OFFLOAD_SEEN_TAKEN = 64, /* nothing: a daemon has ended it, by offload_tcp_end */
};

/* How a packet goes on when it has become one of the other leg. */
enum offload_way {
	OFFLOAD_IN_PLACE,     /* it came by lo, and is for this host */
	OFFLOAD_TO_LOOPBACK,  /* it came by an interface, and is for this host */
	OFFLOAD_TO_NEIGHBOUR, /* it came by lo, and leaves by an interface */
};

/* What makes a packet of this leg one of the other; numbers are added, modulo 2^32. */
struct offload_change {
	struct offload_tuple tuple; /* replaces its own */
	__u32 sequence;
	__u32 acknowledgement; /* and the edges of SACK's blocks */
	__u32 timestamp;
	__u32 timestamp_echo;
	__u8 window_left; /* the window's value is shifted left and right, and is at most 65535 */
	__u8 window_right;
	__u8 way; /* enum offload_way */
	__u8 unused;
};

/* What changes with every packet. */
struct offload_leg {
	__u32 end;       /* sequence number behind the last that came by it */
	__u32 acked;     /* the highest acknowledgement that came by it */
	__u32 timestamp; /* the newest that came by it */
	__u8 seen;       /* enum offload_seen */
	__u8 unused[3];
	__s64 delivered; /* moved: bytes of the other leg that the far end has got since, and FIN */
};

/* The rest of a leg. */
struct offload_base {
	__u64 last_seen; /* its newest packet; nanoseconds, CLOCK_MONOTONIC */
	__u32 interface; /* the index of the one it came by */
	__u32 sent;      /* moved: by our socket, which may go when all of it is acknowledged */
	__u32 edge;      /* moved: behind the last byte that our socket takes */
	struct offload_change change;
};

/* Times are late by up to so many nanoseconds, and by a tick of the kernel's coarse clock. */
#define OFFLOAD_TICK (1 << 23)

/* Keys of the map of programs that offload_ingress goes on to. */
enum offload_next {
	OFFLOAD_NEXT_TCP, /* whatever is not UDP */
	OFFLOAD_NEXT_UDP,
	OFFLOAD_NEXT_COUNT
};

/*
 * The packets of the two legs are seen by different CPUs, between which each line of a cache that
 * one writes has to go. So what every packet writes stands together: lock and legs are 56 bytes,
 * and in one line where the kernel has 56 or 64 of its own in front of a value. Times are written
 * once in a tick.
 */
struct offload_session {
	__u64 last_active; /* when bytes last came, or arrived at the other end; as last_seen */
	__u32 lock;        /* struct bpf_spin_lock: read and written with BPF_F_LOCK */
	__u32 state;
	struct offload_leg legs[2];
	struct offload_base bases[2];
};

/* An address and a port, as in a tuple; or a family of zero, and nothing. */
struct offload_address {
	__u32 ip[4];
	__u16 port;
	__u16 family; /* 4 or 6 */
};

#define OFFLOAD_NAME_SIZE 65

/* What only the daemon reads: all that a later one has to know of a session that it takes over. */
struct offload_record {
	char listener[OFFLOAD_NAME_SIZE]; /* its name, and NUL */
	__u8 header_version;
	__u8 header_local;
	__u8 over; /* its end has been seen and told: it is here for late packets alone */
	__u8 unused[4];
	__u64 started;    /* seconds since the epoch */
	__u64 bytes[2];   /* from the client and from the upstream, up to the moment it was moved */
	__u64 counted[2]; /* the same, up to when a daemon has last written this */
	struct offload_address balancer, client, destination;
	struct {
		struct offload_tuple tuple; /* as its packets arrive */
		__u32 options;              /* TCPI_OPT_ of <linux/tcp.h> */
		__u16 segment;              /* the largest that our socket sent, in bytes */
		__u8 window_sent;           /* shifts: of the windows that we send, */
		__u8 window_received;       /* and of those that come */
	} legs[2];
};

/* To offload_tcp_move, as its packet. */
struct offload_move {
	__u64 session;
	struct {
		__u32 received; /* by our socket of this leg: moved only if nothing came since */
		__u32 sent;     /* by our socket of this leg */
		__u32 edge;     /* behind the last byte that it takes */
		struct offload_change change;
	} legs[2];
};

/* To offload_tcp_end, as its packet: it ends a session that was moved, and tells of it. */
struct offload_end {
	__u64 session;
	__u64 unused; /* a packet has at least 14 bytes */
};

/* What both return; the second only the first and the last. */
enum offload_move_result {
	OFFLOAD_MOVE_DONE,
	OFFLOAD_MOVE_LATE,    /* something has come since */
	OFFLOAD_MOVE_UNKNOWN, /* there is no such session, or it has been moved */
};

/* Of the ring of events: a session that was moved has ended. Nothing more is told of it. */
struct offload_event {
	__u64 session;
};

#endif
