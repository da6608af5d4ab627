/* SPDX-License-Identifier: MIT */
/*
 * How often something took how long: counts in fixed buckets, and the sum. Like a counter set it
 * has one writer and any number of readers, and is all zero at first.
 */
#ifndef MMPROXY_BASE_HISTOGRAM_H
#define MMPROXY_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Upper bounds of the buckets, in microseconds: 100 us to 10 s. What took longer is in one more. */
#define HISTOGRAM_BOUNDS  16
#define HISTOGRAM_BUCKETS (HISTOGRAM_BOUNDS + 1)
extern const uint64_t histogram_bounds[HISTOGRAM_BOUNDS];

struct histogram {
	_Atomic uint64_t buckets[HISTOGRAM_BUCKETS]; /* each for itself, not cumulative */
	_Atomic uint64_t sum;                        /* microseconds */
};

/* The writer's: something took so many microseconds. */
void histogram_observe(struct histogram *histogram, uint64_t microseconds);

/* Several histograms added up, or one at a moment, to be read at leisure. */
struct histogram_sum {
	uint64_t buckets[HISTOGRAM_BUCKETS];
	uint64_t count; /* what the buckets hold together */
	uint64_t sum;   /* microseconds */
};

/*
 * Any reader's: adds what is there. `count` always agrees with the buckets; the sum may lack, or
 * have before the others, what is being written at that moment.
 */
void histogram_add_to(const struct histogram *histogram, struct histogram_sum *sum);

#endif
