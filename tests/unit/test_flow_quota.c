/* SPDX-License-Identifier: MIT */
/*
 * A listener's quota of flows: what one socket gets alone, what several get against each other, and
 * that no number of threads gets more than the limit and the overdraft, or leaves anything taken.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay/flow_quota.h"

#define THREADS     4
#define ROUNDS      20000
#define STRESS_SIZE 40

static struct flow_quota quota;

static void begin(unsigned limit, unsigned sockets)
{
	assert_int_equal(flow_quota_init(&quota, limit, sockets), 0);
}

static int stop(void **state)
{
	(void)state;
	flow_quota_finish(&quota);
	return 0;
}

static unsigned used(void)
{
	return atomic_load(&quota.flows.used);
}

/* How many can be had within the limit. */
static unsigned take_all(void)
{
	unsigned count = 0;

	while (budget_take(&quota.flows))
		count++;
	return count;
}

/* How many a socket that has `count` can have beyond. */
static unsigned overdraw_all(unsigned count)
{
	unsigned taken = 0;

	while (flow_quota_overdraw(&quota, count))
		taken++;
	return taken;
}

/* Notices that are up, which are taken down by the count. */
static unsigned notices(void)
{
	unsigned count = 0;

	while (flow_quota_owes(&quota, UINT32_MAX))
		count++;
	return count;
}

static void one_socket_alone_has_the_whole_limit_and_nobody_to_ask(void **state)
{
	(void)state;
	begin(100, 1);
	assert_int_equal(quota.share, 0);
	assert_int_equal(quota.notices, -1);
	assert_int_equal(take_all(), 100);
	assert_false(flow_quota_overdraw(&quota, 0));
	assert_int_equal(used(), 100);
}

static void sockets_share_the_limit_evenly(void **state)
{
	(void)state;
	begin(100, 3);
	assert_int_equal(quota.share, 33);
	assert_true(quota.notices >= 0);
	assert_int_equal(take_all(), 100);
}

static void every_socket_has_a_share_however_low_the_limit(void **state)
{
	(void)state;
	begin(1, 5);
	assert_int_equal(quota.share, 1);
	assert_int_equal(take_all(), 5);
	flow_quota_finish(&quota);
	begin(0, 1);
	assert_int_equal(take_all(), 1);
}

static void within_the_limit_any_socket_may_have_more_than_its_share(void **state)
{
	(void)state;
	begin(100, 4);
	assert_int_equal(take_all(), 100);
	assert_int_equal(notices(), 0);
}

static void below_its_share_a_socket_goes_over_the_limit_and_posts_a_notice(void **state)
{
	(void)state;
	begin(100, 4);
	take_all();
	assert_true(flow_quota_overdraw(&quota, 24));
	assert_int_equal(used(), 101);
	assert_int_equal(notices(), 1);
	assert_false(flow_quota_overdraw(&quota, 25));
	assert_false(flow_quota_overdraw(&quota, 26));
	assert_int_equal(used(), 101);
	assert_int_equal(notices(), 0);
}

static void the_overdraft_ends_and_leaves_nothing_taken(void **state)
{
	(void)state;
	begin(100, 4);
	take_all();
	assert_int_equal(overdraw_all(0), FLOW_QUOTA_OVERDRAFT);
	assert_int_equal(used(), 100 + FLOW_QUOTA_OVERDRAFT);
	/* One notice for each that was had, none for the one that was not. */
	assert_int_equal(notices(), FLOW_QUOTA_OVERDRAFT);
	budget_give_back(&quota.flows);
	assert_int_equal(overdraw_all(0), 1);
}

static void a_notice_is_taken_down_once_by_who_has_more_than_a_share(void **state)
{
	(void)state;
	begin(100, 4);
	take_all();
	assert_true(flow_quota_overdraw(&quota, 0));
	assert_false(flow_quota_owes(&quota, 0));
	assert_false(flow_quota_owes(&quota, 25));
	assert_true(flow_quota_owes(&quota, 26));
	assert_false(flow_quota_owes(&quota, 26));
	assert_false(flow_quota_owes(&quota, 100));
}

static void nobody_owes_anything_without_a_notice(void **state)
{
	(void)state;
	begin(100, 4);
	take_all();
	assert_false(flow_quota_owes(&quota, 100));
}

static void a_quota_can_be_finished_twice(void **state)
{
	(void)state;
	begin(100, 4);
	flow_quota_finish(&quota);
	assert_int_equal(quota.notices, -1);
	flow_quota_finish(&quota);
}

/* As a worker does: makes room among its own flows, takes room from others, answers notices. */
static atomic_uint held, most_held;
static atomic_uint overdrawn, answered;
static pthread_barrier_t all_there;

static void note_held(void)
{
	unsigned now = atomic_fetch_add(&held, 1) + 1, most = atomic_load(&most_held);

	while (now > most && !atomic_compare_exchange_weak(&most_held, &most, now))
		;
}

static void let_one_go(unsigned *count)
{
	atomic_fetch_sub(&held, 1);
	budget_give_back(&quota.flows);
	--*count;
}

static bool take_one(unsigned *count)
{
	while (!budget_take(&quota.flows)) {
		if (flow_quota_overdraw(&quota, *count)) {
			atomic_fetch_add(&overdrawn, 1);
			break;
		}
		if (*count == 0)
			return false;
		let_one_go(count);
	}
	note_held();
	++*count;
	return true;
}

static void *work(void *argument)
{
	uint64_t random = (uint64_t)(uintptr_t)argument;
	unsigned count = 0;

	pthread_barrier_wait(&all_there);
	for (unsigned i = 0; i < ROUNDS; i++) {
		/* Though there may be fewer processors than threads. */
		if (i % 32 == 0)
			sched_yield();
		random = random * 6364136223846793005u + 1442695040888963407u;
		/* Each is greedy for a while, and then all but gives up. */
		if (random >> 40 & 3 || (i / 500 + (uintptr_t)argument) % 2 == 0)
			take_one(&count);
		else if (count > 0)
			let_one_go(&count);
		while (flow_quota_owes(&quota, count)) {
			let_one_go(&count);
			atomic_fetch_add(&answered, 1);
		}
	}
	while (count > 0)
		let_one_go(&count);
	return NULL;
}

static void threads_never_have_more_than_limit_and_overdraft_together(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	begin(STRESS_SIZE, THREADS);
	pthread_barrier_init(&all_there, NULL, THREADS);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)i), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&all_there);
	assert_int_equal(used(), 0);
	assert_int_equal(atomic_load(&held), 0);
	assert_in_range(atomic_load(&most_held), STRESS_SIZE / 2,
			STRESS_SIZE + FLOW_QUOTA_OVERDRAFT);
	/* Each notice was answered, or is still up. */
	assert_int_equal(atomic_load(&answered) + notices(), atomic_load(&overdrawn));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, stop)
	const struct CMUnitTest tests[] = {
		TEST(one_socket_alone_has_the_whole_limit_and_nobody_to_ask),
		TEST(sockets_share_the_limit_evenly),
		TEST(every_socket_has_a_share_however_low_the_limit),
		TEST(within_the_limit_any_socket_may_have_more_than_its_share),
		TEST(below_its_share_a_socket_goes_over_the_limit_and_posts_a_notice),
		TEST(the_overdraft_ends_and_leaves_nothing_taken),
		TEST(a_notice_is_taken_down_once_by_who_has_more_than_a_share),
		TEST(nobody_owes_anything_without_a_notice),
		TEST(a_quota_can_be_finished_twice),
		TEST(threads_never_have_more_than_limit_and_overdraft_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
