/* SPDX-License-Identifier: MIT */
/*
 * A listener's quota of flows, whatever happens in whatever order: each answer in a random sequence
 * is what the rules say, and threads together never have more than the limit and the overdraft.
 * test_flow_quota.c has the single cases.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quota_side.h"

#define SEQUENCES  2000
#define OPERATIONS 200

#define THREADS     4
#define ROUNDS      20000
#define STRESS_SIZE 40

/* Any sequence, and what each answer may be. */

static unsigned left_of(const atomic_uint *count, unsigned member)
{
	return *count > debt_of(member) ? *count - debt_of(member) : 0;
}

static unsigned fresh_left(unsigned member)
{
	return left_of(&quota.members[member].fresh, member);
}

static unsigned count_left(unsigned member)
{
	return left_of(&quota.members[member].count, member);
}

static unsigned most_left(unsigned (*left)(unsigned member))
{
	unsigned most = 0;

	for (unsigned i = 0; i < quota.member_count; i++)
		most = left(i) > most ? left(i) : most;
	return most;
}

static enum flow_room due_room(unsigned member)
{
	const unsigned fresh = most_left(fresh_left), count = most_left(count_left);
	const bool full = used() == most_of();

	if (used() < limit_of())
		return FLOW_ROOM_TAKEN;
	if (fresh == 0 && count > count_left(member) + 1)
		return full ? FLOW_ROOM_NONE : FLOW_ROOM_TAKEN;
	if (fresh == 0)
		return sides[member].count > 0 ? FLOW_ROOM_EVICT : FLOW_ROOM_NONE;
	if (fresh > fresh_left(member) && !full)
		return FLOW_ROOM_TAKEN;
	return sides[member].fresh > 0 ? FLOW_ROOM_EVICT : FLOW_ROOM_NONE;
}

static void expect_fair_come(unsigned member)
{
	const unsigned used_before = used(), debts_before = debts();
	const unsigned fresh = most_left(fresh_left), count = most_left(count_left);
	const enum flow_room due = due_room(member);
	const bool overdrawn = due == FLOW_ROOM_TAKEN && used_before >= limit_of();
	unsigned before[SIDES] = {0};

	for (unsigned i = 0; i < quota.member_count; i++)
		before[i] = debt_of(i);
	assert_int_equal(come(member), due);
	assert_int_equal(used(), used_before + (due == FLOW_ROOM_TAKEN));
	assert_int_equal(debts(), debts_before + overdrawn);
	for (unsigned i = 0; i < quota.member_count; i++) {
		if (debt_of(i) == before[i])
			continue;
		assert_int_not_equal(i, member);
		assert_int_equal(fresh > 0 ? fresh_left(i) : count_left(i),
				 (fresh > 0 ? fresh : count) - 1);
	}
}

static void operate(void)
{
	unsigned member = random_below(quota.member_count);
	struct side *side = &sides[member];

	switch (random_below(8)) {
	case 0:
		if (side->count > 0)
			leave(member, side->fresh > random_below(side->count));
		break;
	case 1:
		wake(member);
		break;
	case 2:
	case 3:
		for (unsigned i = random_below(side->fresh + 1); i > 0; i--)
			assure(member);
		break;
	default:
		for (unsigned i = random_below(20); i > 0; i--)
			expect_fair_come(member);
	}
	expect_in_order();
}

static void in_any_sequence_each_answer_keeps_to_the_rules(void **state)
{
	(void)state;
	random_state = 1;
	for (unsigned sequence = 0; sequence < SEQUENCES; sequence++) {
		begin(1 + random_below(random_below(2) == 0 ? 20 : 150), 1 + random_below(SIDES));
		for (unsigned i = 0; i < OPERATIONS; i++)
			operate();
		expect_room_once_all_have_paid();
		leave_all();
		flow_quota_finish(&quota);
	}
}

/* As workers do: clients come, are assured, end by themselves, and room is made for others. */
static atomic_uint held, most_held;
static pthread_barrier_t all_there;

static void note_held(void)
{
	unsigned now = atomic_fetch_add(&held, 1) + 1, most = atomic_load(&most_held);

	while (now > most && !atomic_compare_exchange_weak(&most_held, &most, now))
		;
}

static void let_one_go(unsigned member)
{
	atomic_fetch_sub(&held, 1);
	evict(member);
}

static void take_one(unsigned member)
{
	enum flow_room room = flow_quota_take(&quota, &quota.members[member]);

	if (room == FLOW_ROOM_EVICT)
		let_one_go(member);
	if (room == FLOW_ROOM_NONE)
		return;
	note_held();
	add(member);
}

static void *work(void *argument)
{
	const struct side *side = argument;
	unsigned member = (unsigned)(side - sides);
	uint64_t random = member;

	pthread_barrier_wait(&all_there);
	for (unsigned i = 0; i < ROUNDS; i++) {
		/* Though there may be fewer processors than threads. */
		if (i % 32 == 0)
			sched_yield();
		random = random * 6364136223846793005u + 1442695040888963407u;
		/* Each is greedy for a while, and then all but gives up. */
		if (random >> 40 & 3 || (i / 500 + member) % 2 == 0)
			take_one(member);
		else if (side->count > 0)
			let_one_go(member);
		if ((random >> 45 & 7) == 0 && side->fresh > 0)
			assure(member);
		if ((random >> 50 & 3) != 0 || !noticed(member))
			continue;
		while (flow_quota_owes(&quota, &quota.members[member]))
			let_one_go(member);
	}
	return NULL;
}

static void threads_never_have_more_than_limit_and_overdraft_together(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	for (unsigned limit = THREADS; limit <= STRESS_SIZE; limit += 12) {
		atomic_store(&held, 0);
		atomic_store(&most_held, 0);
		begin(limit, THREADS);
		pthread_barrier_init(&all_there, NULL, THREADS);
		for (unsigned i = 0; i < THREADS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, work, &sides[i]), 0);
		for (unsigned i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		pthread_barrier_destroy(&all_there);
		assert_int_equal(atomic_load(&held), used());
		assert_in_range(atomic_load(&most_held), limit, most_of());
		expect_room_once_all_have_paid();
		leave_all();
		flow_quota_finish(&quota);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, end)
	const struct CMUnitTest tests[] = {
		TEST(in_any_sequence_each_answer_keeps_to_the_rules),
		TEST(threads_never_have_more_than_limit_and_overdraft_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
