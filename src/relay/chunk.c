/* SPDX-License-Identifier: MIT */
/* Kept bytes. */
#include "relay/chunk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct chunk *chunk_create(const uint8_t *bytes, size_t length, size_t capacity)
{
	struct chunk *chunk = malloc(sizeof(*chunk) + capacity);

	if (chunk == NULL)
		return NULL;
	*chunk = (struct chunk){.end = length, .capacity = capacity};
	memcpy(chunk->bytes, bytes, length);
	return chunk;
}

int chunk_grow(struct chunk **chunk, size_t capacity)
{
	struct chunk *grown;

	if ((*chunk)->capacity >= capacity)
		return 0;
	grown = realloc(*chunk, sizeof(**chunk) + capacity);
	if (grown == NULL)
		return -ENOMEM;
	grown->capacity = capacity;
	*chunk = grown;
	return 0;
}
