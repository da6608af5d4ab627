/* SPDX-License-Identifier: MIT */
/* When a session is over that has been moved, and what does not end it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sessions.h"

static const struct session_spec *const spec = &session_ipv4;

static void a_daemon_can_end_what_has_moved_and_once(void **state)
{
	(void)state;
	assert_int_equal(kernel_end(SESSION), OFFLOAD_MOVE_UNKNOWN);
	session_observe(spec);
	assert_int_equal(kernel_end(SESSION), OFFLOAD_MOVE_UNKNOWN);
	assert_int_equal(session_state(), OFFLOAD_OBSERVED);
	session_begin(spec);
	session_assert_over(false);
	assert_int_equal(kernel_end(SESSION), OFFLOAD_MOVE_DONE);
	assert_int_equal(session_leg(OFFLOAD_BALANCER).seen & OFFLOAD_SEEN_TAKEN,
			 OFFLOAD_SEEN_TAKEN);
	session_assert_over(true);
	assert_int_equal(kernel_end(SESSION), OFFLOAD_MOVE_UNKNOWN);
	assert_int_equal(kernel_live(), 0);
}

static void fins_in_either_order_end_it_when_both_are_acknowledged(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 2; first++) {
		unsigned second = !first;

		kernel_clear(NULL);
		session_begin(spec);
		session_step(spec, first, FIN | ACK, 10, 0, 0);
		session_step(spec, second, ACK, 0, 0, 10);
		session_assert_over(false); /* only what is in front of the FIN */
		session_step(spec, second, ACK, 0, 0, 11);
		session_assert_over(false);
		/* Half of it goes on for as long as it likes. */
		session_step(spec, second, ACK, 1000, 0, 11);
		session_step(spec, first, ACK, 0, 11, 1000);
		session_step(spec, second, FIN | ACK, 0, 1000, 11);
		session_assert_over(false);
		session_step(spec, first, ACK, 0, 11, 1001);
		session_assert_over(true);
		assert_int_equal(session_leg(first).delivered, 1001);
		assert_int_equal(session_leg(second).delivered, 11);
	}
}

static void a_close_from_both_sides_at_once_ends_it(void **state)
{
	(void)state;
	session_begin(spec);
	session_step(spec, OFFLOAD_BALANCER, FIN | ACK, 0, 0, 0);
	session_step(spec, OFFLOAD_UPSTREAM, FIN | ACK, 0, 0, 0);
	session_assert_over(false);
	session_step(spec, OFFLOAD_BALANCER, ACK, 0, 1, 1);
	session_assert_over(false);
	session_step(spec, OFFLOAD_UPSTREAM, ACK, 0, 1, 1);
	session_assert_over(true);
}

/* The one that acknowledges is lost, and what is sent again ends nothing twice. */
static void late_segments_of_one_that_is_over_are_carried(void **state)
{
	struct segment_spec segment = session_segment(spec, OFFLOAD_UPSTREAM);

	(void)state;
	session_begin(spec);
	session_step(spec, OFFLOAD_BALANCER, FIN | ACK, 0, 0, 0);
	session_step(spec, OFFLOAD_UPSTREAM, FIN | ACK, 0, 0, 1);
	session_step(spec, OFFLOAD_BALANCER, ACK, 0, 1, 1);
	session_assert_over(true);
	segment.flags = FIN | ACK;
	segment.acknowledgement++;
	session_assert_changed(spec, OFFLOAD_UPSTREAM, &segment);
	assert_int_equal(kernel_live(), 0);
	session_step(spec, OFFLOAD_BALANCER, ACK, 0, 1, 1);
	assert_int_equal(session_state(), OFFLOAD_ENDED);
	assert_int_equal(kernel_live(), 0);
}

static void a_fin_behind_a_gap_waits_for_what_is_missing(void **state)
{
	(void)state;
	session_begin(spec);
	session_step(spec, OFFLOAD_UPSTREAM, FIN | ACK, 0, 0, 0);
	session_step(spec, OFFLOAD_BALANCER, FIN | ACK, 10, 20, 1);
	session_step(spec, OFFLOAD_UPSTREAM, ACK, 0, 1, 0);
	session_assert_over(false);
	session_step(spec, OFFLOAD_BALANCER, ACK, 20, 0, 1);
	session_step(spec, OFFLOAD_UPSTREAM, ACK, 0, 1, 30);
	session_assert_over(false);
	session_step(spec, OFFLOAD_UPSTREAM, ACK, 0, 1, 31);
	session_assert_over(true);
}

