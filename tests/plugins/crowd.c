/* SPDX-License-Identifier: MIT */
/*
 * The crowd: defers every verdict and gives it from threads of its own, a little later, for tests
 * with many sessions.
 *
 *	threads      how many there are, by default 2
 *	delay        milliseconds: each thread has its own share of it, so that verdicts come in
 *	             another order than they were asked for
 *	deny_every   each so many-th session is denied; 0, the default: none
 *
 * Its counters balance when all sessions are over: asked = closed = tickets + busy,
 * and tickets = completed + stale, where stale = cancelled. Each session has an allocation behind
 *its slot.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include <mmproxy/plugin.h>

#define THREADS_MAX 8

enum crowd_counter { ASKED, BUSY, TICKETS, COMPLETED, STALE, CANCELLED, CLOSED, COUNTERS };

struct job {
	struct job *next;
	mmproxy_ticket ticket;
	int verdict;
	struct timespec due;
};

/* The jobs of one thread, in the order that they are due. */
struct queue {
	struct crowd *crowd;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct job *first;
	struct job **end;
	int64_t delay; /* milliseconds */
	bool stop;
};

struct crowd {
	const struct mmproxy_host *host;
	struct mmproxy_instance *instance;
	int64_t threads;
	int64_t delay;
	int64_t deny_every;
	int counters[COUNTERS];
	atomic_uint_fast64_t asked;
	struct queue queues[THREADS_MAX];
};

static void count(const struct crowd *crowd, enum crowd_counter counter)
{
	crowd->host->count(crowd->instance, crowd->counters[counter], 1);
}

/* ---- Threads ---- */

static bool is_due(const struct job *job)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > job->due.tv_sec ||
	       (now.tv_sec == job->due.tv_sec && now.tv_nsec >= job->due.tv_nsec);
}

/* The next job that is due, or NULL when all is over. Waits, with the lock held. */
static struct job *wait_for_job(struct queue *queue)
{
	for (;;) {
		struct job *job = queue->first;

		if (queue->stop)
			return NULL;
		if (job == NULL) {
			pthread_cond_wait(&queue->changed, &queue->lock);
		} else if (is_due(job)) {
			queue->first = job->next;
			if (queue->first == NULL)
				queue->end = &queue->first;
			return job;
		} else {
			pthread_cond_timedwait(&queue->changed, &queue->lock, &job->due);
		}
	}
}

static void *work(void *argument)
{
	struct queue *queue = argument;
	const struct crowd *crowd = queue->crowd;
	struct job *job;

	pthread_mutex_lock(&queue->lock);
	while ((job = wait_for_job(queue)) != NULL) {
		int result;

		pthread_mutex_unlock(&queue->lock);
		result = crowd->host->complete(crowd->instance, job->ticket, job->verdict,
					       job->verdict == MMPROXY_DENY ? "out of luck" : NULL);
		count(crowd, result == 0 ? COMPLETED : STALE);
		free(job);
		pthread_mutex_lock(&queue->lock);
	}
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}

