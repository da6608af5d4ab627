/* SPDX-License-Identifier: MIT */
/*
 * A session's deadlines: the header's, silence in both directions, and peers that acknowledge
 * nothing, which must not be mistaken for readers that merely stopped reading.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay_checks.h"
#include "relay_fixture.h"

#define USER_TIMEOUT 30000
#define DAY          (24 * 3600 * 1000)

static struct relay_fixture fixture;
static struct fake_socket *client, *upstream;
/* Which of the two the test is about, and the one behind it. */
static struct fake_socket *subject, *other;
static size_t skip; /* of what `other` sends, the header */

static int start(void **state)
{
	(void)state;
	fixture_start(&fixture);
	fixture.settings.user_timeout = USER_TIMEOUT;
	client = upstream = subject = other = NULL;
	return 0;
}

static int start_about_client(void **state)
{
	start(state);
	fixture_open(&fixture, &client, &upstream);
	subject = client;
	other = upstream;
	skip = 0;
	return 0;
}

static int start_about_upstream(void **state)
{
	start(state);
	fixture_open(&fixture, &client, &upstream);
	subject = upstream;
	other = client;
	skip = FIXTURE_V1_SIZE;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	fixture_stop(&fixture);
	return 0;
}

static void connect_client(void)
{
	client = fake_incoming(fixture.listening, FIXTURE_BALANCER);
	fixture_settle(&fixture);
}

static enum close_reason unresponsive(void)
{
	return subject == client ? CLOSE_CLIENT_UNRESPONSIVE : CLOSE_UPSTREAM_UNRESPONSIVE;
}

static void stop_reading(void)
{
	subject->peer_stalls = true;
	subject->peer_window = 1000;
	subject->send_limit = 5000;
}

static void a_balancer_that_says_nothing_is_closed_at_the_deadline(void **state)
{
	(void)state;
	connect_client();
	fixture_pass(&fixture, 4990);
	assert_int_equal(client->closed, FAKE_OPEN);
	fixture_pass(&fixture, 20);
	expect_closed(&fixture, CLOSE_HEADER_TIMEOUT_EMPTY);
}

static void half_a_header_is_closed_at_the_deadline(void **state)
{
	(void)state;
	connect_client();
	fake_peer_send(client, "PROXY TCP4", 10);
	fixture_pass(&fixture, 4990);
	assert_int_equal(client->closed, FAKE_OPEN);
	fixture_pass(&fixture, 20);
	expect_closed(&fixture, CLOSE_HEADER_TIMEOUT);
}

static void a_header_that_trickles_in_does_not_move_its_deadline(void **state)
{
	unsigned sent = 0;

	(void)state;
	connect_client();
	while (fixture_session(&fixture) != NULL && sent < 40) {
		fake_peer_send(client, &FIXTURE_V1[sent++], 1);
		fixture_pass(&fixture, 500);
	}
	assert_in_range(sent, 9, 11);
	expect_closed(&fixture, CLOSE_HEADER_TIMEOUT);
}

static void the_headers_deadline_is_lifted_once_it_is_in(void **state)
{
	(void)state;
	connect_client();
	fixture_pass(&fixture, 4900);
	fake_peer_send(client, FIXTURE_V1, FIXTURE_V1_SIZE);
	fixture_pass(&fixture, DAY);
	assert_non_null(fixture_session(&fixture));
	assert_int_equal(client->closed, FAKE_OPEN);
}

static void many_slow_headers_are_closed_each_at_its_own_deadline(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		fake_incoming(fixture.listening, FIXTURE_BALANCER);
		fixture_pass(&fixture, 10);
	}
	assert_int_equal(fixture_closed(&fixture, CLOSE_HEADER_TIMEOUT_EMPTY), 0);
	fixture_pass(&fixture, 4000);
	assert_in_range(fixture_closed(&fixture, CLOSE_HEADER_TIMEOUT_EMPTY), 98, 102);
	fixture_pass(&fixture, 1010);
	assert_int_equal(fixture_closed(&fixture, CLOSE_HEADER_TIMEOUT_EMPTY), 200);
}

static void an_idle_session_is_closed_in_order_at_the_idle_timeout(void **state)
{
	(void)state;
	fixture.settings.idle_timeout = 60000;
	fixture_open(&fixture, &client, &upstream);
	fixture_pass(&fixture, 59990);
	assert_non_null(fixture_session(&fixture));
	fixture_pass(&fixture, 20);
	expect_closed(&fixture, CLOSE_IDLE_TIMEOUT);
	expect_end(client, FAKE_CLOSED_ORDERLY);
	expect_end(upstream, FAKE_CLOSED_ORDERLY);
}

