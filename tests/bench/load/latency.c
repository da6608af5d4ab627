/* SPDX-License-Identifier: MIT */
/* Latencies in log-linear buckets. */
#include "latency.h"

#include <stdio.h>

/* Up to twice LATENCY_STEPS each value has a bucket of its own; from there on each power of two has
 * LATENCY_STEPS. */
static unsigned bucket_of(uint64_t value)
{
	unsigned shift = 0, bucket;

	while (value >> shift >= 2 * LATENCY_STEPS)
		shift++;
	bucket = shift * LATENCY_STEPS + (unsigned)(value >> shift);
	return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

/* The highest value that falls into the bucket. */
static uint64_t bucket_top(unsigned bucket)
{
	unsigned shift = bucket < 2 * LATENCY_STEPS ? 0 : bucket / LATENCY_STEPS - 1;

	return (((uint64_t)(bucket - shift * LATENCY_STEPS) + 1) << shift) - 1;
}

void latency_record(struct latency *latency, int64_t nanoseconds)
{
	uint64_t value = nanoseconds > 0 ? (uint64_t)nanoseconds : 0;

	latency->counts[bucket_of(value)]++;
	latency->total++;
	if (value > latency->longest)
		latency->longest = value;
}

uint64_t latency_percentile(const struct latency *latency, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)latency->total), seen = 0;

	if (wanted >= latency->total)
		return latency->longest;
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		seen += latency->counts[i];
		if (seen > wanted)
			return bucket_top(i) < latency->longest ? bucket_top(i) : latency->longest;
	}
	return latency->longest;
}

void latency_print(const struct latency *latency)
{
	printf(" p50_us=%.1f p99_us=%.1f p999_us=%.1f max_us=%.1f",
	       (double)latency_percentile(latency, 0.5) / 1e3,
	       (double)latency_percentile(latency, 0.99) / 1e3,
	       (double)latency_percentile(latency, 0.999) / 1e3, (double)latency->longest / 1e3);
}
