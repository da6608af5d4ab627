/* SPDX-License-Identifier: MIT */
/* What the daemon said at one moment, and how fast things went between two. Pure. */
#ifndef MMPROXY_CTL_TOP_SAMPLE_H
#define MMPROXY_CTL_TOP_SAMPLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is asked for a sample, in this order. */
enum top_part { TOP_STATUS, TOP_LISTENERS, TOP_CLIENTS, TOP_COUNTERS, TOP_PART_COUNT };

struct top_sample {
	double time;                   /* seconds of a clock that does not jump */
	json_t *parts[TOP_PART_COUNT]; /* results; NULL: not there yet */
};

/* The request for a part. */
const char *top_sample_request(enum top_part part);

void top_sample_finish(struct top_sample *sample);

/*
 * How many a second. -1, unknown: where there is no time between the two, and where the figure
 * fell, as that of a client does when one of its sessions ends.
 */
double top_rate(uint64_t before, uint64_t after, double seconds);

/* Whether both are of one process, and in order: else there is nothing to compare. */
bool top_sample_follows(const struct top_sample *before, const struct top_sample *after);

/* A counter; 0: there is none of this name. */
uint64_t top_sample_counter(const struct top_sample *sample, const char *name);

/* In these, `before` may be NULL or of another process; then every rate is unknown. */
double top_counter_rate(const struct top_sample *before, const struct top_sample *after,
			const char *name);

/* Of the element of an array (TOP_LISTENERS, TOP_CLIENTS) that has this text at `key`. */
double top_element_rate(const struct top_sample *before, const struct top_sample *after,
			enum top_part part, const char *key, const char *text, const char *figure);

/* Why sessions were refused or failed, or datagrams dropped. */
struct top_cause {
	char name[64]; /* a close reason, or a counter's name */
	uint64_t total;
	double rate;
};

/*
 * Fills the causes that have happened at all, the fastest first, then the most frequent. Returns
 * how many there are, at most `room`.
 */
size_t top_sample_causes(const struct top_sample *before, const struct top_sample *after,
			 struct top_cause *causes, size_t room);

#endif