static void a_byte_in_either_direction_puts_the_idle_timeout_off(void **state)
{
	(void)state;
	fixture.settings.idle_timeout = 60000;
	fixture_open(&fixture, &client, &upstream);
	for (unsigned i = 0; i < 20; i++) {
		fixture_pass(&fixture, 50000);
		assert_non_null(fixture_session(&fixture));
		fixture_send(i % 2 == 0 ? client : upstream, 1);
	}
	fixture_pass(&fixture, 59990);
	assert_non_null(fixture_session(&fixture));
	fixture_pass(&fixture, 20);
	expect_closed(&fixture, CLOSE_IDLE_TIMEOUT);
}

static void a_half_closed_session_is_subject_to_the_idle_timeout(void **state)
{
	(void)state;
	fixture.settings.idle_timeout = 60000;
	fixture_open(&fixture, &client, &upstream);
	fixture_send(client, 100);
	fake_peer_finish(client);
	fixture_pass(&fixture, 60010);
	expect_closed(&fixture, CLOSE_IDLE_TIMEOUT);
}

static void without_an_idle_timeout_an_idle_session_lives_on(void **state)
{
	(void)state;
	fixture_open(&fixture, &client, &upstream);
	fixture_send(client, 100);
	fixture_pass(&fixture, 100 * (uint64_t)DAY);
	assert_non_null(fixture_session(&fixture));
	fixture_send(upstream, 100);
	fixture_settle(&fixture);
	expect_all(client, upstream, 0);
}

static void an_idle_session_costs_no_calls(void **state)
{
	unsigned before = 0, after = 0;

	(void)state;
	fixture_open(&fixture, &client, &upstream);
	fixture_send(client, 100);
	fixture_pass(&fixture, 2 * USER_TIMEOUT);
	for (unsigned i = 0; i < FAKE_CALL_COUNT; i++)
		before += fixture.fake.calls[i];
	fixture_pass(&fixture, DAY);
	for (unsigned i = 0; i < FAKE_CALL_COUNT; i++)
		after += fixture.fake.calls[i];
	assert_int_equal(after, before);
}

static void a_reader_that_stopped_is_not_taken_for_dead(void **state)
{
	(void)state;
	stop_reading();
	fixture_send(other, 100000);
	fixture_pass(&fixture, 20 * USER_TIMEOUT);
	assert_non_null(fixture_session(&fixture));
	while (fake_peer_read(subject, 700) > 0)
		fixture_pass(&fixture, 10);
	expect_all(subject, other, skip);
}

static void a_reader_that_stops_again_and_again_is_not_taken_for_dead(void **state)
{
	(void)state;
	stop_reading();
	fixture_send(other, 40000);
	for (uint64_t pause = 1000; subject->out_delivered < 40000; pause += 7001) {
		fixture_pass(&fixture, pause % 100000);
		assert_true(fake_peer_read(subject, 700) > 0);
	}
	fixture_settle(&fixture);
	assert_non_null(fixture_session(&fixture));
	expect_all(subject, other, skip);
}