static int queue_start(struct queue *queue, struct crowd *crowd, int64_t delay)
{
	pthread_condattr_t attributes;

	queue->crowd = crowd;
	queue->delay = delay;
	queue->end = &queue->first;
	pthread_mutex_init(&queue->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	return -pthread_create(&queue->thread, NULL, work, queue);
}

/* What is left is stale: every session is over when an instance is closed. */
static void queue_stop(struct queue *queue)
{
	struct job *next;

	pthread_mutex_lock(&queue->lock);
	queue->stop = true;
	pthread_cond_signal(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
	pthread_join(queue->thread, NULL);
	for (struct job *job = queue->first; job != NULL; job = next) {
		next = job->next;
		if (queue->crowd->host->complete(queue->crowd->instance, job->ticket, MMPROXY_PASS,
						 NULL) == -ESTALE)
			count(queue->crowd, STALE);
		free(job);
	}
	pthread_cond_destroy(&queue->changed);
	pthread_mutex_destroy(&queue->lock);
}

static void queue_add(struct queue *queue, struct job *job)
{
	pthread_mutex_lock(&queue->lock);
	clock_gettime(CLOCK_MONOTONIC, &job->due);
	job->due.tv_nsec += queue->delay % 1000 * 1000000;
	job->due.tv_sec += queue->delay / 1000 + job->due.tv_nsec / 1000000000;
	job->due.tv_nsec %= 1000000000;
	*queue->end = job;
	queue->end = &job->next;
	if (queue->first == job)
		pthread_cond_signal(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
}

/* ---- Life ---- */

static void close_instance(void *state)
{
	struct crowd *crowd = state;

	for (int64_t i = 0; i < crowd->threads; i++)
		queue_stop(&crowd->queues[i]);
	free(crowd);
}

static int open_instance(const struct mmproxy_host *host, struct mmproxy_instance *instance,
			 const struct mmproxy_config *config, void **state)
{
	static const char *const names[COUNTERS] = {
		[ASKED] = "asked",         [BUSY] = "busy",   [TICKETS] = "tickets",
		[COMPLETED] = "completed", [STALE] = "stale", [CANCELLED] = "cancelled",
		[CLOSED] = "closed",
	};
	struct crowd *crowd = calloc(1, sizeof(*crowd));
	int64_t threads = 2;
	int error = 0;

	if (crowd == NULL)
		return -ENOMEM;
	crowd->host = host;
	crowd->instance = instance;
	if (host->config_int(config, "threads", 1, THREADS_MAX, &threads) < 0 ||
	    host->config_int(config, "delay", 0, 60000, &crowd->delay) < 0 ||
	    host->config_int(config, "deny_every", 0, INT32_MAX, &crowd->deny_every) < 0)
		error = -EINVAL;
	for (int i = 0; i < COUNTERS && error == 0; i++) {
		crowd->counters[i] = host->counter(instance, names[i]);
		if (crowd->counters[i] < 0)
			error = crowd->counters[i];
	}
	while (error == 0 && crowd->threads < threads) {
		struct queue *queue = &crowd->queues[crowd->threads];

		error = queue_start(queue, crowd, crowd->delay * (crowd->threads + 1) / threads);
		if (error == 0)
			crowd->threads++;
	}
	if (error < 0) {
		close_instance(crowd);
		return error;
	}
	*state = crowd;
	return 0;
}

/* ---- Sessions ---- */

static int filter(void *state, const struct mmproxy_conn *conn)
{
	struct crowd *crowd = state;
	uint_fast64_t number = atomic_fetch_add(&crowd->asked, 1) + 1;
	bool denied = crowd->deny_every > 0 && number % (uint64_t)crowd->deny_every == 0;
	struct job *job = calloc(1, sizeof(*job));
	uint64_t *memory = malloc(sizeof(*memory));

	count(crowd, ASKED);
	*conn->slot = memory;
	if (job == NULL || memory == NULL) {
		free(job);
		return -ENOMEM;
	}
	*memory = conn->id;
	job->ticket = crowd->host->defer(conn);
	if (job->ticket == 0) {
		count(crowd, BUSY);
		free(job);
		return -EBUSY;
	}
	job->verdict = denied ? MMPROXY_DENY : MMPROXY_PASS;
	count(crowd, TICKETS);
	queue_add(&crowd->queues[number % (uint64_t)crowd->threads], job);
	return MMPROXY_PENDING;
}

static void cancel(void *state, const struct mmproxy_conn *conn, mmproxy_ticket ticket)
{
	(void)conn;
	(void)ticket;
	count(state, CANCELLED);
}

static void closed(void *state, const struct mmproxy_conn *conn, const struct mmproxy_end *end)
{
	uint64_t *memory = *conn->slot;

	(void)end;
	if (memory == NULL || *memory == conn->id)
		count(state, CLOSED);
	free(memory);
}

const struct mmproxy_plugin mmproxy_plugin_v1 = {
	.size = sizeof(struct mmproxy_plugin),
	.abi_major = MMPROXY_ABI_MAJOR,
	.abi_minor = MMPROXY_ABI_MINOR,
	.name = "crowd",
	.version = "1",
	.open = open_instance,
	.close = close_instance,
	.filter = filter,
	.cancel = cancel,
	.closed = closed,
};
