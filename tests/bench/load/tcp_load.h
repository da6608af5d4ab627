/* SPDX-License-Identifier: MIT */
/*
 * The loads of the TCP bench. Each runs from start to end, prints one line of name=value, and
 * returns whether every byte that came back was right and no connection failed.
 */
#ifndef MMPROXY_BENCH_TCP_LOAD_H
#define MMPROXY_BENCH_TCP_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "payload.h"
#include "tcp_connection.h"

enum stream_direction {
	STREAM_ECHO, /* to an echo server and back */
	STREAM_UP,   /* to a sink */
	STREAM_DOWN, /* from a source */
};

struct tcp_load_options {
	struct tcp_target target;
	struct payload payload;
	enum stream_direction direction;
	unsigned connections; /* at a time */
	size_t size;          /* bytes of a write, or of a message; 1 to PAYLOAD_PIECE_MAX */
	double warm_up;       /* seconds before counting begins */
	double seconds;       /* for which is counted */
	bool wait;            /* before it, as gate.h says */
	double rate; /* messages a second, all connections together; 0: as fast as it goes */
};

/* How long a load goes on before it looks again whether counting may begin; nanoseconds. */
#define TCP_LOAD_LOOK 1000000

/* Each connection sends and receives as much as it can. */
bool tcp_load_stream(const struct tcp_load_options *options);
/* Each connection has one message on its way to an echo server and back. */
bool tcp_load_ping(const struct tcp_load_options *options);
/* Each connection sends one message, gets it back, closes, and is followed by another. */
bool tcp_load_connect(const struct tcp_load_options *options);
/* All connections exchange one message, and stay until standard input ends. */
bool tcp_load_idle(const struct tcp_load_options *options);

/* CLOCK_MONOTONIC in nanoseconds. */
int64_t tcp_load_clock(void);

#endif
