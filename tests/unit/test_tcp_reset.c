/* SPDX-License-Identifier: MIT */
/*
 * Resets: passed on as resets, and never before every byte that came ahead of them has been
 * delivered and acknowledged, since a reset destroys what is still on its way.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay_checks.h"
#include "relay_fixture.h"

#define CLIENT_SKIP FIXTURE_V1_SIZE

/* Longer than a session may hold a reset back for a reader that has stopped. */
#define LONG_WAIT 60000

static struct relay_fixture fixture;
static struct fake_socket *client, *upstream;

/* The side that resets, the side that hears of it, and the header that precedes the bytes. */
static struct fake_socket *dying, *other;
static size_t skip;
static enum close_reason reset_reason;

static int start_client_dies(void **state)
{
	(void)state;
	fixture_start(&fixture);
	fixture_open(&fixture, &client, &upstream);
	dying = client;
	other = upstream;
	skip = CLIENT_SKIP;
	reset_reason = CLOSE_CLIENT_RESET;
	return 0;
}

static int start_upstream_dies(void **state)
{
	(void)state;
	fixture_start(&fixture);
	fixture_open(&fixture, &client, &upstream);
	dying = upstream;
	other = client;
	skip = 0;
	reset_reason = CLOSE_UPSTREAM_RESET;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	fixture_stop(&fixture);
	return 0;
}

static void stall(struct fake_socket *socket, size_t window, size_t send_limit)
{
	socket->peer_stalls = true;
	socket->peer_window = window;
	socket->send_limit = send_limit;
}

/* The session is over: every byte arrived, then the reset. */
static void expect_all_then_reset(void)
{
	expect_closed(&fixture, reset_reason);
	expect_all(other, dying, skip);
	assert_int_equal(other->destroyed, 0);
	assert_true(other->saw_reset);
	assert_int_equal(dying->closed, FAKE_CLOSED_RESET);
}

/* The other side reads on, a little at a time, until there is nothing left. */
static void read_slowly(size_t step, uint64_t pause)
{
	do
		fixture_pass(&fixture, pause);
	while (fake_peer_read(other, step) > 0);
	fixture_pass(&fixture, 1000);
}

static void a_reset_is_passed_on_as_a_reset(void **state)
{
	(void)state;
	fake_peer_reset(dying);
	fixture_settle(&fixture);
	expect_all_then_reset();
}

static void bytes_that_came_with_the_reset_come_first(void **state)
{
	(void)state;
	fixture_send(dying, 500000);
	fake_peer_reset(dying);
	fixture_settle(&fixture);
	expect_all_then_reset();
}

static void a_reset_waits_until_every_byte_is_acknowledged(void **state)
{
	(void)state;
	other->hold_delivery = true;
	fixture_send(dying, 5000);
	fake_peer_reset(dying);
	fixture_pass(&fixture, 700);
	assert_int_equal(other->closed, FAKE_OPEN);

	/* Delivered is not enough: it might have to be sent again. */
	other->hold_delivery = false;
	other->hold_acks = true;
	fake_network(other);
	fixture_pass(&fixture, 700);
	assert_int_equal(other->closed, FAKE_OPEN);

	other->hold_acks = false;
	fake_network(other);
	fixture_pass(&fixture, 200);
	expect_all_then_reset();
}

static void a_reset_waits_behind_bytes_that_the_other_side_has_not_taken(void **state)
{
	(void)state;
	stall(other, 1000, 2000);
	fixture_send(dying, 60000);
	fixture_settle(&fixture);
	fake_peer_reset(dying);
	fixture_settle(&fixture);
	assert_int_equal(other->closed, FAKE_OPEN);
	read_slowly(900, 10);
	expect_all_then_reset();
}

/* More than one read takes: the rest waits in the dead connection's own buffer. */
static void bytes_not_read_yet_when_the_reset_came_are_not_lost(void **state)
{
	(void)state;
	stall(other, 10000, 20000);
	fixture_send(dying, 1000000);
	fixture_settle(&fixture);
	fake_peer_reset(dying);
	fixture_settle(&fixture);
	read_slowly(10000, 1);
	expect_all_then_reset();
}

/*
 * A server that refuses an upload answers and resets. The proxy, which is busy writing, hears of
 * the reset from its write, before it has read the answer.
 */
