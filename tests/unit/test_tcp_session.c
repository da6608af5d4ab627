/* SPDX-License-Identifier: MIT */
/*
 * A TCP session over the fake operating system, to its orderly end: half-closes in both orders with
 * bytes on their way, and what is counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay/tcp.h"
#include "tcp_talk.h"

static void a_client_that_finishes_behind_its_header_still_gets_the_answer(void **state)
{
	(void)state;
	connect_client();
	fake_peer_send(client, FIXTURE_V1, FIXTURE_V1_SIZE);
	fake_peer_finish(client);
	fixture_settle(&fixture);
	upstream = fake_dialled(&fixture.fake);
	assert_non_null(upstream);
	assert_true(upstream->fin_delivered);
	assert_false(client->fin_delivered);
	fixture_send(upstream, 100000);
	fake_peer_finish(upstream);
	fixture_settle(&fixture);
	expect_all(client, upstream, 0);
	expect_end(client, FAKE_CLOSED_ORDERLY);
	expect_closed(&fixture, CLOSE_FINISHED);
}

static void a_client_that_finishes_behind_its_payload_has_all_of_it_delivered(void **state)
{
	(void)state;
	connect_client();
	fake_peer_send(client, FIXTURE_V1 "question", FIXTURE_V1_SIZE + 8);
	fake_peer_finish(client);
	fixture_settle(&fixture);
	upstream = fake_dialled(&fixture.fake);
	expect_received("question");
	assert_true(upstream->fin_delivered);
}

/* Both directions are full when `first` finishes; `second` goes on, then finishes. */
static void half_close(struct fake_socket *first, struct fake_socket *second)
{
	size_t skip_first = first == client ? FIXTURE_V1_SIZE : 0;
	size_t skip_second = second == client ? FIXTURE_V1_SIZE : 0;

	first->peer_stalls = second->peer_stalls = true;
	first->peer_window = second->peer_window = 10000;
	first->send_limit = second->send_limit = 30000;
	fixture_send(first, 300000);
	fixture_send(second, 200000);
	fixture_settle(&fixture);
	fake_peer_finish(first);
	fixture_settle(&fixture);
	assert_false(second->fin_delivered);

	while (fake_peer_read(second, 7777) > 0)
		fixture_settle(&fixture);
	expect_all(second, first, skip_first);
	assert_true(second->fin_delivered);
	assert_false(first->fin_delivered);
	assert_non_null(fixture_session(&fixture));

	while (fake_peer_read(first, 3333) > 0)
		fixture_settle(&fixture);
	expect_all(first, second, skip_second);
	fixture_send(second, 50000);
	fake_peer_finish(second);
	do
		fixture_settle(&fixture);
	while (fake_peer_read(first, 3333) > 0);
	expect_all(first, second, skip_second);
	expect_end(first, FAKE_CLOSED_ORDERLY);
	expect_end(second, FAKE_CLOSED_ORDERLY);
	expect_closed(&fixture, CLOSE_FINISHED);
}

static void after_the_client_half_closes_the_upstream_goes_on(void **state)
{
	(void)state;
	fixture_open(&fixture, &client, &upstream);
	half_close(client, upstream);
}

static void after_the_upstream_half_closes_the_client_goes_on(void **state)
{
	(void)state;
	fixture_open(&fixture, &client, &upstream);
	half_close(upstream, client);
}

