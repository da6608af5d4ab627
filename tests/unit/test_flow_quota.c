/* SPDX-License-Identifier: MIT */
/*
 * A listener's quota of flows, case by case: what one socket gets alone, what several get against
 * each other, who is asked to pay for a place over the limit, and when there is none.
 * test_quota_sequences.c has what holds in any order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quota_side.h"

static void one_socket_alone_has_the_whole_limit_and_hears_nothing(void **state)
{
	(void)state;
	begin(100, 1);
	assert_int_equal(quota.member_count, 1);
	assert_int_equal(quota.members[0].notices, -1);
	assert_int_equal(come_as(0, FLOW_ROOM_TAKEN, 101), 100);
	assert_int_equal(used(), 100);
	assert_int_equal(wake(0), 0);
}

static void one_socket_alone_makes_room_in_itself_fresh_or_not(void **state)
{
	(void)state;
	begin(10, 1);
	come_as(0, FLOW_ROOM_TAKEN, 10);
	for (unsigned i = 0; i <= 10; i++) {
		assert_int_equal(sides[0].fresh, 10 - i);
		/* With assured ones alone as well. */
		assert_int_equal(come(0), FLOW_ROOM_EVICT);
		assert_int_equal(used(), 10);
		assert_int_equal(wake(0), 0);
		assure(0);
	}
	assert_int_equal(debt_of(0), 0);
}

static void every_socket_has_a_place_however_low_the_limit(void **state)
{
	(void)state;
	begin(1, 5);
	assert_int_equal(limit_of(), 5);
	flow_quota_finish(&quota);
	begin(0, 1);
	assert_int_equal(limit_of(), 1);
	assert_int_equal(come(0), FLOW_ROOM_TAKEN);
	assert_int_equal(come(0), FLOW_ROOM_EVICT);
}

static void within_the_limit_any_socket_may_have_all(void **state)
{
	(void)state;
	begin(100, 4);
	assert_int_equal(come_as(2, FLOW_ROOM_TAKEN, 100), 100);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(quota.members[i].notices >= 0);
		assert_false(noticed(i));
		assert_int_equal(wake(i), 0);
	}
}