static void a_reset_that_the_far_end_could_expect_ends_it(void **state)
{
	/* 100 bytes have come by its leg of which the other far end has 40. */
	static const struct {
		int32_t ahead;
		bool ends;
	} resets[] = {
		{39, false},    {0, false},         {-1, false},        {40, true},
		{41, true},     {99, true},         {100, true},        {101, false},
		{65536, false}, {INT32_MAX, false}, {INT32_MIN, false},
	};

	(void)state;
	for (unsigned leg = 0; leg < 2; leg++) {
		for (size_t i = 0; i < sizeof(resets) / sizeof(resets[0]); i++) {
			for (unsigned flags = 0; flags < 2; flags++) {
				kernel_clear(NULL);
				session_begin(spec);
				session_step(spec, leg, ACK, 100, 0, 0);
				session_step(spec, !leg, ACK, 0, 0, 40);
				session_step(spec, leg, flags ? RST | ACK : RST, 0, resets[i].ahead,
					     0);
				session_assert_over(resets[i].ends);
				assert_int_equal(session_leg(leg).seen & OFFLOAD_SEEN_RESET,
						 resets[i].ends ? OFFLOAD_SEEN_RESET : 0);
			}
		}
	}
}

static void a_reset_is_carried_in_any_case(void **state)
{
	struct segment_spec segment = session_segment(spec, OFFLOAD_BALANCER);

	(void)state;
	session_begin(spec);
	segment.flags = RST;
	segment.sequence += 77777;
	session_assert_changed(spec, OFFLOAD_BALANCER, &segment);
	segment = session_segment(spec, OFFLOAD_BALANCER);
	segment.flags = RST;
	session_assert_changed(spec, OFFLOAD_BALANCER, &segment);
	session_assert_over(true);
}

static void a_new_connection_of_the_same_two_is_for_the_far_end_to_refuse(void **state)
{
	struct segment_spec segment = session_segment(spec, OFFLOAD_BALANCER);
	struct offload_tuple tuple = segment.tuple;

	(void)state;
	session_begin(spec);
	segment.flags = SYN;
	segment.acknowledgement = 0;
	segment.sequence += 0x30000000;
	session_assert_changed(spec, OFFLOAD_BALANCER, &segment);
	session_assert_over(false);
	assert_true(kernel_has_place(&tuple));
	session_assert_end(spec, OFFLOAD_BALANCER, 0);
	assert_int_equal(session_leg(OFFLOAD_BALANCER).seen & OFFLOAD_SEEN_SYN, OFFLOAD_SEEN_SYN);
	/* It says where it is, and the balancer, which knows of no such thing, that it is gone. */
	session_step(spec, OFFLOAD_UPSTREAM, ACK, 0, 0, 0);
	session_step(spec, OFFLOAD_BALANCER, RST, 0, 0, 0);
	session_assert_over(true);
	/* The next try is the listener's. */
	assert_int_equal(session_arrive(&segment), ACTION_STACK);
	assert_int_equal(packet_get32(&session_packet, 38), segment.sequence);
	assert_false(kernel_has_place(&tuple));
}

static void the_answer_to_a_first_segment_ends_nothing(void **state)
{
	(void)state;
	session_begin(spec);
	session_step(spec, OFFLOAD_UPSTREAM, SYN | ACK, 0, -5000, 0);
	session_step(spec, OFFLOAD_UPSTREAM, SYN | ACK, 0, 0, 0);
	session_assert_over(false);
	session_assert_end(spec, OFFLOAD_UPSTREAM, 0);
	assert_int_equal(session_leg(OFFLOAD_UPSTREAM).seen, OFFLOAD_SEEN_ANY);
}

/* Another mmproxy, with tables of its own, dials for the same client: that is the answer to it. */
static void the_answer_to_a_first_segment_is_not_late(void **state)
{
	struct segment_spec segment = session_segment(spec, OFFLOAD_UPSTREAM);

	(void)state;
	session_begin(spec);
	session_step(spec, OFFLOAD_BALANCER, RST, 0, 0, 0);
	session_assert_over(true);
	segment.flags = SYN | ACK;
	segment.sequence += 0x30000000;
	assert_int_equal(session_arrive(&segment), ACTION_STACK);
	assert_int_equal(packet_get32(&session_packet, 38), segment.sequence);
	assert_false(kernel_has_place(&segment.tuple));
}

static void a_first_segment_is_the_sockets_as_long_as_there_are_any(void **state)
{
	struct segment_spec segment = session_segment(spec, OFFLOAD_BALANCER);

	(void)state;
	session_observe(spec);
	segment.flags = SYN;
	assert_int_equal(session_arrive(&segment), ACTION_STACK);
	assert_true(kernel_has_place(&segment.tuple));
	assert_int_equal(session_state(), OFFLOAD_OBSERVED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, kernel_clear)
	const struct CMUnitTest tests[] = {
		TEST(a_daemon_can_end_what_has_moved_and_once),
		TEST(fins_in_either_order_end_it_when_both_are_acknowledged),
		TEST(a_close_from_both_sides_at_once_ends_it),
		TEST(late_segments_of_one_that_is_over_are_carried),
		TEST(a_fin_behind_a_gap_waits_for_what_is_missing),
		TEST(a_reset_that_the_far_end_could_expect_ends_it),
		TEST(a_reset_is_carried_in_any_case),
		TEST(a_new_connection_of_the_same_two_is_for_the_far_end_to_refuse),
		TEST(the_answer_to_a_first_segment_ends_nothing),
		TEST(the_answer_to_a_first_segment_is_not_late),
		TEST(a_first_segment_is_the_sockets_as_long_as_there_are_any),
	};

	return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
