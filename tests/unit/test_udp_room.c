/* SPDX-License-Identifier: MIT */
/*
 * A UDP listener's places for flows, which its sockets share, each of which a worker has: who makes
 * room for whom?
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/log.h"
#include "udp_talk.h"

#define OTHER_CLIENT "203.0.113.10:40000"

/* Members of the quota. */
enum { FIRST, SECOND, FOURTH = 3 };

/* Other sockets of the listener, as other workers have them. */
static struct fake_udp_socket *second, *third;
static struct udp_listener *second_listener;

static int start_with(unsigned max_flows, unsigned sockets)
{
	send_to = NULL;
	udp_fixture_start(&fixture, UDP_FRAMING_EVERY, max_flows, sockets);
	second_listener = udp_fixture_listen(&fixture, &second);
	return second_listener != NULL ? 0 : -1;
}

static int start_two_with_10(void **state)
{
	(void)state;
	return start_with(10, 2);
}

static int start_two_with_200(void **state)
{
	(void)state;
	return start_with(200, 2);
}

static int start_two_with_130(void **state)
{
	(void)state;
	return start_with(2 * (FLOW_QUOTA_OVERDRAFT + 1), 2);
}

static int start_three_of_four(void **state)
{
	(void)state;
	start_with(10, 4);
	return udp_fixture_listen(&fixture, &third) != NULL ? 0 : -1;
}

/* Most of which have no clients. */
static int start_eight_with_10(void **state)
{
	(void)state;
	return start_with(10, 8);
}

static int start_one_with_4(void **state)
{
	(void)state;
	return talk_start(UDP_FRAMING_EVERY, 4);
}

/* By which socket the next datagrams come. */
static void by(struct fake_udp_socket *socket)
{
	send_to = socket;
}

static void clients_come(unsigned first, unsigned clients)
{
	for (unsigned i = first; i < first + clients; i++)
		send_as(client_name(i), "x");
	settle();
}

/* Of each the upstream has answered, and then the client has spoken again. */
static void assure(unsigned first, unsigned clients)
{
	for (unsigned i = first; i < first + clients; i++)
		answer(client_name(i), "y");
	settle();
	clients_come(first, clients);
}

/* One after the other. */
static void come_to_stay(unsigned first, unsigned clients)
{
	for (unsigned i = first; i < first + clients; i++) {
		clients_come(i, 1);
		assure(i, 1);
	}
}

/* One socket alone hears of its notice. */
static void wake(unsigned member)
{
	udp_fixture_wake(&fixture, member);
}

static void wake_all(void)
{
	udp_fixture_wake_all(&fixture);
}

static bool noticed(unsigned member)
{
	return fake_udp_posted(fixture.notices[member]);
}

static unsigned here(void)
{
	return fixture.listener->flows.count;
}

static unsigned there(void)
{
	return second_listener->flows.count;
}

static unsigned debt_of(unsigned member)
{
	return atomic_load(&fixture.quota.members[member].debt);
}

/* How many of these clients have a flow. */
static unsigned alive(unsigned first, unsigned clients)
{
	unsigned sum = 0;

	for (unsigned i = first; i < first + clients; i++)
		sum += socket_for(client_name(i)) != NULL;
	return sum;
}

static unsigned places(void)
{
	return atomic_load(&fixture.quota.flows.used);
}

