/* SPDX-License-Identifier: MIT */
/*
 * Two buffers that change places: workers append to one under the mutex, for as long as a memcpy
 * takes, while the thread writes out the other. The slower the disk, the larger the batches.
 */
#include "queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

struct queue {
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	pthread_t thread;
	size_t size;
	struct queue_batch waiting; /* under the mutex */
	uint64_t refused;           /* under the mutex; since the last batch was taken */
	bool ending;                /* under the mutex */
	struct queue_batch taken;   /* the thread's */
	struct queue_user user;
};

/* Waits for records and takes them all. False when there are none and will be none. */
static bool take_batch(struct queue *queue, struct queue_outcome *outcome)
{
	struct queue_batch empty = queue->taken;

	empty.length = 0;
	empty.records = 0;
	pthread_mutex_lock(&queue->mutex);
	while (queue->waiting.length == 0 && !queue->ending)
		pthread_cond_wait(&queue->wake, &queue->mutex);
	queue->taken = queue->waiting;
	queue->waiting = empty;
	*outcome = (struct queue_outcome){.refused = queue->refused};
	queue->refused = 0;
	pthread_mutex_unlock(&queue->mutex);
	return queue->taken.length > 0;
}

static void *write_batches(void *context)
{
	struct queue *queue = context;
	const struct queue_user *user = &queue->user;
	struct queue_outcome outcome;

	prctl(PR_SET_NAME, "accesslog");
	while (take_batch(queue, &outcome)) {
		outcome.error = user->write(user->context, &queue->taken, &outcome.written);
		outcome.failed = queue->taken.records - outcome.written;
		user->report(user->context, &outcome, false);
	}
	user->report(user->context, &outcome, true);
	return NULL;
}

static void free_buffers(struct queue *queue)
{
	free(queue->waiting.bytes);
	free(queue->taken.bytes);
	free(queue);
}

int queue_create(struct queue **created, size_t size, const struct queue_user *user)
{
	struct queue *queue = calloc(1, sizeof(*queue));
	int error = ENOMEM;

	if (queue == NULL)
		return -ENOMEM;
	queue->size = size;
	queue->user = *user;
	queue->waiting.bytes = malloc(size);
	queue->taken.bytes = malloc(size);
	pthread_mutex_init(&queue->mutex, NULL);
	pthread_cond_init(&queue->wake, NULL);
	if (queue->waiting.bytes != NULL && queue->taken.bytes != NULL)
		error = pthread_create(&queue->thread, NULL, write_batches, queue);
	if (error != 0) {
		free_buffers(queue);
		return -error;
	}
	*created = queue;
	return 0;
}

bool queue_append(struct queue *queue, const void *record, size_t length)
{
	struct queue_batch *waiting = &queue->waiting;
	bool first, room;

	pthread_mutex_lock(&queue->mutex);
	first = waiting->length == 0;
	room = length <= queue->size - waiting->length;
	if (room) {
		memcpy(waiting->bytes + waiting->length, record, length);
		waiting->length += length;
		waiting->records++;
	} else {
		queue->refused++;
	}
	pthread_mutex_unlock(&queue->mutex);
	if (room && first)
		pthread_cond_signal(&queue->wake);
	return room;
}

void queue_destroy(struct queue *queue)
{
	pthread_mutex_lock(&queue->mutex);
	queue->ending = true;
	pthread_mutex_unlock(&queue->mutex);
	pthread_cond_signal(&queue->wake);
	pthread_join(queue->thread, NULL);
	pthread_cond_destroy(&queue->wake);
	pthread_mutex_destroy(&queue->mutex);
	free_buffers(queue);
}
