/* SPDX-License-Identifier: MIT */
/* Bytes that had to be kept: an unfinished header, or what a blocked writer did not take. */
#ifndef MMPROXY_RELAY_CHUNK_H
#define MMPROXY_RELAY_CHUNK_H

#include <stddef.h>
#include <stdint.h>

struct chunk {
	size_t start; /* of the bytes that are still wanted */
	size_t end;
	size_t capacity;
	uint8_t bytes[];
};

/* A copy of the bytes, with room for `capacity` in all; NULL when out of memory. */
struct chunk *chunk_create(const uint8_t *bytes, size_t length, size_t capacity);

/* Makes room for `capacity` bytes in all. Returns 0, or -ENOMEM with the chunk as it was. */
int chunk_grow(struct chunk **chunk, size_t capacity);

#endif
