/* SPDX-License-Identifier: MIT */
/*
 * The queue of the access log: order, a full buffer, a writer that fails, and that its end loses
 * nothing. The writer here stops where a test wants it to, so that nothing depends on speed.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "queue.h"

#define TAKEN_SIZE (1 << 20)

/* Writes into memory. All under the mutex. */
struct target {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool held;        /* write() has to wait */
	unsigned waiting; /* calls of write() that do */
	int error;        /* what write() is to return, with nothing written */
	char taken[TAKEN_SIZE];
	size_t length;
	struct queue_outcome sum; /* of the reports */
	int last_error;
	unsigned ends; /* reports that said they are the last */
};

static int target_write(void *context, const struct queue_batch *batch, uint64_t *written)
{
	struct target *target = context;
	int error;

	pthread_mutex_lock(&target->mutex);
	target->waiting++;
	pthread_cond_broadcast(&target->changed);
	while (target->held)
		pthread_cond_wait(&target->changed, &target->mutex);
	target->waiting--;
	error = target->error;
	*written = 0;
	if (error == 0 && batch->length <= TAKEN_SIZE - target->length) {
		memcpy(target->taken + target->length, batch->bytes, batch->length);
		target->length += batch->length;
		*written = batch->records;
	}
	pthread_mutex_unlock(&target->mutex);
	return error;
}

static void target_report(void *context, const struct queue_outcome *outcome, bool last)
{
	struct target *target = context;

	pthread_mutex_lock(&target->mutex);
	target->sum.written += outcome->written;
	target->sum.failed += outcome->failed;
	target->sum.refused += outcome->refused;
	if (outcome->error != 0)
		target->last_error = outcome->error;
	target->ends += last;
	pthread_cond_broadcast(&target->changed);
	pthread_mutex_unlock(&target->mutex);
}

static int setup(void **state)
{
	struct target *target = calloc(1, sizeof(*target));

	if (target == NULL)
		return -1;
	pthread_mutex_init(&target->mutex, NULL);
	pthread_cond_init(&target->changed, NULL);
	*state = target;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static struct queue *begin(struct target *target, size_t size)
{
	const struct queue_user user = {target, target_write, target_report};
	struct queue *queue;

	assert_int_equal(queue_create(&queue, size, &user), 0);
	return queue;
}

static void hold(struct target *target, bool held)
{
	pthread_mutex_lock(&target->mutex);
	target->held = held;
	pthread_cond_broadcast(&target->changed);
	pthread_mutex_unlock(&target->mutex);
}

/* Until the thread has taken a batch, and stands in front of the held target with it. */
static void wait_until_stopped(struct target *target)
{
	pthread_mutex_lock(&target->mutex);
	while (target->waiting == 0)
		pthread_cond_wait(&target->changed, &target->mutex);
	pthread_mutex_unlock(&target->mutex);
}

static bool append(struct queue *queue, const char *record)
{
	return queue_append(queue, record, strlen(record));
}

static void records_come_out_in_order(void **state)
{
	struct target *target = *state;
	struct queue *queue = begin(target, 64);

	assert_true(append(queue, "one\n"));
	assert_true(append(queue, "two\n"));
	assert_true(append(queue, "three\n"));
	queue_destroy(queue);
	assert_int_equal(target->length, 14);
	assert_memory_equal(target->taken, "one\ntwo\nthree\n", 14);
	assert_int_equal(target->sum.written, 3);
	assert_int_equal(target->sum.failed, 0);
	assert_int_equal(target->ends, 1);
}

static void an_empty_queue_ends(void **state)
{
	struct target *target = *state;

	queue_destroy(begin(target, 64));
	assert_int_equal(target->length, 0);
	assert_int_equal(target->ends, 1);
}

static void a_full_buffer_refuses_and_counts(void **state)
{
	struct target *target = *state;
	struct queue *queue = begin(target, 8);

	hold(target, true);
	assert_true(append(queue, "first\n"));
	wait_until_stopped(target);
	/* The other buffer is empty again. */
	assert_true(append(queue, "1234"));
	assert_false(append(queue, "56789"));
	assert_true(append(queue, "5678"));
	assert_false(append(queue, "9"));
	hold(target, false);
	queue_destroy(queue);
	assert_int_equal(target->length, 14);
	assert_memory_equal(target->taken, "first\n12345678", 14);
	assert_int_equal(target->sum.written, 3);
	assert_int_equal(target->sum.refused, 2);
}

static void a_record_longer_than_the_buffer_is_refused(void **state)
{
	struct target *target = *state;
	struct queue *queue = begin(target, 4);

	assert_false(append(queue, "12345"));
	assert_true(append(queue, "1234"));
	queue_destroy(queue);
	assert_int_equal(target->length, 4);
}

static void what_cannot_be_written_is_counted_and_does_not_come_again(void **state)
{
	struct target *target = *state;
	struct queue *queue = begin(target, 64);

	hold(target, true);
	target->error = -ENOSPC;
	assert_true(append(queue, "lost\n"));
	assert_true(append(queue, "lost\n"));
	wait_until_stopped(target);
	hold(target, false);
	queue_destroy(queue);
	assert_int_equal(target->length, 0);
	assert_int_equal(target->last_error, -ENOSPC);
	assert_int_equal(target->sum.failed, 2);
	assert_int_equal(target->sum.written, 0);
}

#define THREADS            4
#define RECORDS_PER_THREAD 20000

static void *append_many(void *context)
{
	struct queue *queue = context;
	uintptr_t refused = 0;

	for (unsigned i = 0; i < RECORDS_PER_THREAD; i++)
		refused += !append(queue, "record\n");
	return (void *)refused;
}

static void threads_lose_nothing_that_is_not_counted(void **state)
{
	struct target *target = *state;
	struct queue *queue = begin(target, 4096);
	pthread_t threads[THREADS];
	uintptr_t refused = 0;

	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, append_many, queue), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		refused += (uintptr_t)result;
	}
	queue_destroy(queue);
	assert_int_equal(target->sum.refused, refused);
	assert_int_equal(target->sum.written + refused, THREADS * RECORDS_PER_THREAD);
	assert_int_equal(target->length, target->sum.written * 7);
	for (size_t i = 0; i < target->length; i += 7)
		assert_memory_equal(target->taken + i, "record\n", 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(records_come_out_in_order),
		TEST(an_empty_queue_ends),
		TEST(a_full_buffer_refuses_and_counts),
		TEST(a_record_longer_than_the_buffer_is_refused),
		TEST(what_cannot_be_written_is_counted_and_does_not_come_again),
		TEST(threads_lose_nothing_that_is_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
