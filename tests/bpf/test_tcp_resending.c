/* SPDX-License-Identifier: MIT */
/* A session was moved while its far end had not acknowledged all that our socket had sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sessions.h"

/* Bytes that our socket of the leg has sent, and that were not acknowledged yet. */
#define UNACKED 3000

/* How far the far end of the leg may get, beyond what our socket has received: bytes. */
#define EDGE 2800

static struct session_spec moved_with(const struct session_spec *from, unsigned leg)
{
	struct session_spec spec = *from;
	struct offload_move move;

	kernel_clear(NULL);
	session_observe(&spec);
	spec.sent[leg] += UNACKED;
	move = session_move(&spec);
	move.legs[leg].edge = spec.received[leg] + EDGE;
	assert_int_equal(kernel_move(&move), OFFLOAD_MOVE_DONE);
	return spec;
}

static void each_leg(void (*test)(const struct session_spec *spec, unsigned leg))
{
	const struct session_spec *const families[] = {&session_ipv4, &session_ipv6};

	for (size_t i = 0; i < 2; i++) {
		for (unsigned leg = 0; leg < 2; leg++) {
			struct session_spec spec = moved_with(families[i], leg);

			test(&spec, leg);
		}
	}
}

/* The segment arrives, and it is `left` that the stack gets: not one of the other leg. */
static void assert_left(const struct segment_spec *segment, const struct segment_spec *left)
{
	static struct packet expected;

	assert_int_equal(session_arrive(segment), ACTION_STACK);
	packet_build(&expected, left);
	packet_assert_equal(&session_packet, &expected);
	assert_true(packet_checksums_valid(&session_packet));
}

static void check_acknowledgements(const struct session_spec *spec, unsigned leg)
{
	struct segment_spec segment = session_segment(spec, leg), left;

	for (uint32_t missing = UNACKED; missing > 0; missing -= UNACKED / 3) {
		segment.acknowledgement = spec->sent[leg] - missing;
		assert_left(&segment, &segment);
	}
	/* It has sent more since, which went past our socket. */
	segment.sequence += 5000;
	left = segment;
	left.sequence = spec->received[leg];
	assert_left(&segment, &left);
	/* It asks whether our socket is there. */
	segment.sequence = spec->received[leg] - 1;
	assert_left(&segment, &segment);
	/* That was all of it. */
	segment = session_segment(spec, leg);
	session_assert_changed(spec, leg, &segment);
	segment.acknowledgement -= 10;
	session_assert_changed(spec, leg, &segment);
}

static void our_socket_gets_what_it_has_to_know(void **state)
{
	(void)state;
	each_leg(check_acknowledgements);
}

static void check_others(const struct session_spec *spec, unsigned leg)
{
	struct segment_spec segment = session_segment(spec, leg);

	segment.acknowledgement -= UNACKED;
	segment.payload = 1;
	session_assert_changed(spec, leg, &segment);
	segment.payload = 0;
	segment.sequence++;
	segment.flags = ACK | FIN;
	session_assert_changed(spec, leg, &segment);
	/* The other socket has nothing to send again. */
	segment = session_segment(spec, !leg);
	segment.window = 0;
	segment.acknowledgement -= 10;
	session_assert_changed(spec, !leg, &segment);
}

static void all_else_is_the_other_far_end_s(void **state)
{
	(void)state;
	each_leg(check_others);
}

/* The window that the other far end offers, in bytes as the far end of `leg` reads them. */
static uint32_t offered(const struct session_spec *spec, unsigned leg, uint32_t acknowledged)
{
	struct segment_spec segment = session_segment(spec, !leg);

	segment.window = 65535;
	segment.acknowledgement += acknowledged;
	assert_int_equal(session_arrive(&segment), ACTION_STACK);
	return (uint32_t)packet_get16(&session_packet, packet_transport(&session_packet) + 14)
	       << spec->window_right[!leg];
}

static void check_edge(const struct session_spec *spec, unsigned leg)
{
	uint32_t unit = 1u << spec->window_right[!leg];

	/* It sends; the other far end gets it, and would take more. */
	session_step(spec, leg, ACK, 1400, 0, -UNACKED);
	assert_int_equal(offered(spec, leg, 0), EDGE / unit * unit);
	assert_int_equal(offered(spec, leg, 1400), (EDGE - 1400) / unit * unit);
	session_step(spec, leg, ACK, EDGE - 1400, 1400, -UNACKED);
	assert_int_equal(offered(spec, leg, EDGE), 0);
	/* Now it has all that our socket had for it. */
	session_step(spec, leg, ACK, 0, EDGE, 0);
	assert_true(offered(spec, leg, EDGE) > EDGE);
}

static void the_far_end_gets_no_further_than_our_socket_knows(void **state)
{
	(void)state;
	each_leg(check_edge);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, kernel_clear)
	const struct CMUnitTest tests[] = {
		TEST(our_socket_gets_what_it_has_to_know),
		TEST(all_else_is_the_other_far_end_s),
		TEST(the_far_end_gets_no_further_than_our_socket_knows),
	};

	return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
