/* SPDX-License-Identifier: MIT */
/* What is noted of a session whose segments pass, and when it moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sessions.h"

static const struct session_spec *const spec = &session_ipv4;

static void observe_nothing_yet(void)
{
	struct offload_session session = {.state = OFFLOAD_OBSERVED};

	session_observe(spec);
	kernel_put_session(SESSION, &session);
}

static void the_first_segment_says_where_a_leg_is(void **state)
{
	(void)state;
	observe_nothing_yet();
	session_step(spec, OFFLOAD_BALANCER, ACK, 10, 5, 3);
	session_assert_end(spec, OFFLOAD_BALANCER, 15);
	session_assert_acked(spec, OFFLOAD_BALANCER, 3);
	assert_int_equal(session_leg(OFFLOAD_BALANCER).seen, OFFLOAD_SEEN_ANY);
	assert_int_equal(session_base(OFFLOAD_BALANCER).interface, LO);
	assert_int_equal(session_leg(OFFLOAD_UPSTREAM).seen, 0);
	assert_true(session_last_active() > 0);
}

static void a_segment_without_ack_says_nothing(void **state)
{
	(void)state;
	observe_nothing_yet();
	session_step(spec, OFFLOAD_BALANCER, 0, 10, 5, 0);
	session_step(spec, OFFLOAD_BALANCER, FIN, 10, 5, 0);
	session_step(spec, OFFLOAD_BALANCER, SYN, 10, 5, 0);
	assert_int_equal(session_leg(OFFLOAD_BALANCER).seen, 0);
	session_begin(spec);
	session_step(spec, OFFLOAD_BALANCER, 0, 10, 0, 0);
	session_assert_end(spec, OFFLOAD_BALANCER, 0);
}

static void the_answer_to_a_first_segment_counts_its_syn(void **state)
{
	(void)state;
	observe_nothing_yet();
	session_step(spec, OFFLOAD_UPSTREAM, SYN | ACK, 0, -1, 0);
	session_assert_end(spec, OFFLOAD_UPSTREAM, 0);
	session_assert_acked(spec, OFFLOAD_UPSTREAM, 0);
}

static void payload_and_acknowledgements_move_on_and_never_back(void **state)
{
	(void)state;
	for (int moved = 0; moved < 2; moved++) {
		kernel_clear(NULL);
		moved ? session_begin(spec) : session_observe(spec);
		session_step(spec, OFFLOAD_UPSTREAM, ACK, 3000, 0, 0);
		session_assert_end(spec, OFFLOAD_UPSTREAM, 3000);
		session_step(spec, OFFLOAD_BALANCER, ACK, 100, 0, 3000);
		session_assert_end(spec, OFFLOAD_BALANCER, 100);
		session_assert_acked(spec, OFFLOAD_BALANCER, 3000);
		/* Sent again, part of it new, older than all. */
		session_step(spec, OFFLOAD_BALANCER, ACK, 100, 0, 2000);
		session_step(spec, OFFLOAD_BALANCER, ACK, 50, -100, 0);
		session_step(spec, OFFLOAD_BALANCER, ACK, 0, -100, -100);
		session_assert_end(spec, OFFLOAD_BALANCER, 100);
		session_assert_acked(spec, OFFLOAD_BALANCER, 3000);
		session_step(spec, OFFLOAD_BALANCER, ACK, 101, 0, 0);
		session_assert_end(spec, OFFLOAD_BALANCER, 101);
		/* Behind a gap: a pure acknowledgement says how far it is, too. */
		session_step(spec, OFFLOAD_BALANCER, ACK, 0, 300, 0);
		session_assert_end(spec, OFFLOAD_BALANCER, 300);
	}
}

static void a_probe_of_an_idle_session_moves_nothing(void **state)
{
	uint64_t before;

	(void)state;
	for (int moved = 0; moved < 2; moved++) {
		kernel_clear(NULL);
		moved ? session_begin(spec) : session_observe(spec);
		session_step(spec, OFFLOAD_BALANCER, ACK, 8, 0, 0);
		before = session_last_active();
		assert_true(before > 0);
		session_wait_past(before);
		session_step(spec, OFFLOAD_BALANCER, ACK, 0, 7, 0);
		session_step(spec, OFFLOAD_BALANCER, ACK, 1, 7, 0);
		session_step(spec, OFFLOAD_BALANCER, ACK, 8, 0, 0);
		session_step(spec, OFFLOAD_UPSTREAM, ACK, 0, 0, 0);
		session_assert_end(spec, OFFLOAD_BALANCER, 8);
		session_assert_end(spec, OFFLOAD_UPSTREAM, 0);
		assert_int_equal(session_last_active(), before);
		assert_true(session_base(OFFLOAD_BALANCER).last_seen > before);
		/* That it has arrived is activity. */
		session_step(spec, OFFLOAD_UPSTREAM, ACK, 0, 0, moved ? 8 : 1);
		assert_true(session_last_active() > before);
	}
}

