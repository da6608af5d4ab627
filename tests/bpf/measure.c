/* SPDX-License-Identifier: MIT */
/* What the program costs: nanoseconds a packet, and what the verifier had to look at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <tcp.skel.h>

#include <cmocka.h>

#include "sessions.h"

#define REPEAT 2000000
#define ROUNDS 7

/* The best of some rounds: whatever else runs only makes it slower. */
static void measure(const char *name, const struct packet *packet)
{
	unsigned best = ~0u;

	for (int i = 0; i < ROUNDS; i++) {
		unsigned one = kernel_time(packet, REPEAT / ROUNDS);

		best = one < best ? one : best;
	}
	printf("%-28s %4u ns\n", name, best);
}

/* It stays what it was, so that it can come again: what is added is zero, and its addresses are its
 * own. */
static void begin_unchanged(const struct session_spec *spec)
{
	struct offload_move move = session_move(spec);

	session_observe(spec);
	for (unsigned leg = 0; leg < 2; leg++) {
		move.legs[leg].change = (struct offload_change){.tuple = session_tuple(spec, leg)};
	}
	assert_int_equal(kernel_move(&move), OFFLOAD_MOVE_DONE);
}

static void each_kind_of_packet_is_timed(void **state)
{
	struct segment_spec segment = session_segment(&session_ipv4, OFFLOAD_BALANCER);
	static struct packet packet;

	(void)state;
	segment.payload = 100;
	options_add_timestamps(&segment.options, 1, 2);
	packet_build(&packet, &segment);
	measure("TCP of nobody", &packet);
	packet.bytes[23] = 17;
	measure("UDP", &packet);
	session_observe(&session_ipv4);
	packet_build(&packet, &segment);
	measure("observed", &packet);
	begin_unchanged(&session_ipv4);
	measure("moved", &packet);
	segment = session_segment(&session_ipv6, OFFLOAD_BALANCER);
	segment.payload = 100;
	options_add_timestamps(&segment.options, 1, 2);
	packet_build(&packet, &segment);
	measure("TCP of nobody, IPv6", &packet);
	begin_unchanged(&session_ipv6);
	measure("moved, IPv6", &packet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_kind_of_packet_is_timed, kernel_clear),
	};

	return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