static void one_of_the_richest_evicts_its_own(void **state)
{
	(void)state;
	begin(100, 3);
	come_as(0, FLOW_ROOM_TAKEN, 45);
	come_as(1, FLOW_ROOM_TAKEN, 45);
	come_as(2, FLOW_ROOM_TAKEN, 10);
	assert_int_equal(come_as(0, FLOW_ROOM_EVICT, 20), 20);
	assert_int_equal(come_as(1, FLOW_ROOM_EVICT, 20), 20);
	assert_int_equal(used(), 100);
	assert_int_equal(debts(), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_false(noticed(i));
}

static void below_the_richest_a_socket_overdraws_and_the_richest_pays(void **state)
{
	(void)state;
	begin(100, 4);
	come_as(0, FLOW_ROOM_TAKEN, 20);
	come_as(1, FLOW_ROOM_TAKEN, 80);
	for (unsigned i = 0; i < 4; i++) {
		if (i == 1)
			continue;
		assert_int_equal(come(i), FLOW_ROOM_TAKEN);
		assert_int_equal(used(), 101);
		assert_int_equal(debt_of(1), 1);
		assert_int_equal(debts(), 1);
		assert_true(noticed(1));
		for (unsigned j = 0; j < 4; j++) {
			assert_false(noticed(j));
			assert_int_equal(wake(j), j == 1);
		}
		assert_int_equal(used(), 100);
	}
}

static void assured_flows_make_nobody_rich(void **state)
{
	(void)state;
	begin(100, 2);
	assert_int_equal(come_to_stay(0, 90), 90);
	come_as(0, FLOW_ROOM_TAKEN, 2);
	come_as(1, FLOW_ROOM_TAKEN, 8);
	/* However many it has. */
	assert_int_equal(come(0), FLOW_ROOM_TAKEN);
	assert_int_equal(wake(0), 0);
	assert_int_equal(wake(1), 1);
	assert_int_equal(come(1), FLOW_ROOM_EVICT);
}

static void who_owes_has_so_many_less(void **state)
{
	(void)state;
	begin(100, 3);
	come_as(0, FLOW_ROOM_TAKEN, 51);
	come_as(1, FLOW_ROOM_TAKEN, 49);
	assert_int_equal(come(2), FLOW_ROOM_TAKEN);
	assert_int_equal(come(2), FLOW_ROOM_TAKEN);
	assert_int_equal(debt_of(0), 2);
	/* Now they have 49 both, and then the second is the richest. */
	assert_int_equal(come(1), FLOW_ROOM_EVICT);
	assert_int_equal(come(2), FLOW_ROOM_TAKEN);
	assert_int_equal(come(2), FLOW_ROOM_TAKEN);
	assert_int_equal(debt_of(0), 3);
	assert_int_equal(debt_of(1), 1);
	assert_int_equal(wake(0), 3);
	assert_int_equal(wake(1), 1);
	assert_int_equal(used(), 100);
}

static void floods_of_all_sockets_come_to_equal_parts(void **state)
{
	(void)state;
	begin(99, 3);
	come_as(0, FLOW_ROOM_TAKEN, 99);
	for (unsigned i = 0; i < 100; i++) {
		come(1);
		come(2);
		wake(0);
		wake(1);
		wake(2);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(sides[i].count, 33);
}

static void expect_overdraft(unsigned limit, unsigned overdraft)
{
	begin(limit, 3);
	come_as(0, FLOW_ROOM_TAKEN, limit);
	/* As if its flows were assured at once. */
	for (unsigned i = 0; i < overdraft; i++) {
		assert_int_equal(come(1), FLOW_ROOM_TAKEN);
		assure(1);
		/* And the first one's debt is never seen. */
		come(0);
	}
	assert_int_equal(used(), limit + overdraft);
	assert_int_equal(debts(), overdraft);
}

static void the_overdraft_ends_and_leaves_nothing_taken(void **state)
{
	static const unsigned limits[][2] = {
		{1000, FLOW_QUOTA_OVERDRAFT},
		{FLOW_QUOTA_OVERDRAFT + 1, FLOW_QUOTA_OVERDRAFT},
		{FLOW_QUOTA_OVERDRAFT, FLOW_QUOTA_OVERDRAFT},
		{10, 10},
	};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		const unsigned most = limits[i][0] + limits[i][1];

		expect_overdraft(limits[i][0], limits[i][1]);
		/* The first has fresh ones that it doesn't owe, or the second is the richest. */
		assert_int_equal(come(1),
				 limits[i][0] > limits[i][1] ? FLOW_ROOM_NONE : FLOW_ROOM_EVICT);
		assert_int_equal(come(2), FLOW_ROOM_NONE);
		assert_int_equal(used(), most);
		assert_int_equal(debts(), limits[i][1]);
		flow_quota_finish(&quota);
	}
}

static void with_the_overdraft_used_up_a_poor_socket_evicts_its_own(void **state)
{
	(void)state;
	begin(200, 2);
	come_as(0, FLOW_ROOM_TAKEN, 200);
	assert_int_equal(come_as(1, FLOW_ROOM_TAKEN, 100), FLOW_QUOTA_OVERDRAFT);
	assert_int_equal(come_as(1, FLOW_ROOM_EVICT, 10), 10);
	assert_int_equal(used(), 200 + FLOW_QUOTA_OVERDRAFT);
	assert_int_equal(wake(1), 0);
	assert_int_equal(wake(0), FLOW_QUOTA_OVERDRAFT);
	assert_int_equal(used(), 200);
}

static void assured_flows_stay_while_anybody_has_a_fresh_one(void **state)
{
	(void)state;
	begin(200, 2);
	assert_int_equal(come_to_stay(0, 190), 190);
	come_as(1, FLOW_ROOM_TAKEN, 10);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(come_to_stay(0, 1), 1);
		assert_int_equal(wake(0), 0);
		assert_int_equal(wake(1), 1);
	}
	assert_int_equal(sides[0].count, 200);
}

static void all_assured_who_has_two_more_pays(void **state)
{
	(void)state;
	begin(100, 3);
	come_to_stay(0, 40);
	come_to_stay(1, 35);
	come_to_stay(2, 25);
	while (sides[2].count < 33) {
		unsigned richer = sides[0].count >= sides[1].count ? 0 : 1;

		assert_int_equal(come(2), FLOW_ROOM_TAKEN);
		assure(2);
		assert_int_equal(debt_of(richer), 1);
		assert_int_equal(debts(), 1);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(wake(i), i == richer);
	}
	assert_int_equal(sides[0].count + sides[1].count, 67);
	/* Nobody has two more, now. */
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(come(i), FLOW_ROOM_EVICT);
		assure(i);
	}
	assert_int_equal(debts(), 0);
	assert_int_equal(used(), 100);
}

