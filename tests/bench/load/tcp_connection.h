/* SPDX-License-Identifier: MIT */
/*
 * A connection of the TCP bench's load: a balancer's, with a PROXY header for a client that no
 * other connection has; or, without a header, the client's own.
 *
 * PROXY protocol: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, sections 2.1
 * and 2.2. Written apart from what the program reads it with, so that one mistake is not made
 * twice.
 *
 * For command-line tools: what goes wrong ends the program with one line.
 */
#ifndef MMPROXY_BENCH_TCP_CONNECTION_H
#define MMPROXY_BENCH_TCP_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "payload.h"

#define TCP_HEADER_MAX 107 /* the longest v1 line */

enum tcp_header_kind { TCP_HEADER_NONE, TCP_HEADER_V1, TCP_HEADER_V2 };

struct tcp_target {
	struct address to; /* IPv4 */
	enum tcp_header_kind header;
	uint64_t next_client; /* the number of the client that the next connection is for */
};

struct tcp_connection {
	int fd;
	struct payload_place sent_place, received_place;
	uint64_t sent, received; /* bytes of payload */
	size_t header_length;    /* what is still to be sent of it */
	uint8_t header[TCP_HEADER_MAX];
};

bool tcp_header_kind_parse(const char *text, enum tcp_header_kind *kind);

/*
 * Opens a non-blocking socket and has it connect, which may take its time. Connections come from
 * many addresses of 127.0.0.0/8: one has not ports enough for as many as a bench makes.
 */
void tcp_connection_open(struct tcp_connection *connection, struct tcp_target *target);

/* Sends the header, or its rest, together with `length` bytes of payload. Returns how many bytes of
 * payload were taken, 0 when none could be, or -errno. */
ssize_t tcp_connection_send(struct tcp_connection *connection, const struct payload *payload,
			    size_t length);

/* Receives and compares, at most `length` bytes. Returns how many bytes came, 0 at the end of the
 * stream, or -errno: -EAGAIN when there is nothing; -EBADMSG when it is not what was sent. */
ssize_t tcp_connection_receive(struct tcp_connection *connection, const struct payload *payload,
			       size_t length);

/* Waits until it is connected and has sent and got back `length` bytes. */
void tcp_connection_exchange(struct tcp_connection *connection, const struct payload *payload,
			     size_t length);

#endif
