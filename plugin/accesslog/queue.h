/* SPDX-License-Identifier: MIT */
/*
 * Between the workers, which must not wait, and a disk, which may make them: a bounded buffer and a
 * thread. Records are bytes here; whoever writes them out knows where one ends.
 */
#ifndef ACCESSLOG_QUEUE_H
#define ACCESSLOG_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Records, one behind the other. */
struct queue_batch {
	char *bytes;
	size_t length;
	uint64_t records;
};

/* What became of a batch, and of what came while the one before it was written. */
struct queue_outcome {
	uint64_t written; /* records */
	uint64_t failed;  /* could not be written */
	uint64_t refused; /* found the buffer full */
	int error;        /* the negative errno behind `failed`, or 0 */
};

/* Both run on the queue's thread. */
struct queue_user {
	void *context;
	/* Writes out whole records, *written of them. Returns 0 when that is all, or -errno. */
	int (*write)(void *context, const struct queue_batch *batch, uint64_t *written);
	/* After each batch; and once more at the end, `last`, with nothing new. */
	void (*report)(void *context, const struct queue_outcome *outcome, bool last);
};

struct queue;

/* Room for `size` bytes that wait, besides those being written. Starts the thread. 0 or -errno. */
int queue_create(struct queue **created, size_t size, const struct queue_user *user);

/* Any thread. False when there is no room; the record is dropped. */
bool queue_append(struct queue *queue, const void *record, size_t length);

/* Writes out what is left, and ends the thread. Nobody may append any more. */
void queue_destroy(struct queue *queue);

#endif
