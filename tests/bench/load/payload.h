/* SPDX-License-Identifier: MIT */
/*
 * What the TCP bench sends: a text that repeats, in which no byte occurs twice. So the first byte
 * of a stream tells where in the text it began, and any later part can be compared.
 */
#ifndef MMPROXY_BENCH_PAYLOAD_H
#define MMPROXY_BENCH_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most that is sent or compared at once. */
#define PAYLOAD_PIECE_MAX 65536

struct payload {
	size_t period; /* bytes until it repeats */
	uint8_t bytes[PAYLOAD_PIECE_MAX + 256];
};

/* How far a stream has come. */
struct payload_place {
	bool begun;
	uint8_t offset; /* of the next byte, in the text */
};

/* All 251 values below 251; 251 is prime, so that pieces of a stream seldom begin alike. */
void payload_init(struct payload *payload);
/* A text of 1 to 255 bytes. False when a byte occurs twice. */
bool payload_init_text(struct payload *payload, const char *text);

/* The next `length` bytes of a stream, at most PAYLOAD_PIECE_MAX; payload_advance() uses them up.
 */
const uint8_t *payload_next(const struct payload *payload, const struct payload_place *place);
void payload_advance(const struct payload *payload, struct payload_place *place, size_t length);

/* Are these the next bytes? Advances by them. At most PAYLOAD_PIECE_MAX. */
bool payload_check(const struct payload *payload, struct payload_place *place, const uint8_t *bytes,
		   size_t length);

#endif
