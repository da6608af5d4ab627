/* SPDX-License-Identifier: MIT */
/* How long a session that the kernel carries may be silent, and who is asked for a sign of life. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay/session_view.h"
#include "relay/tcp.h"
#include "tcp_handoff.h"

static int start_carried(void **state)
{
	start_session(state);
	hand_off();
	return 0;
}

#define TEST_CARRIED(name) cmocka_unit_test_setup_teardown(name, start_carried, stop)

/* The state in which the sockets still wait for acknowledgements; from the client, or upstream. */
static void move_only(struct fake_socket *silent)
{
	exchange(1);
	silent->hold_acks = true;
	exchange(4);
	assert_int_equal(session_state(), TCP_MOVED);
}

static void expect_reset(const struct fake_socket *socket)
{
	assert_int_equal(socket->closed, FAKE_CLOSED_RESET);
	assert_true(socket->saw_reset);
	assert_false(socket->fin_delivered);
}

static void silence_ends_it_in_order(void **state)
{
	(void)state;
	fixture.settings.idle_timeout = 60000;
	fixture_open(&fixture, &client, &upstream);
	hand_off();
	fixture_pass(&fixture, 55000);
	fixture_send(client, 1);
	fixture_pass(&fixture, 55000);
	assert_int_equal(session_state(), TCP_OFFLOADED);
	fixture_pass(&fixture, 5100);
	expect_closed(&fixture, CLOSE_IDLE_TIMEOUT);
	expect_end(client, FAKE_CLOSED_ORDERLY);
	expect_end(upstream, FAKE_CLOSED_ORDERLY);
}

static void a_short_silence_is_not_as_long_as_a_look(void **state)
{
	(void)state;
	fixture.settings.idle_timeout = 1000;
	fixture_open(&fixture, &client, &upstream);
	hand_off();
	fixture_pass(&fixture, 900);
	assert_int_equal(session_state(), TCP_OFFLOADED);
	fixture_pass(&fixture, 110);
	expect_closed(&fixture, CLOSE_IDLE_TIMEOUT);
}

/* The kernel's clock is not the round's: bytes may come behind the moment a round began. */
static void bytes_that_come_after_the_round_has_begun_are_no_silence(void **state)
{
	(void)state;
	fixture.settings.idle_timeout = 60000;
	fixture_open(&fixture, &client, &upstream);
	hand_off();
	fixture_pass(&fixture, 3000);
	carried()->noted.last_active = (fixture.relay.loop.now + 4000) * 1000000;
	fixture_pass(&fixture, 3000);
	assert_int_equal(session_state(), TCP_OFFLOADED);
	assert_true(fixture_session(&fixture)->last_active <= fixture.relay.loop.now);
}

static void silence_ends_one_whose_sockets_wait(void **state)
{
	(void)state;
	fixture.settings.idle_timeout = 20000;
	fixture_open(&fixture, &client, &upstream);
	move_only(client);
	fixture_pass(&fixture, 20200);
	expect_closed(&fixture, CLOSE_IDLE_TIMEOUT);
}

/* Signs of life. */

static void a_client_that_answers_nothing_is_noticed(void **state)
{
	(void)state;
	client->peer_silent = true;
	fixture_pass(&fixture, 60000 + 25000);
	assert_int_equal(session_state(), TCP_OFFLOADED);
	fixture_pass(&fixture, 20000);
	expect_closed(&fixture, CLOSE_CLIENT_UNRESPONSIVE);
	expect_reset(upstream);
}

static void an_upstream_that_answers_nothing_is_noticed(void **state)
{
	(void)state;
	upstream->peer_silent = true;
	fixture_pass(&fixture, 60000 + 45000);
	expect_closed(&fixture, CLOSE_UPSTREAM_UNRESPONSIVE);
	expect_reset(client);
}

static void whoever_answers_may_be_silent_for_ever(void **state)
{
	(void)state;
	fixture_pass(&fixture, 3600000);
	assert_int_equal(session_state(), TCP_OFFLOADED);
	assert_true(kernel.calls[FAKE_PROBE] > 100 && kernel.calls[FAKE_PROBE] < 130);
}

/* Shorter than the time between two looks, and between two probes. */
static void an_impatient_keepalive_kills_nobody_who_answers(void **state)
{
	(void)state;
	fixture.settings.keepalive = 1000;
	fixture_open(&fixture, &client, &upstream);
	hand_off();
	fixture_pass(&fixture, 600000);
	assert_int_equal(session_state(), TCP_OFFLOADED);
	upstream->peer_silent = true;
	fixture_pass(&fixture, 45000);
	expect_closed(&fixture, CLOSE_UPSTREAM_UNRESPONSIVE);
}

static void one_that_speaks_is_not_asked(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		fixture_send(client, 10);
		fixture_send(upstream, 10);
		fixture_pass(&fixture, 5000);
	}
	assert_int_equal(kernel.calls[FAKE_PROBE], 0);
}

static void without_keepalive_nobody_is_asked(void **state)
{
	(void)state;
	fixture.settings.keepalive = 0;
	fixture_open(&fixture, &client, &upstream);
	hand_off();
	client->peer_silent = upstream->peer_silent = true;
	fixture_pass(&fixture, 3600000);
	assert_int_equal(session_state(), TCP_OFFLOADED);
	assert_int_equal(kernel.calls[FAKE_PROBE], 0);
}

static void a_probe_that_cannot_be_made_kills_nobody(void **state)
{
	(void)state;
	client->peer_silent = true;
	for (unsigned i = 0; i < 200; i++) {
		fake_datapath_fail(&kernel, FAKE_PROBE, 1, -EMFILE);
		fixture_pass(&fixture, 1000);
	}
	assert_int_equal(session_state(), TCP_OFFLOADED);
}

/* What our sockets had sent never came through: it cannot go on, and nobody else has the bytes. */
static void one_that_never_acknowledges_our_last_bytes_is_dead(void **state)
{
	(void)state;
	fixture.settings.keepalive = 0;
	fixture_open(&fixture, &client, &upstream);
	move_only(client);
	fixture_pass(&fixture, 29000);
	assert_int_equal(session_state(), TCP_MOVED);
	fixture_pass(&fixture, 2000);
	expect_closed(&fixture, CLOSE_CLIENT_UNRESPONSIVE);
	expect_reset(upstream);
	expect_reset(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ALONE(silence_ends_it_in_order),
		TEST_ALONE(a_short_silence_is_not_as_long_as_a_look),
		TEST_ALONE(bytes_that_come_after_the_round_has_begun_are_no_silence),
		TEST_ALONE(silence_ends_one_whose_sockets_wait),
		TEST_CARRIED(a_client_that_answers_nothing_is_noticed),
		TEST_CARRIED(an_upstream_that_answers_nothing_is_noticed),
		TEST_CARRIED(whoever_answers_may_be_silent_for_ever),
		TEST_ALONE(an_impatient_keepalive_kills_nobody_who_answers),
		TEST_CARRIED(one_that_speaks_is_not_asked),
		TEST_ALONE(without_keepalive_nobody_is_asked),
		TEST_CARRIED(a_probe_that_cannot_be_made_kills_nobody),
		TEST_ALONE(one_that_never_acknowledges_our_last_bytes_is_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
