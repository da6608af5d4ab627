/* SPDX-License-Identifier: MIT */
/*
 * How long things took, so that any share of them can be told: buckets of equal width within each
 * power of two, so that a figure is at most 1/64 above what was measured, from nanoseconds to
 * minutes.
 *
 * A load that waits for each answer before it sends the next measures too little when the server
 * pauses: what it would have sent meanwhile is never measured ("coordinated omission"). So what is
 * recorded by a paced load is the time since it was due, not since it was sent.
 */
#ifndef MMPROXY_BENCH_LATENCY_H
#define MMPROXY_BENCH_LATENCY_H

#include <stdint.h>

#define LATENCY_STEPS   64 /* buckets a power of two */
#define LATENCY_BUCKETS (LATENCY_STEPS * 34)

/* All zero: nothing recorded yet. */
struct latency {
	uint64_t counts[LATENCY_BUCKETS];
	uint64_t total;
	uint64_t longest; /* nanoseconds */
};

void latency_record(struct latency *latency, int64_t nanoseconds); /* below zero: as zero */

/* What `share` of all did not exceed, in nanoseconds: 0.5 for the median. 0 when there is nothing.
 */
uint64_t latency_percentile(const struct latency *latency, double share);

/* " p50_us=12.3 p99_us=… p999_us=… max_us=…", as the bench's tools append it to their result. */
void latency_print(const struct latency *latency);

#endif