static void an_answer_is_not_lost_when_a_write_meets_the_reset_first(void **state)
{
	(void)state;
	fixture_send(other, 3000);
	fixture_send(dying, 20000);
	fake_peer_reset(dying);
	fixture_settle(&fixture);
	assert_int_equal(fixture.fake.calls[FAKE_SPLICE_IN], 0);
	expect_all_then_reset();
}

static void an_answer_behind_a_blocked_one_is_not_lost_either(void **state)
{
	(void)state;
	stall(other, 1000, 2000);
	fixture_send(dying, 300000);
	fixture_settle(&fixture);
	fixture_send(other, 3000);
	fake_peer_reset(dying);
	fixture_settle(&fixture);
	read_slowly(1000, 1);
	expect_all_then_reset();
}

static void a_slow_reader_gets_every_byte_before_the_reset(void **state)
{
	(void)state;
	stall(other, 1000, 2000);
	fixture_send(dying, 60000);
	fixture_settle(&fixture);
	fake_peer_reset(dying);
	read_slowly(1000, 2000);
	expect_all_then_reset();
}

static void a_reader_that_has_stopped_does_not_hold_a_reset_back_for_ever(void **state)
{
	(void)state;
	stall(other, 1000, 2000);
	/* Without TCP_USER_TIMEOUT, which would make this end for another reason. */
	other->option_count = 0;
	fixture_send(dying, 60000);
	fixture_settle(&fixture);
	fake_peer_reset(dying);
	fixture_pass(&fixture, LONG_WAIT);
	expect_closed(&fixture, reset_reason);
	expect_start(other, dying, skip);
	assert_int_equal(other->closed, FAKE_CLOSED_RESET);
}

static void a_reader_that_has_stopped_but_talks_on_does_not_either(void **state)
{
	(void)state;
	stall(other, 1000, 2000);
	other->option_count = 0;
	fixture_send(dying, 60000);
	fixture_settle(&fixture);
	fake_peer_reset(dying);
	for (unsigned i = 0; i < LONG_WAIT / 5000 && other->closed == FAKE_OPEN; i++) {
		fixture_send(other, 1);
		fixture_pass(&fixture, 5000);
	}
	expect_closed(&fixture, reset_reason);
}

static void the_wait_for_acknowledgements_is_no_busy_one(void **state)
{
	unsigned looks;

	(void)state;
	other->hold_acks = true;
	fixture_send(dying, 1000);
	fake_peer_reset(dying);
	fixture_settle(&fixture);
	looks = fixture.fake.calls[FAKE_UNSENT];
	fixture_pass(&fixture, 10000);
	assert_true(fixture.fake.calls[FAKE_UNSENT] - looks <= 200);
	other->hold_acks = false;
	fake_network(other);
	/* And no long one. */
	fixture_pass(&fixture, 200);
	expect_all_then_reset();
}

static void a_second_reset_ends_the_wait(void **state)
{
	(void)state;
	other->hold_acks = true;
	fixture_send(dying, 1000);
	fake_peer_reset(dying);
	fixture_settle(&fixture);
	fake_peer_reset(other);
	fixture_settle(&fixture);
	expect_closed(&fixture, reset_reason);
}

static void a_second_reset_ends_a_blocked_wait(void **state)
{
	(void)state;
	stall(other, 1000, 2000);
	fixture_send(dying, 60000);
	fixture_settle(&fixture);
	fake_peer_reset(dying);
	fixture_settle(&fixture);
	fake_peer_reset(other);
	fixture_settle(&fixture);
	assert_null(fixture_session(&fixture));
}

static void what_the_other_side_still_says_does_not_disturb_the_wait(void **state)
{
	(void)state;
	other->hold_acks = true;
	fixture_send(dying, 1000);
	fake_peer_reset(dying);
	fixture_settle(&fixture);
	for (unsigned i = 0; i < 10; i++) {
		fixture_send(other, 5000);
		fixture_pass(&fixture, 10);
	}
	fake_peer_finish(other);
	fixture_pass(&fixture, 10);
	assert_int_equal(other->closed, FAKE_OPEN);
	other->hold_acks = false;
	fake_network(other);
	fixture_pass(&fixture, 200);
	expect_all_then_reset();
}