static void the_newest_timestamp_is_kept(void **state)
{
	struct segment_spec segment = session_segment(spec, OFFLOAD_BALANCER);
	static const uint32_t stamps[] = {0xfffffff0, 0xffffffef, 5, 0xfffffff0, 4};
	static const uint32_t newest[] = {0xfffffff0, 0xfffffff0, 5, 5, 5};

	(void)state;
	session_observe(spec);
	session_arrive(&segment);
	assert_int_equal(session_leg(OFFLOAD_BALANCER).seen & OFFLOAD_SEEN_TIMESTAMP, 0);
	for (size_t i = 0; i < sizeof(stamps) / sizeof(stamps[0]); i++) {
		segment.options.length = 0;
		options_add_timestamps(&segment.options, stamps[i], 0);
		session_arrive(&segment);
		assert_int_equal(session_leg(OFFLOAD_BALANCER).timestamp, newest[i]);
	}
}

/* A socket would not take these, so nothing follows from them. */
static void the_timestamp_of_a_segment_out_of_order_is_none(void **state)
{
	struct segment_spec segment = session_segment(spec, OFFLOAD_BALANCER);

	(void)state;
	session_observe(spec);
	options_add_timestamps(&segment.options, 1000, 0);
	session_arrive(&segment);
	segment.sequence -= 5;
	segment.options.length = 0;
	options_add_timestamps(&segment.options, 1000 + (1 << 30), 0);
	session_arrive(&segment);
	assert_int_equal(session_leg(OFFLOAD_BALANCER).timestamp, 1000);
}

static void what_was_never_sent_cannot_have_been_acknowledged(void **state)
{
	struct offload_move move = session_move(spec);

	(void)state;
	session_observe(spec);
	session_step(spec, OFFLOAD_UPSTREAM, ACK, 0, 0, 1);
	assert_int_equal(kernel_move(&move), OFFLOAD_MOVE_LATE);
	move.legs[OFFLOAD_UPSTREAM].sent += 1;
	assert_int_equal(kernel_move(&move), OFFLOAD_MOVE_DONE);
}

static void what_the_far_end_gets_is_counted_from_what_our_socket_sent(void **state)
{
	struct offload_move move = session_move(spec);

	(void)state;
	session_observe(spec);
	/* Of what our socket has sent, 1000 bytes are not acknowledged yet. */
	move.legs[OFFLOAD_BALANCER].sent += 1000;
	assert_int_equal(kernel_move(&move), OFFLOAD_MOVE_DONE);
	assert_int_equal(session_leg(OFFLOAD_BALANCER).delivered, -1000);
	assert_int_equal(session_leg(OFFLOAD_UPSTREAM).delivered, 0);
	session_step(spec, OFFLOAD_UPSTREAM, ACK, 500, 1000, 0);
	session_step(spec, OFFLOAD_BALANCER, ACK, 0, 0, 600);
	assert_int_equal(session_leg(OFFLOAD_BALANCER).delivered, -400);
	session_step(spec, OFFLOAD_BALANCER, ACK, 0, 0, 1200);
	assert_int_equal(session_leg(OFFLOAD_BALANCER).delivered, 200);
	session_step(spec, OFFLOAD_BALANCER, ACK, 0, 0, 1100);
	assert_int_equal(session_leg(OFFLOAD_BALANCER).delivered, 200);
}

static void more_than_4_gib_are_counted(void **state)
{
	const uint32_t step = 1 << 19;
	struct segment_spec data = session_segment(spec, OFFLOAD_UPSTREAM),
			    acknowledgement = session_segment(spec, OFFLOAD_BALANCER);
	uint64_t sent = 0;

	(void)state;
	session_begin(spec);
	/* Segments that say how far they are, and nothing between: it is the numbers that count. */
	while (sent < 5ull << 30) {
		sent += step;
		data.sequence += step;
		acknowledgement.acknowledgement += step;
		session_arrive(&data);
		session_arrive(&acknowledgement);
	}
	assert_int_equal(session_leg(OFFLOAD_BALANCER).delivered, sent);
	assert_int_equal(session_leg(OFFLOAD_UPSTREAM).end, spec->received[1] + (uint32_t)sent);
}

static void a_session_moves_only_if_nothing_has_come_since(void **state)
{
	struct offload_move move = session_move(spec);

	(void)state;
	for (int leg = 0; leg < 2; leg++) {
		for (int distance = -1; distance < 2; distance += 2) {
			kernel_clear(NULL);
			session_observe(spec);
			move.legs[leg].received = spec->received[leg] + (uint32_t)distance;
			assert_int_equal(kernel_move(&move), OFFLOAD_MOVE_LATE);
			assert_int_equal(session_state(), OFFLOAD_OBSERVED);
			assert_int_equal(kernel_live(), 0);
			move.legs[leg].received = spec->received[leg];
		}
	}
	assert_int_equal(kernel_move(&move), OFFLOAD_MOVE_DONE);
	assert_int_equal(kernel_live(), 1);
}