/* Both directions have some bytes on their way, of other lengths each time. */
static void half_close_once(unsigned number, bool client_first)
{
	struct fake_socket *first, *second;

	fixture_open(&fixture, &client, &upstream);
	first = client_first ? client : upstream;
	second = client_first ? upstream : client;
	first->peer_stalls = second->peer_stalls = true;
	first->peer_window = 1 + number % 700;
	second->peer_window = 1 + number % 1100;
	first->send_limit = second->send_limit = 1 + number % 500;
	fixture_send(first, 1 + number % 1300);
	fixture_send(second, 1 + number % 1900);
	fixture_settle(&fixture);
	fake_peer_finish(first);
	fixture_settle(&fixture);
	while (fake_peer_read(second, 977) > 0)
		fixture_settle(&fixture);
	expect_all(second, first, first == client ? FIXTURE_V1_SIZE : 0);
	assert_true(second->fin_delivered);
	assert_false(first->fin_delivered);
	fake_peer_finish(second);
	do
		fixture_settle(&fixture);
	while (fake_peer_read(first, 977) > 0);
	expect_all(first, second, second == client ? FIXTURE_V1_SIZE : 0);
	assert_true(first->fin_delivered);
	assert_null(fixture_session(&fixture));
}

static void a_hundred_thousand_half_closes_lose_nothing(void **state)
{
	(void)state;
	for (unsigned number = 0; number < 100000; number++) {
		half_close_once(number, number % 2 == 0);
		/* The fake keeps all that was ever sent. */
		if (number % 100 == 99) {
			assert_int_equal(fixture_closed(&fixture, CLOSE_FINISHED), 100);
			fixture_stop(&fixture);
			fixture_start(&fixture);
		}
	}
}

static void both_sides_may_finish_in_the_same_round(void **state)
{
	(void)state;
	fixture_open(&fixture, &client, &upstream);
	fixture_send(client, 1000);
	fixture_send(upstream, 2000);
	fake_peer_finish(client);
	fake_peer_finish(upstream);
	fixture_settle(&fixture);
	expect_all(upstream, client, FIXTURE_V1_SIZE);
	expect_all(client, upstream, 0);
	expect_end(client, FAKE_CLOSED_ORDERLY);
	expect_end(upstream, FAKE_CLOSED_ORDERLY);
	expect_closed(&fixture, CLOSE_FINISHED);
}

static void bytes_are_counted_once_and_as_they_are_delivered(void **state)
{
	(void)state;
	fixture_open(&fixture, &client, &upstream);
	fixture_send(client, 1234567);
	fixture_send(upstream, 7654321);
	fixture_settle(&fixture);
	assert_int_equal(count(COUNTER_BYTES_FROM_CLIENT), 1234567);
	assert_int_equal(count(COUNTER_BYTES_FROM_UPSTREAM), 7654321);
	fake_peer_finish(client);
	fake_peer_finish(upstream);
	fixture_settle(&fixture);
	assert_int_equal(count(COUNTER_BYTES_FROM_CLIENT), 1234567);
	assert_int_equal(count(COUNTER_BYTES_FROM_UPSTREAM), 7654321);
}

static void a_stop_of_the_daemon_resets_what_is_not_finished(void **state)
{
	(void)state;
	fixture_open(&fixture, &client, &upstream);
	tcp_close_all(&fixture.relay);
	expect_closed(&fixture, CLOSE_SHUTDOWN);
	expect_end(client, FAKE_CLOSED_RESET);
	expect_end(upstream, FAKE_CLOSED_RESET);
}

static void an_event_of_the_round_in_which_a_session_closed_is_harmless(void **state)
{
	(void)state;
	fixture_open(&fixture, &client, &upstream);
	/* Both ends are in the same round's events, and the first one ends the session. */
	fake_peer_reset(upstream);
	fake_peer_reset(client);
	fixture_settle(&fixture);
	assert_null(fixture_session(&fixture));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_client_that_finishes_behind_its_header_still_gets_the_answer),
		TEST(a_client_that_finishes_behind_its_payload_has_all_of_it_delivered),
		TEST(after_the_client_half_closes_the_upstream_goes_on),
		TEST(after_the_upstream_half_closes_the_client_goes_on),
		TEST(a_hundred_thousand_half_closes_lose_nothing),
		TEST(both_sides_may_finish_in_the_same_round),
		TEST(bytes_are_counted_once_and_as_they_are_delivered),
		TEST(a_stop_of_the_daemon_resets_what_is_not_finished),
		TEST(an_event_of_the_round_in_which_a_session_closed_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