static void a_reset_after_an_orderly_end_is_passed_on(void **state)
{
	(void)state;
	fixture_send(dying, 1000);
	fake_peer_finish(dying);
	fixture_settle(&fixture);
	assert_true(other->fin_delivered);
	assert_non_null(fixture_session(&fixture));
	fake_peer_reset(dying);
	fixture_pass(&fixture, 200);
	expect_all_then_reset();
}

static void an_orderly_end_and_a_reset_in_the_same_round_lose_nothing(void **state)
{
	(void)state;
	fixture_send(dying, 100000);
	fake_peer_finish(dying);
	fake_peer_reset(dying);
	fixture_pass(&fixture, 200);
	expect_all_then_reset();
}

/* It has closed, and so answers whatever else it is sent by a reset. */
static void a_reset_provoked_by_more_bytes_is_passed_on(void **state)
{
	(void)state;
	fixture_send(dying, 1000);
	fake_peer_close(dying);
	fixture_settle(&fixture);
	assert_non_null(fixture_session(&fixture));
	fixture_send(other, 1000);
	fixture_pass(&fixture, 200);
	expect_all_then_reset();
}

static void a_reset_of_both_in_one_round_ends_the_session(void **state)
{
	(void)state;
	fixture_send(dying, 1000);
	fixture_send(other, 1000);
	fake_peer_reset(dying);
	fake_peer_reset(other);
	fixture_settle(&fixture);
	assert_null(fixture_session(&fixture));
}

static void a_connection_that_timed_out_counts_as_unresponsive(void **state)
{
	(void)state;
	fake_fail(&fixture.fake, FAKE_RECV, 1, -ETIMEDOUT);
	fixture_send(dying, 10);
	fixture_settle(&fixture);
	expect_closed(&fixture,
		      dying == client ? CLOSE_CLIENT_UNRESPONSIVE : CLOSE_UPSTREAM_UNRESPONSIVE);
	expect_end(other, FAKE_CLOSED_RESET);
}

static void a_read_that_fails_ends_the_session_by_reset(void **state)
{
	static const int errors[] = {-ECONNRESET, -EPIPE, -EIO, -ENOBUFS};

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (i > 0)
			fixture_open(&fixture, &client, &upstream);
		fake_fail(&fixture.fake, FAKE_RECV, 1, errors[i]);
		fixture_send(client, 10);
		fixture_settle(&fixture);
		assert_null(fixture_session(&fixture));
		expect_end(upstream, FAKE_CLOSED_RESET);
		expect_end(client, FAKE_CLOSED_RESET);
	}
}

int main(void)
{
#define BOTH(name)                                                                                 \
	TEST_RUN(name, "client", start_client_dies, stop),                                         \
		TEST_RUN(name, "upstream", start_upstream_dies, stop)
	const struct CMUnitTest tests[] = {
		BOTH(a_reset_is_passed_on_as_a_reset),
		BOTH(bytes_that_came_with_the_reset_come_first),
		BOTH(a_reset_waits_until_every_byte_is_acknowledged),
		BOTH(a_reset_waits_behind_bytes_that_the_other_side_has_not_taken),
		BOTH(bytes_not_read_yet_when_the_reset_came_are_not_lost),
		BOTH(an_answer_is_not_lost_when_a_write_meets_the_reset_first),
		BOTH(an_answer_behind_a_blocked_one_is_not_lost_either),
		BOTH(a_slow_reader_gets_every_byte_before_the_reset),
		BOTH(a_reader_that_has_stopped_does_not_hold_a_reset_back_for_ever),
		BOTH(a_reader_that_has_stopped_but_talks_on_does_not_either),
		BOTH(the_wait_for_acknowledgements_is_no_busy_one),
		BOTH(a_second_reset_ends_the_wait),
		BOTH(a_second_reset_ends_a_blocked_wait),
		BOTH(what_the_other_side_still_says_does_not_disturb_the_wait),
		BOTH(a_reset_after_an_orderly_end_is_passed_on),
		BOTH(an_orderly_end_and_a_reset_in_the_same_round_lose_nothing),
		BOTH(a_reset_provoked_by_more_bytes_is_passed_on),
		BOTH(a_reset_of_both_in_one_round_ends_the_session),
		BOTH(a_connection_that_timed_out_counts_as_unresponsive),
		BOTH(a_read_that_fails_ends_the_session_by_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
