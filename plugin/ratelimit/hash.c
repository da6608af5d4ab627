/* SPDX-License-Identifier: MIT */
/* The hash: two words and the length are all that ever goes in, so there are no loops over it. */
#include "hash.h"

#include <endian.h>
#include <string.h>

static inline uint64_t rotate(uint64_t value, unsigned bits)
{
	return value << bits | value >> (64 - bits);
}

/* Section 2.1, figure 2.1. */
static inline void round_of(uint64_t v[static 4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static inline void add_word(uint64_t v[static 4], uint64_t word)
{
	v[3] ^= word;
	round_of(v);
	v[0] ^= word;
}

uint64_t ratelimit_hash(const struct ratelimit_key *key, const uint8_t client[static 16])
{
	uint64_t v[4] = {
		key->halves[0] ^ 0x736f6d6570736575,
		key->halves[1] ^ 0x646f72616e646f6d,
		key->halves[0] ^ 0x6c7967656e657261,
		key->halves[1] ^ 0x7465646279746573,
	};
	uint64_t words[2];

	memcpy(words, client, sizeof(words));
	add_word(v, le64toh(words[0]));
	add_word(v, le64toh(words[1]));
	add_word(v, (uint64_t)16 << 56); /* no bytes are left over; the length */
	v[2] ^= 0xff;
	round_of(v);
	round_of(v);
	round_of(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
