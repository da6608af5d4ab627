/* SPDX-License-Identifier: MIT */
/* Segments of a session that has been moved: each byte of what they become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sessions.h"

static void check_payloads(const struct session_spec *spec, unsigned leg)
{
	struct segment_spec segment = session_segment(spec, leg);

	for (size_t length = 0; length < 70; length++) {
		segment.payload = length;
		segment.seed = (uint8_t)(length * 7);
		session_assert_changed(spec, leg, &segment);
	}
	segment.payload = 1460;
	session_assert_changed(spec, leg, &segment);
}

static void payloads_of_every_length_are_left_alone(void **state)
{
	(void)state;
	session_each_leg(check_payloads);
}

/* All of them, urgent data and its pointer as well: nothing of them depends on a leg. */
static void check_flags(const struct session_spec *spec, unsigned leg)
{
	struct segment_spec segment = session_segment(spec, leg);

	segment.payload = 5;
	segment.urgent = 0xfedc;
	for (unsigned flags = 0; flags < 256; flags++) {
		if (flags & (FIN | RST))
			continue; /* they end it: see test_tcp_session */
		segment.flags = (uint8_t)flags;
		session_assert_changed(spec, leg, &segment);
	}
}

static void flags_are_left_alone_and_without_ack_so_is_its_number(void **state)
{
	(void)state;
	session_each_leg(check_flags);
}

static void check_windows(const struct session_spec *spec, unsigned leg)
{
	static const uint16_t windows[] = {0,     1,      2,      3,     4,     127,
					   128,   511,    512,    0x3ff, 0x400, 16383,
					   16384, 0x7fff, 0x8000, 65534, 65535};
	struct segment_spec segment = session_segment(spec, leg);

	for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		segment.window = windows[i];
		session_assert_changed(spec, leg, &segment);
	}
}

static void windows_are_shifted_and_end_at_65535(void **state)
{
	(void)state;
	session_each_leg(check_windows);
}

static void each_pair_of_shifts_gives_the_window_that_the_other_end_means(void **state)
{
	struct session_spec spec = session_ipv4;
	struct segment_spec segment;

	(void)state;
	for (uint8_t left = 0; left <= 14; left++) {
		for (uint8_t right = 0; right <= 14; right++) {
			kernel_clear(NULL);
			spec.window_left[0] = left;
			spec.window_right[0] = right;
			session_begin(&spec);
			segment = session_segment(&spec, OFFLOAD_BALANCER);
			segment.window = (uint16_t)(1000 + 3 * left + right);
			session_assert_changed(&spec, OFFLOAD_BALANCER, &segment);
			segment.window = 65535;
			session_assert_changed(&spec, OFFLOAD_BALANCER, &segment);
		}
	}
}

static void ip_options_are_left_alone(void **state)
{
	struct segment_spec segment = session_segment(&session_ipv4, OFFLOAD_BALANCER);
	/* A record of the route, which nobody has filled in. */
	const uint8_t route[] = {7, 39, 4};

	(void)state;
	session_begin(&session_ipv4);
	segment.payload = 33;
	options_add(&segment.ip_options, route, sizeof(route));
	segment.ip_options.length = 40;
	for (int blocks = 0; blocks < 5; blocks++) {
		session_assert_changed(&session_ipv4, OFFLOAD_BALANCER, &segment);
		options_add_word(&segment.options, 0x01010101);
	}
}

static void check_padding(const struct session_spec *spec, unsigned leg)
{
	struct segment_spec segment = session_segment(spec, leg);
	uint32_t end = session_leg(leg).end;

	/* Ethernet fills up what is shorter than 60 bytes; nobody forbids more. */
	segment.padding = 46;
	session_assert_changed(spec, leg, &segment);
	assert_int_equal(session_leg(leg).end, end);
	segment.payload = 1;
	session_assert_changed(spec, leg, &segment);
	assert_int_equal(session_leg(leg).end, end + 1);
}

static void bytes_behind_the_packet_are_no_payload(void **state)
{
	(void)state;
	session_each_leg(check_padding);
}

/* What a card has summed must still be so: the kernel compares, and drops a packet that is not. */
static void check_summed(const struct session_spec *spec, unsigned leg)
{
	struct segment_spec segment = session_segment(spec, leg);
	static struct packet packet;

	options_add_timestamps(&segment.options, 1, 2);
	for (size_t length = 30; length < 34; length++) {
		segment.payload = length;
		packet_build(&packet, &segment);
		if (!kernel_arrive_summed(&packet, LO))
			print_message("not tried: this kernel makes no sums for tests\n");
		else
			assert_true(packet_checksums_valid(&packet));
	}
}

static void a_cards_sum_of_the_packet_stays_right(void **state)
{
	(void)state;
	session_each_leg(check_summed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, kernel_clear)
	const struct CMUnitTest tests[] = {
		TEST(payloads_of_every_length_are_left_alone),
		TEST(flags_are_left_alone_and_without_ack_so_is_its_number),
		TEST(windows_are_shifted_and_end_at_65535),
		TEST(each_pair_of_shifts_gives_the_window_that_the_other_end_means),
		TEST(ip_options_are_left_alone),
		TEST(bytes_behind_the_packet_are_no_payload),
		TEST(a_cards_sum_of_the_packet_stays_right),
	};

	return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