static void a_fin_that_has_come_is_something(void **state)
{
	struct offload_move move = session_move(spec);

	(void)state;
	session_observe(spec);
	session_step(spec, OFFLOAD_UPSTREAM, FIN | ACK, 0, 0, 0);
	assert_int_equal(session_leg(OFFLOAD_UPSTREAM).seen & OFFLOAD_SEEN_FIN, OFFLOAD_SEEN_FIN);
	assert_int_equal(kernel_move(&move), OFFLOAD_MOVE_LATE);
}

/* It moves no number, but the socket that it was for may be gone. */
static void a_reset_that_has_come_is_something(void **state)
{
	struct offload_move move = session_move(spec);

	(void)state;
	session_observe(spec);
	session_step(spec, OFFLOAD_BALANCER, RST, 0, 0, 0);
	session_assert_end(spec, OFFLOAD_BALANCER, 0);
	assert_int_equal(kernel_move(&move), OFFLOAD_MOVE_LATE);
}

static void what_is_not_observed_cannot_move(void **state)
{
	struct offload_move move = session_move(spec);

	(void)state;
	assert_int_equal(kernel_move(&move), OFFLOAD_MOVE_UNKNOWN);
	session_begin(spec);
	assert_int_equal(kernel_move(&move), OFFLOAD_MOVE_UNKNOWN);
	assert_int_equal(kernel_end(SESSION), OFFLOAD_MOVE_DONE);
	assert_int_equal(kernel_move(&move), OFFLOAD_MOVE_UNKNOWN);
	assert_int_equal(kernel_live(), 0);
}

/*
 * Whoever knows the addresses, but no numbers. The windows of this session are less than 65536 << 9
 * and 65536 << 7 bytes.
 */
static void numbers_that_nobody_could_expect_move_nothing(void **state)
{
	const int32_t far = (65536 << 9) + (65536 << 7) + 1;

	(void)state;
	for (unsigned leg = 0; leg < 2; leg++) {
		kernel_clear(NULL);
		session_begin(spec);
		session_step(spec, leg, ACK, 0, far, 0);
		session_step(spec, leg, FIN | ACK, 9, -far - 10, 0);
		session_step(spec, leg, ACK, 9, INT32_MAX, 0);
		/* One acknowledges what the other has not sent; the other is far too old. */
		session_step(spec, leg, ACK, 9, 0, 1);
		session_step(spec, leg, ACK, 9, 0, INT32_MAX);
		session_step(spec, leg, ACK, 9, 0, -far);
		session_step(spec, leg, ACK, 9, 0, INT32_MIN);
		session_assert_end(spec, leg, 0);
		session_assert_acked(spec, leg, 0);
		assert_int_equal(session_leg(leg).seen, OFFLOAD_SEEN_ANY);
		assert_int_equal(session_last_active(), 0);
		/* All but that is still within reach. */
		session_step(spec, leg, ACK, 0, far - 1, 0);
		session_assert_end(spec, leg, far - 1);
	}
}

static void the_largest_windows_that_tcp_has_are_within_reach(void **state)
{
	struct session_spec large = session_ipv4;

	(void)state;
	for (int leg = 0; leg < 2; leg++)
		large.window_left[leg] = large.window_right[leg] = 14;
	session_begin(&large);
	session_step(spec, OFFLOAD_UPSTREAM, ACK, 0, 65535 << 14, 0);
	session_assert_end(spec, OFFLOAD_UPSTREAM, 65535 << 14);
	session_step(spec, OFFLOAD_BALANCER, ACK, 0, 0, 65535 << 14);
	session_assert_acked(spec, OFFLOAD_BALANCER, 65535 << 14);
	session_step(spec, OFFLOAD_UPSTREAM, ACK, 0, INT32_MIN, 0);
	session_assert_end(spec, OFFLOAD_UPSTREAM, 65535 << 14);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, kernel_clear)
	const struct CMUnitTest tests[] = {
		TEST(the_first_segment_says_where_a_leg_is),
		TEST(a_segment_without_ack_says_nothing),
		TEST(the_answer_to_a_first_segment_counts_its_syn),
		TEST(payload_and_acknowledgements_move_on_and_never_back),
		TEST(a_probe_of_an_idle_session_moves_nothing),
		TEST(the_newest_timestamp_is_kept),
		TEST(the_timestamp_of_a_segment_out_of_order_is_none),
		TEST(what_was_never_sent_cannot_have_been_acknowledged),
		TEST(what_the_far_end_gets_is_counted_from_what_our_socket_sent),
		TEST(more_than_4_gib_are_counted),
		TEST(a_session_moves_only_if_nothing_has_come_since),
		TEST(a_fin_that_has_come_is_something),
		TEST(a_reset_that_has_come_is_something),
		TEST(what_is_not_observed_cannot_move),
		TEST(numbers_that_nobody_could_expect_move_nothing),
		TEST(the_largest_windows_that_tcp_has_are_within_reach),
	};

	return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
