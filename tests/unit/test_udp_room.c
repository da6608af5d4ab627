/* SPDX-License-Identifier: MIT */
/*
 * A UDP listener's places for flows, when no other socket makes room: a socket alone or with as
 * many as the others lets its own go, and with the table full a newcomer is turned away.
 * test_udp_debts.c has what sockets owe to each other.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/log.h"
#include "udp_places.h"

#define OTHER_CLIENT "203.0.113.10:40000"

/* A member of the quota whose socket the test does without. */
enum { FOURTH = 3 };

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

static int start_one_with_4(void **state)
{
	(void)state;
	return talk_start(UDP_FRAMING_EVERY, 4);
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

int main(void)
{
#define TEST(name, start) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(one_socket_alone_lets_fresh_ones_go_and_then_the_least_recently_used,
		     start_one_with_4),
		TEST(one_socket_may_have_all_places_while_nobody_wants_them, start_two_with_10),
		TEST(with_as_many_as_the_other_a_socket_makes_room_among_its_own,
		     start_two_with_10),
		TEST(all_assured_a_socket_with_as_many_lets_its_own_go, start_two_with_10),
		TEST(an_overdraft_that_nobody_answers_is_bounded, start_two_with_200),
		TEST(an_exchange_lends_its_place_to_nobody, start_three_of_four),
		TEST(without_any_place_a_newcomer_is_turned_away, start_two_with_130),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