static void all_assured_newcomers_are_turned_away_when_nobody_makes_room(void **state)
{
	(void)state;
	begin(200, 2);
	come_to_stay(0, 200);
	assert_int_equal(come_to_stay(1, 100), FLOW_QUOTA_OVERDRAFT);
	assert_int_equal(debt_of(0), FLOW_QUOTA_OVERDRAFT);
	assert_int_equal(come(1), FLOW_ROOM_NONE);
	assert_int_equal(used(), 200 + FLOW_QUOTA_OVERDRAFT);
	assert_int_equal(debts(), FLOW_QUOTA_OVERDRAFT);
	assert_int_equal(wake(0), FLOW_QUOTA_OVERDRAFT);
	assert_int_equal(used(), 200);
	assert_int_equal(come(1), FLOW_ROOM_TAKEN);
}

static void what_ends_by_itself_is_owed_no_more(void **state)
{
	(void)state;
	begin(100, 2);
	come_as(0, FLOW_ROOM_TAKEN, 100);
	come_as(1, FLOW_ROOM_TAKEN, 3);
	assert_int_equal(debt_of(0), 3);
	leave(0, true);
	leave(1, true);
	/* One over the limit is left, and one to go. */
	assert_int_equal(wake(0), 1);
	assert_int_equal(used(), 100);
	assert_int_equal(debts(), 0);
	come(1);
	leave(1, true);
	assert_int_equal(wake(0), 0);
	assert_int_equal(debts(), 0);
}

/* Between the answer and the eviction another socket must not find what is about to go. */
static void a_place_that_is_being_exchanged_is_not_free(void **state)
{
	(void)state;
	begin(10, 3);
	come_as(0, FLOW_ROOM_TAKEN, 10);
	come_as(1, FLOW_ROOM_TAKEN, 10);
	assert_int_equal(sides[1].count, 5);
	while (come(2) == FLOW_ROOM_TAKEN)
		assure(2);
	while (used() < most_of())
		assert_int_equal(come_to_stay(2, 1), 1);
	assert_int_equal(flow_quota_take(&quota, &quota.members[0]), FLOW_ROOM_EVICT);
	forget(0, true);
	budget_give_back(&quota.flows);
	assert_int_equal(used(), most_of());
	assert_int_equal(come(2), FLOW_ROOM_NONE);
	add(0);
	expect_in_order();
}

/* It is asked again while it is closing the only flow that it has. */
static void a_debt_that_its_debtor_cannot_pay_is_not_forgotten(void **state)
{
	(void)state;
	begin(10, 3);
	come_to_stay(1, 9);
	come_as(0, FLOW_ROOM_TAKEN, 1);
	assert_int_equal(come_to_stay(1, 1), 1);
	assert_int_equal(debt_of(0), 1);
	assert_true(flow_quota_owes(&quota, &quota.members[0]));
	assert_int_equal(come(2), FLOW_ROOM_TAKEN);
	evict(0);
	expect_room_once_all_have_paid();
}

static void a_quota_can_be_finished_twice(void **state)
{
	(void)state;
	begin(100, 4);
	flow_quota_finish(&quota);
	assert_null(quota.members);
	flow_quota_finish(&quota);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, end)
	const struct CMUnitTest tests[] = {
		TEST(one_socket_alone_has_the_whole_limit_and_hears_nothing),
		TEST(one_socket_alone_makes_room_in_itself_fresh_or_not),
		TEST(every_socket_has_a_place_however_low_the_limit),
		TEST(within_the_limit_any_socket_may_have_all),
		TEST(one_of_the_richest_evicts_its_own),
		TEST(below_the_richest_a_socket_overdraws_and_the_richest_pays),
		TEST(assured_flows_make_nobody_rich),
		TEST(who_owes_has_so_many_less),
		TEST(floods_of_all_sockets_come_to_equal_parts),
		TEST(the_overdraft_ends_and_leaves_nothing_taken),
		TEST(with_the_overdraft_used_up_a_poor_socket_evicts_its_own),
		TEST(assured_flows_stay_while_anybody_has_a_fresh_one),
		TEST(all_assured_who_has_two_more_pays),
		TEST(all_assured_newcomers_are_turned_away_when_nobody_makes_room),
		TEST(what_ends_by_itself_is_owed_no_more),
		TEST(a_place_that_is_being_exchanged_is_not_free),
		TEST(a_debt_that_its_debtor_cannot_pay_is_not_forgotten),
		TEST(a_quota_can_be_finished_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
