/* SPDX-License-Identifier: MIT */
/*
 * The beginning of one direction of a TCP connection, put together from segments that come in any
 * order and more than once. What has come first holds. Pure.
 */
#ifndef MMPROXY_CTL_DECODE_STREAM_H
#define MMPROXY_CTL_DECODE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/packet.h"

struct decode_segment;

/* Zeroed memory is a stream of which nothing has been seen. */
struct decode_stream {
	bool begun;            /* its first sequence number is known */
	bool late;             /* it is the first that was captured, not a SYN's */
	uint32_t base;         /* that number */
	uint64_t end;          /* bytes seen or known of, from there */
	uint64_t first_packet; /* with payload; 0: none so far */
	uint8_t *bytes;        /* `length` of them, without a hole */
	size_t length;
	size_t wanted;
	struct decode_segment *waiting; /* behind a hole, by their place */
	unsigned waiting_count;
};

/* Takes a segment in, and what it is good for: at most up to `wanted` bytes. */
void decode_stream_add(struct decode_stream *stream, const struct packet *packet, uint64_t number);

/* From now on no byte behind the first `wanted` is kept. */
void decode_stream_limit(struct decode_stream *stream, size_t wanted);

void decode_stream_finish(struct decode_stream *stream);

#endif
