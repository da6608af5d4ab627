/* SPDX-License-Identifier: MIT */
/*
 * Sockets of a UDP listener that owe each other places for flows: a newcomer to one that has less
 * takes a place over the limit, and the socket that has the most is asked to let a flow go for it.
 * Who is asked, what does it let go, and what if that has changed by then?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "udp_places.h"

/* Most of which have no clients. */
static int start_eight_with_10(void **state)
{
	(void)state;
	return start_with(10, 8);
}

static void who_has_less_takes_a_place_from_who_has_more(void **state)
{
	(void)state;
	clients_come(0, 10);
	by(second);
	clients_come(100, 1);
	assert_int_equal(places(), 11);
	assert_int_equal(there(), 1);
	/* Not from itself. */
	wake(SECOND);
	assert_int_equal(places(), 11);
	wake(FIRST);
	assert_int_equal(places(), 10);
	assert_int_equal(here(), 9);
	expect_closed(CLOSE_FLOW_EVICTED, 1);
	/* The one that had been silent for longest. */
	assert_null(socket_for(client_name(0)));
	wake_all();
	assert_int_equal(places(), 10);
	assert_int_equal(alive(100, 1), 1);
}

static void only_who_is_to_pay_hears_of_it_and_at_once(void **state)
{
	(void)state;
	clients_come(0, 10);
	assert_false(noticed(FIRST) || noticed(SECOND));
	by(second);
	clients_come(100, 3);
	assert_true(noticed(FIRST));
	assert_false(noticed(SECOND));
	assert_int_equal(debt_of(FIRST), 3);
	wake(FIRST);
	assert_int_equal(here(), 7);
	assert_int_equal(alive(3, 7), 7);
	/* There is nothing left to do. */
	assert_false(noticed(FIRST) || noticed(SECOND));
	assert_int_equal(debt_of(FIRST), 0);
}

static void two_floods_get_half_of_the_places_each(void **state)
{
	(void)state;
	clients_come(0, 10);
	by(second);
	clients_come(100, 20);
	assert_non_null(socket_for(client_name(119)));
	wake_all();
	assert_int_equal(here(), 5);
	assert_int_equal(there(), 5);
	/* Each datagram has reached its upstream all the same. */
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_CLIENT), 30);
}

static void fresh_flows_of_another_socket_go_before_assured_ones(void **state)
{
	(void)state;
	clients_come(0, 4);
	assure(0, 4);
	by(second);
	clients_come(100, 6);
	by(NULL);
	/* More than half of the places, in the end. */
	for (unsigned i = 4; i < 8; i++) {
		come_to_stay(i, 1);
		wake_all();
		assert_int_equal(places(), 10);
		assert_int_equal(here(), i + 1);
	}
	assert_int_equal(alive(0, 8), 8);
	assert_int_equal(alive(104, 2), 2);
	expect_closed(CLOSE_FLOW_EVICTED, 4);
}

static void a_flood_by_one_socket_does_not_touch_assured_flows_of_any(void **state)
{
	(void)state;
	clients_come(0, 4);
	assure(0, 4);
	by(second);
	clients_come(100, 3);
	assure(100, 3);
	for (unsigned i = 0; i < 10; i++) {
		clients_come(200 + 20 * i, 20);
		wake_all();
	}
	assert_int_equal(alive(0, 4) + alive(100, 3), 7);
	assert_int_equal(places(), 10);
}

static void all_assured_a_socket_without_flows_gets_a_place_from_who_has_them(void **state)
{
	(void)state;
	clients_come(0, 10);
	assure(0, 10);
	clients_come(0, 1);
	by(second);
	clients_come(100, 1);
	assert_int_equal(places(), 11);
	assert_int_equal(debt_of(FIRST), 1);
	/* It is not the newcomer that pays, neither by a notice nor after its next datagram. */
	wake(SECOND);
	clients_come(100, 1);
	assert_int_equal(there(), 1);
	assert_int_equal(closed(CLOSE_FLOW_EVICTED), 0);
	wake_all();
	assert_int_equal(places(), 10);
	assert_int_equal(debt_of(FIRST), 0);
	assert_non_null(socket_for(client_name(100)));
	assert_null(socket_for(client_name(1)));
	expect_closed(CLOSE_FLOW_EVICTED, 1);
	answer(client_name(100), "here");
	settle();
	EXPECT_REPLIES(UDP_BALANCER, "y|y|y|y|y|y|y|y|y|y|here|");
}

