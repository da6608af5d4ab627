/* SPDX-License-Identifier: MIT */
/* Counting durations. */
#include "base/histogram.h"

/* 1, 2.5 and 5 in each decade. */
const uint64_t histogram_bounds[HISTOGRAM_BOUNDS] = {
	100,   250,    500,    1000,   2500,    5000,    10000,   25000,
	50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000,
};

/* The only writer needs no locked instruction, a reader in another thread no more than this. */
static void add(_Atomic uint64_t *value, uint64_t amount)
{
	atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + amount,
			      memory_order_relaxed);
}

void histogram_observe(struct histogram *histogram, uint64_t microseconds)
{
	size_t bucket = 0;

	/* Most are short. */
	while (bucket < HISTOGRAM_BOUNDS && microseconds > histogram_bounds[bucket])
		bucket++;
	add(&histogram->buckets[bucket], 1);
	add(&histogram->sum, microseconds);
}

void histogram_add_to(const struct histogram *histogram, struct histogram_sum *sum)
{
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t count = atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);

		sum->buckets[i] += count;
		sum->count += count;
	}
	sum->sum += atomic_load_explicit(&histogram->sum, memory_order_relaxed);
}