static void once_a_stopped_reader_reads_again_the_kernel_watches_it_again(void **state)
{
	(void)state;
	stop_reading();
	fixture_send(other, 100000);
	fixture_pass(&fixture, 3 * USER_TIMEOUT);
	assert_int_equal(fake_option(subject, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
	subject->peer_stalls = false;
	fake_network(subject);
	fixture_pass(&fixture, 2 * USER_TIMEOUT);
	expect_all(subject, other, skip);
	assert_int_equal(fake_option(subject, IPPROTO_TCP, TCP_USER_TIMEOUT), USER_TIMEOUT);
	subject->peer_silent = true;
	fixture_send(other, 1000);
	fixture_pass(&fixture, 2 * USER_TIMEOUT);
	expect_closed(&fixture, unresponsive());
}

static void a_peer_that_died_with_data_on_the_way_is_noticed_in_time(void **state)
{
	(void)state;
	subject->peer_silent = true;
	fixture_send(other, 1000);
	fixture_pass(&fixture, USER_TIMEOUT - 1000);
	assert_non_null(fixture_session(&fixture));
	fixture_pass(&fixture, 2000);
	expect_closed(&fixture, unresponsive());
	expect_end(other, FAKE_CLOSED_RESET);
}

static void a_peer_that_died_while_it_had_stopped_reading_is_noticed(void **state)
{
	(void)state;
	stop_reading();
	fixture_send(other, 100000);
	fixture_pass(&fixture, 3 * USER_TIMEOUT);
	assert_non_null(fixture_session(&fixture));
	subject->peer_silent = true;
	fixture_pass(&fixture, 2 * USER_TIMEOUT);
	expect_closed(&fixture, unresponsive());
	expect_end(other, FAKE_CLOSED_RESET);
}

static void a_peer_that_died_right_after_it_stopped_reading_is_noticed(void **state)
{
	(void)state;
	stop_reading();
	fixture_send(other, 100000);
	fixture_pass(&fixture, 100);
	subject->peer_silent = true;
	fixture_pass(&fixture, 3 * USER_TIMEOUT);
	expect_closed(&fixture, unresponsive());
}

static void a_peer_that_keepalive_gives_up_on_ends_the_session(void **state)
{
	(void)state;
	fixture_pass(&fixture, 90000);
	fake_give_up(subject, -ETIMEDOUT);
	fixture_settle(&fixture);
	expect_closed(&fixture, unresponsive());
	expect_end(other, FAKE_CLOSED_RESET);
}

static void without_a_user_timeout_the_kernels_own_holds(void **state)
{
	(void)state;
	fixture.settings.user_timeout = 0;
	fixture_open(&fixture, &client, &upstream);
	assert_int_equal(fake_option(upstream, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
	upstream->peer_silent = true;
	fixture_send(client, 1000);
	fixture_pass(&fixture, 10 * USER_TIMEOUT);
	assert_non_null(fixture_session(&fixture));
	fake_give_up(upstream, -ETIMEDOUT);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_UPSTREAM_UNRESPONSIVE);
}

/* What it sent before stays readable, and is the other side's due. */
static void a_peer_that_is_found_dead_has_spoken_its_last_words(void **state)
{
	(void)state;
	other->peer_stalls = true;
	other->peer_window = 1000;
	other->send_limit = 2000;
	fixture_send(subject, 50000);
	fixture_settle(&fixture);
	fake_give_up(subject, -ETIMEDOUT);
	do
		fixture_pass(&fixture, 10);
	while (fake_peer_read(other, 1000) > 0);
	fixture_pass(&fixture, 200);
	expect_closed(&fixture, unresponsive());
	expect_all(other, subject, subject == client ? FIXTURE_V1_SIZE : 0);
	assert_int_equal(other->destroyed, 0);
}

/* Its peer is gone for good, so nobody will ever want what the stopped reader might still read. */
static void a_dead_peer_behind_a_stopped_reader_does_not_keep_the_session_for_ever(void **state)
{
	(void)state;
	other->peer_stalls = true;
	other->peer_window = 1000;
	other->send_limit = 2000;
	fixture_send(subject, 50000);
	fixture_settle(&fixture);
	fake_give_up(subject, -ETIMEDOUT);
	fixture_pass(&fixture, 10 * USER_TIMEOUT);
	expect_closed(&fixture, unresponsive());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
#define BOTH(name)                                                                                 \
	TEST_RUN(name, "client", start_about_client, stop),                                        \
		TEST_RUN(name, "upstream", start_about_upstream, stop)
	const struct CMUnitTest tests[] = {
		TEST(a_balancer_that_says_nothing_is_closed_at_the_deadline),
		TEST(half_a_header_is_closed_at_the_deadline),
		TEST(a_header_that_trickles_in_does_not_move_its_deadline),
		TEST(the_headers_deadline_is_lifted_once_it_is_in),
		TEST(many_slow_headers_are_closed_each_at_its_own_deadline),
		TEST(an_idle_session_is_closed_in_order_at_the_idle_timeout),
		TEST(a_byte_in_either_direction_puts_the_idle_timeout_off),
		TEST(a_half_closed_session_is_subject_to_the_idle_timeout),
		TEST(without_an_idle_timeout_an_idle_session_lives_on),
		TEST(an_idle_session_costs_no_calls),
		BOTH(a_reader_that_stopped_is_not_taken_for_dead),
		BOTH(a_reader_that_stops_again_and_again_is_not_taken_for_dead),
		BOTH(once_a_stopped_reader_reads_again_the_kernel_watches_it_again),
		BOTH(a_peer_that_died_with_data_on_the_way_is_noticed_in_time),
		BOTH(a_peer_that_died_while_it_had_stopped_reading_is_noticed),
		BOTH(a_peer_that_died_right_after_it_stopped_reading_is_noticed),
		BOTH(a_peer_that_keepalive_gives_up_on_ends_the_session),
		TEST(without_a_user_timeout_the_kernels_own_holds),
		BOTH(a_peer_that_is_found_dead_has_spoken_its_last_words),
		BOTH(a_dead_peer_behind_a_stopped_reader_does_not_keep_the_session_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
