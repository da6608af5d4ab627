/* SPDX-License-Identifier: MIT */
/* How a byte of the input says where the rest is cut: all bytes apart, or pieces of all lengths. */
#ifndef MMPROXY_TESTS_FUZZ_CUTS_H
#define MMPROXY_TESTS_FUZZ_CUTS_H

#include <stddef.h>
#include <stdint.h>

/* Pieces of one byte each, before they grow: it is the beginning of a header that is decided on. */
#define FUZZ_CUTS_SINGLE 256
/* Of `how`: all in one piece. */
#define FUZZ_CUTS_NONE 255

struct fuzz_cuts {
	uint8_t how; /* 0: one byte each, as long as there are few; else the seed of their lengths
		      */
	uint32_t random;
	unsigned count;
};

/* The length of the next piece of what is `left`, which is at least 1. */
static inline size_t fuzz_cut(struct fuzz_cuts *cuts, size_t left)
{
	size_t length = 1;

	cuts->count++;
	if (cuts->how == 0) {
		if (cuts->count > FUZZ_CUTS_SINGLE)
			length = cuts->count;
	} else if (cuts->how == FUZZ_CUTS_NONE) {
		length = left;
	} else {
		cuts->random = cuts->random * 1664525u + 1013904223u + cuts->how;
		/* Short ones mostly; now and then all that there is. */
		length = 1 + (cuts->random >> 16) % (1u << (cuts->random >> 28));
	}
	return length < left ? length : left;
}

#endif
