/* SPDX-License-Identifier: MIT */
/*
 * Prometheus' text format, version 0.0.4, written into memory: a family is announced, then come its
 * samples. When memory runs out the rest is lost, and the end says so.
 */
#ifndef MMPROXY_DAEMON_EXPOSITION_H
#define MMPROXY_DAEMON_EXPOSITION_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct histogram_sum;

#define EXPOSITION_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct exposition {
	FILE *stream;
	char *text;
	size_t length;
};

enum exposition_type { EXPOSITION_COUNTER, EXPOSITION_GAUGE, EXPOSITION_HISTOGRAM };

/* A list of them ends with one without a name. */
struct exposition_label {
	const char *name;
	const char *value; /* any text; what is special is escaped */
};

#define EXPOSITION_LABELS(...) ((const struct exposition_label[]){__VA_ARGS__, {NULL, NULL}})

/* 0, or -ENOMEM with nothing to end. */
int exposition_begin(struct exposition *exposition);

/* The text, which is the caller's to free; NULL when memory ran out. */
char *exposition_end(struct exposition *exposition);

/* What stands before a family's samples, which follow together. */
void exposition_family(struct exposition *exposition, const char *name, enum exposition_type type,
		       const char *help);

/* One sample. `labels` may be NULL: none. */
void exposition_number(struct exposition *exposition, const char *name,
		       const struct exposition_label *labels, uint64_t value);

/* The same in seconds. */
void exposition_seconds(struct exposition *exposition, const char *name,
			const struct exposition_label *labels, uint64_t microseconds);

/* A histogram's samples, in seconds. */
void exposition_histogram(struct exposition *exposition, const char *name,
			  const struct histogram_sum *sum);

#endif
