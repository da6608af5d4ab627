/* SPDX-License-Identifier: MIT */
/*
 * What a fuzz target looks like: libFuzzer calls it, and so does replay.c in `make check`. What
 * targets share is here: a rule that must hold, and bytes with nothing behind them.
 */
#ifndef MMPROXY_TESTS_FUZZ_H
#define MMPROXY_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Aborts when the input shows a fault. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Unlike assert(), it is there in any build, and says what the input has broken. */
#define DEMAND(rule) fuzz_demand(rule, #rule, __FILE__, __LINE__)

static inline void fuzz_demand(bool holds, const char *rule, const char *file, int line)
{
	if (holds)
		return;
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, rule);
	abort();
}

/* An exact copy, to be freed: AddressSanitizer sees a read past its end. */
static inline void *fuzz_copy(const void *bytes, size_t length)
{
	void *copy = calloc(1, length > 0 ? length : 1);

	DEMAND(copy != NULL);
	if (length > 0)
		memcpy(copy, bytes, length);
	return copy;
}

/* The first byte of an input, taken off; 0 where there is none. Targets take their options so. */
static inline uint8_t fuzz_take(const uint8_t **bytes, size_t *size)
{
	if (*size == 0)
		return 0;
	(*size)--;
	return *(*bytes)++;
}

#endif
