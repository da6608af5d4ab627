/* SPDX-License-Identifier: MIT */
/* Pseudorandom streams (SplitMix64), any part of which can be made on its own. */
#include <string.h>

#include "tcp_churn.h"

#define STEP UINT64_C(0x9e3779b97f4a7c15)

static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

uint64_t churn_random(uint64_t *state)
{
	return mix(*state += STEP);
}

void churn_stream_fill(uint64_t seed, uint64_t offset, uint8_t *bytes, size_t length)
{
	while (length > 0) {
		uint64_t word = mix(seed + (offset / 8 + 1) * STEP);
		size_t skip = offset % 8, take = 8 - skip < length ? 8 - skip : length;

		memcpy(bytes, (uint8_t *)&word + skip, take);
		bytes += take;
		offset += take;
		length -= take;
	}
}

bool churn_stream_check(uint64_t seed, uint64_t offset, const uint8_t *bytes, size_t length)
{
	static uint8_t expected[CHURN_PIECE_MAX];

	churn_stream_fill(seed, offset, expected, length);
	return memcmp(bytes, expected, length) == 0;
}