static void one_socket_may_have_all_places_while_nobody_wants_them(void **state)
{
	(void)state;
	clients_come(0, 15);
	assert_int_equal(here(), 10);
	assert_int_equal(alive(5, 10), 10);
	assert_false(noticed(FIRST) || noticed(SECOND));
	wake(FIRST);
	wake(SECOND);
	assert_int_equal(here(), 10);
	expect_closed(CLOSE_FLOW_EVICTED, 5);
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

static void with_as_many_as_the_other_a_socket_makes_room_among_its_own(void **state)
{
	(void)state;
	clients_come(0, 5);
	by(second);
	clients_come(100, 5);
	clients_come(105, 20);
	assert_int_equal(places(), 10);
	assert_false(noticed(FIRST) || noticed(SECOND));
	assert_int_equal(alive(0, 5), 5);
	assert_int_equal(alive(120, 5), 5);
	expect_closed(CLOSE_FLOW_EVICTED, 20);
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

static void an_overdraft_that_nobody_answers_is_bounded(void **state)
{
	(void)state;
	clients_come(0, 200);
	by(second);
	for (unsigned i = 0; i < 4; i++)
		clients_come(300 + 20 * i, 20);
	assert_int_equal(places(), 200 + FLOW_QUOTA_OVERDRAFT);
	assert_int_equal(there(), FLOW_QUOTA_OVERDRAFT);
	expect_closed(CLOSE_FLOW_EVICTED, 80 - FLOW_QUOTA_OVERDRAFT);
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_CLIENT), 280);
	wake_all();
	assert_int_equal(places(), 200);
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

static void all_assured_a_socket_with_as_many_lets_its_own_go(void **state)
{
	(void)state;
	clients_come(0, 5);
	assure(0, 5);
	by(second);
	clients_come(100, 5);
	assure(100, 5);
	/* Now the second one of them is the least recently used. */
	clients_come(100, 1);
	clients_come(200, 1);
	assert_int_equal(places(), 10);
	assert_int_equal(alive(0, 5), 5);
	assert_null(socket_for(client_name(101)));
	assert_int_equal(alive(100, 5), 4);
	assert_non_null(socket_for(client_name(200)));
	assert_false(noticed(FIRST) || noticed(SECOND));
	expect_closed(CLOSE_FLOW_EVICTED, 1);
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

/* Though it is the only fresh flow left, or there were but few. */
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

static unsigned asked;

static void other_worker(struct refcount *refcount)
{
	(void)refcount;
	asked++;
	assert_int_equal(flow_quota_take(&fixture.quota, &fixture.quota.members[FOURTH]),
			 FLOW_ROOM_NONE);
}

/* Another worker asks for room while one is exchanging a flow for another. */
static void an_exchange_lends_its_place_to_nobody(void **state)
{
	static struct refcount owner;
	struct relay_settings older = fixture.settings;

	(void)state;
	asked = 0;
	clients_come(0, 10);
	/* The second's first flow holds settings that end with it. */
	older.owner = &owner;
	refcount_init(&owner, other_worker);
	udp_listener_set_settings(second_listener, &older);
	refcount_drop(&owner);
	by(second);
	clients_come(100, 1);
	udp_listener_set_settings(second_listener, &fixture.settings);
	come_to_stay(101, 8);
	by(third);
	clients_come(200, 1);
	assert_int_equal(places(), 20);
	by(second);
	assert_int_equal(asked, 0);
	clients_come(120, 1);
	assert_int_equal(asked, 1);
	assert_null(socket_for(client_name(100)));
	assert_int_equal(places(), 20);
	wake_all();
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

/* What was owed is there again, and the next that is asked is another one. */
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

/* What is written to stderr while the rounds run. */
static void settle_and_read_log(char *text, size_t size)
{
	int saved = dup(STDERR_FILENO), ends[2];
	ssize_t length;

	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	log_set_level(LOG_LEVEL_WARNING);
	dup2(ends[1], STDERR_FILENO);
	settle();
	dup2(saved, STDERR_FILENO);
	log_set_level(LOG_LEVEL_ERROR);
	length = read(ends[0], text, size - 1);
	text[length > 0 ? length : 0] = '\0';
	close(ends[0]);
	close(ends[1]);
	close(saved);
}

/* Nothing to make room with: the flow is over before it began. */
static void without_any_place_a_newcomer_is_turned_away(void **state)
{
	const unsigned limit = 2 * (FLOW_QUOTA_OVERDRAFT + 1), most = limit + FLOW_QUOTA_OVERDRAFT;
	uint64_t relayed;
	char line[1024];
	unsigned open;

	(void)state;
	come_to_stay(0, limit);
	by(second);
	come_to_stay(200, FLOW_QUOTA_OVERDRAFT);
	assert_int_equal(places(), most);
	assert_int_equal(debt_of(FIRST), FLOW_QUOTA_OVERDRAFT);
	open = fixture.fake.open;
	relayed = count(COUNTER_SESSIONS_RELAYED);
	expect_closed(CLOSE_FLOW_TABLE_FULL, 0);
	send_as(OTHER_CLIENT, "x");
	settle_and_read_log(line, sizeof(line));
	expect_closed(CLOSE_FLOW_TABLE_FULL, 1);
	assert_non_null(strstr(line, "failed"));
	assert_non_null(strstr(line, "reason=flow-table-full"));
	assert_non_null(strstr(line, "client=" OTHER_CLIENT));
	assert_int_equal(count(COUNTER_SESSIONS_ACCEPTED), most + 1);
	assert_int_equal(count(COUNTER_SESSIONS_RELAYED), relayed);
	assert_null(socket_for(OTHER_CLIENT));
	assert_int_equal(fixture.fake.open, open);
	assert_int_equal(places(), most);
	assert_int_equal(debt_of(FIRST), FLOW_QUOTA_OVERDRAFT);
	assert_int_equal(udp_fixture_claims(&fixture), most);
	assert_int_equal(there(), FLOW_QUOTA_OVERDRAFT);
	EXPECT_HEARD(OTHER_CLIENT, "");
	/* When there is room, it may come back. */
	wake_all();
	assert_int_equal(places(), limit);
	send_as(OTHER_CLIENT, "again");
	settle();
	EXPECT_HEARD(OTHER_CLIENT, "again|");
}

static void one_socket_alone_lets_fresh_ones_go_and_then_the_least_recently_used(void **state)
{
	(void)state;
	assert_int_equal(fixture.quota.members[0].notices, -1);
	clients_come(0, 4);
	assure(0, 2);
	/* The older one of those that are fresh. */
	clients_come(3, 1);
	clients_come(4, 1);
	assert_int_equal(alive(0, 5), 4);
	assert_null(socket_for(client_name(2)));
	clients_come(5, 1);
	assert_null(socket_for(client_name(3)));
	assure(4, 2);
	clients_come(0, 1);
	clients_come(6, 1);
	assert_null(socket_for(client_name(1)));
	/* Now it is the only fresh one. */
	clients_come(7, 1);
	assert_null(socket_for(client_name(6)));
	assert_int_equal(alive(0, 1) + alive(4, 2) + alive(7, 1), 4);
	expect_closed(CLOSE_FLOW_EVICTED, 4);
}

int main(void)
{
#define TEST(name, start) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(one_socket_may_have_all_places_while_nobody_wants_them, start_two_with_10),
		TEST(who_has_less_takes_a_place_from_who_has_more, start_two_with_10),
		TEST(only_who_is_to_pay_hears_of_it_and_at_once, start_two_with_10),
		TEST(with_as_many_as_the_other_a_socket_makes_room_among_its_own,
		     start_two_with_10),
		TEST(two_floods_get_half_of_the_places_each, start_two_with_10),
		TEST(an_overdraft_that_nobody_answers_is_bounded, start_two_with_200),
		TEST(fresh_flows_of_another_socket_go_before_assured_ones, start_two_with_10),
		TEST(a_flood_by_one_socket_does_not_touch_assured_flows_of_any, start_two_with_10),
		TEST(all_assured_a_socket_with_as_many_lets_its_own_go, start_two_with_10),
		TEST(all_assured_a_socket_without_flows_gets_a_place_from_who_has_them,
		     start_two_with_10),
		TEST(all_assured_sockets_come_to_an_equal_share, start_two_with_10),
		TEST(what_was_overdrawn_for_is_paid_though_all_are_assured_by_then,
		     start_two_with_10),
		TEST(a_newcomer_does_not_pay_for_itself, start_two_with_10),
		TEST(a_newcomer_does_not_pay_for_itself_among_idle_sockets, start_eight_with_10),
		TEST(an_exchange_lends_its_place_to_nobody, start_three_of_four),
		TEST(a_debt_stands_though_its_debtor_has_nothing_fresh_any_more, start_two_with_10),
		TEST(a_debt_whose_excess_has_vanished_costs_no_assured_flow, start_three_of_four),
		TEST(without_any_place_a_newcomer_is_turned_away, start_two_with_130),
		TEST(one_socket_alone_lets_fresh_ones_go_and_then_the_least_recently_used,
		     start_one_with_4),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