static void all_assured_sockets_come_to_an_equal_share(void **state)
{
	(void)state;
	clients_come(0, 10);
	assure(0, 10);
	by(second);
	for (unsigned i = 100; i < 108; i++) {
		come_to_stay(i, 1);
		wake_all();
		assert_int_equal(places(), 10);
		assert_non_null(socket_for(client_name(i)));
	}
	assert_int_equal(here(), 5);
	assert_int_equal(alive(103, 5), 5);
}

static void what_was_overdrawn_for_is_paid_though_all_are_assured_by_then(void **state)
{
	(void)state;
	clients_come(0, 10);
	assure(0, 7);
	by(second);
	clients_come(100, 1);
	assert_int_equal(places(), 11);
	answer(client_name(100), "y");
	for (unsigned i = 7; i < 10; i++)
		answer(client_name(i), "y");
	settle();
	by(second);
	send_as(client_name(100), "x");
	by(NULL);
	for (unsigned i = 7; i < 10; i++)
		send_as(client_name(i), "x");
	settle();
	wake_all();
	assert_int_equal(places(), 10);
	assert_int_equal(alive(100, 1), 1);
}

/* The first socket owes it, though the newcomer's flow is then the only fresh one or one of few. */
static void expect_room_for_newcomer(unsigned assured)
{
	clients_come(0, 10);
	assure(0, assured);
	by(second);
	clients_come(100, 1);
	assert_non_null(socket_for(client_name(100)));
	wake(SECOND);
	wake_all();
	assert_non_null(socket_for(client_name(100)));
	assert_int_equal(alive(0, assured), assured);
	expect_closed(CLOSE_FLOW_EVICTED, 1);
}

static void a_newcomer_does_not_pay_for_itself(void **state)
{
	(void)state;
	expect_room_for_newcomer(9);
}

static void a_newcomer_does_not_pay_for_itself_among_idle_sockets(void **state)
{
	(void)state;
	expect_room_for_newcomer(7);
}

/* The first is woken when what it was asked for has been assured. */
static void a_debt_stands_though_its_debtor_has_nothing_fresh_any_more(void **state)
{
	(void)state;
	clients_come(0, 10);
	assure(0, 7);
	by(second);
	clients_come(100, 1);
	wake(SECOND);
	by(NULL);
	assure(7, 3);
	assert_int_equal(places(), 11);
	assert_true(noticed(FIRST));
	wake(FIRST);
	assert_int_equal(places(), 10);
	assert_int_equal(alive(100, 1), 1);
}

/* The flow that ended by itself has paid it, and the next that is asked is another socket. */
static void a_debt_whose_excess_has_vanished_costs_no_assured_flow(void **state)
{
	unsigned assured;

	(void)state;
	clients_come(0, 10);
	assure(0, 9);
	pass(1000);
	assure(9, 1);
	by(second);
	clients_come(100, 1);
	assert_int_equal(debt_of(FIRST), 1);
	udp_flow_close(
		container_of(flow_table_oldest(&fixture.listener->flows), struct udp_flow, entry),
		CLOSE_SHUTDOWN);
	settle();
	assert_int_equal(places(), 10);
	by(third);
	clients_come(200, 1);
	assured = here();
	wake(FIRST);
	assert_int_equal(here(), assured);
	wake_all();
}

int main(void)
{
#define TEST(name, start) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(who_has_less_takes_a_place_from_who_has_more, start_two_with_10),
		TEST(only_who_is_to_pay_hears_of_it_and_at_once, start_two_with_10),
		TEST(two_floods_get_half_of_the_places_each, start_two_with_10),
		TEST(fresh_flows_of_another_socket_go_before_assured_ones, start_two_with_10),
		TEST(a_flood_by_one_socket_does_not_touch_assured_flows_of_any, start_two_with_10),
		TEST(all_assured_a_socket_without_flows_gets_a_place_from_who_has_them,
		     start_two_with_10),
		TEST(all_assured_sockets_come_to_an_equal_share, start_two_with_10),
		TEST(what_was_overdrawn_for_is_paid_though_all_are_assured_by_then,
		     start_two_with_10),
		TEST(a_newcomer_does_not_pay_for_itself, start_two_with_10),
		TEST(a_newcomer_does_not_pay_for_itself_among_idle_sockets, start_eight_with_10),
		TEST(a_debt_stands_though_its_debtor_has_nothing_fresh_any_more, start_two_with_10),
		TEST(a_debt_whose_excess_has_vanished_costs_no_assured_flow, start_three_of_four),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
