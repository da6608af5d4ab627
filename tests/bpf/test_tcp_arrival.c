/* SPDX-License-Identifier: MIT */
/* Which packets are a session's at all, and which are too broken, too long or from elsewhere. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "sessions.h"

#define IP  14 /* where its header is */
#define TCP 34 /* the same, of IPv4 without options */

static struct packet packet, before;

/* A segment of the balancer's, with 20 bytes. */
static void build(const struct session_spec *spec)
{
	struct segment_spec segment = session_segment(spec, OFFLOAD_BALANCER);

	segment.payload = 20;
	packet_build(&packet, &segment);
}

/* IPv4: after a change of its header. */
static void mend_ip(void)
{
	packet_set16(&packet, IP + 10, 0);
	packet_set16(&packet, IP + 10, (uint16_t)~packet_sum(&packet, IP, 20, 0));
}

/* It goes to the stack as it is, and nothing is noted. */
static void assert_ignored(unsigned interface)
{
	struct offload_leg leg = session_leg(OFFLOAD_BALANCER);
	struct offload_base base = session_base(OFFLOAD_BALANCER),
			    other = session_base(OFFLOAD_UPSTREAM);

	before = packet;
	assert_int_equal(kernel_arrive(&packet, interface), ACTION_STACK);
	assert_int_equal(packet.length, before.length);
	/* All but the interface's address, which it gets on the way. */
	assert_memory_equal(packet.bytes + 6, before.bytes + 6, packet.length - 6);
	assert_int_equal(session_leg(OFFLOAD_BALANCER).end, leg.end);
	assert_int_equal(session_base(OFFLOAD_BALANCER).last_seen, base.last_seen);
	assert_int_equal(session_leg(OFFLOAD_BALANCER).seen, leg.seen);
	assert_int_equal(session_base(OFFLOAD_UPSTREAM).last_seen, other.last_seen);
}

static void others_packets_are_none_of_ours(void **state)
{
	struct segment_spec segment = session_segment(&session_ipv4, OFFLOAD_BALANCER);

	(void)state;
	session_begin(&session_ipv4);
	segment.tuple.source_port++;
	packet_build(&packet, &segment);
	assert_ignored(LO);
	segment.tuple = session_tuple(&session_ipv4, OFFLOAD_BALANCER);
	segment.tuple = tuple_turned(&segment.tuple);
	packet_build(&packet, &segment);
	assert_ignored(LO);
	build(&session_ipv4);
	packet.bytes[IP + 9] = 17;
	mend_ip();
	assert_ignored(LO);
	build(&session_ipv4);
	packet_set16(&packet, 12, 0x0806);
	assert_ignored(LO);
	build(&session_ipv4);
	packet_set16(&packet, 12, 0x8100);
	assert_ignored(LO);
}

static void a_packet_to_another_machine_is_none_of_ours(void **state)
{
	(void)state;
	session_begin(&session_ipv4);
	build(&session_ipv4);
	packet.bytes[0] = 2;
	packet.bytes[5] = 9;
	assert_ignored(LO);
	build(&session_ipv4);
	memset(packet.bytes, 0xff, 6);
	assert_ignored(LO);
}

static void headers_that_are_cut_off_are_not_read(void **state)
{
	(void)state;
	for (int family = 0; family < 2; family++) {
		const struct session_spec *spec = family == 0 ? &session_ipv4 : &session_ipv6;
		/* The kernel runs no program on less than an IP header. */
		const size_t least = family == 0 ? IP + 20 : IP + 40;

		kernel_clear(NULL);
		session_begin(spec);
		build(spec);
		/* What its length says is not there. */
		for (size_t length = packet.length - 1; length >= least; length--) {
			build(spec);
			packet.length = length;
			assert_ignored(LO);
		}
	}
}

static void an_ip_header_that_is_too_short_is_not_read(void **state)
{
	(void)state;
	session_begin(&session_ipv4);
	for (uint8_t words = 0; words < 5; words++) {
		build(&session_ipv4);
		packet.bytes[IP] = (uint8_t)(0x40 | words);
		mend_ip();
		assert_ignored(LO);
	}
	for (uint16_t length = 0; length < 40; length++) {
		build(&session_ipv4);
		packet_set16(&packet, IP + 2, length);
		mend_ip();
		assert_ignored(LO);
	}
}

/* Its own addresses would be taken for ports: here they are those of a session. */
static void a_short_ip_header_has_no_ports_behind_it(void **state)
{
	struct offload_tuple tuple = session_tuple(&session_ipv4, OFFLOAD_BALANCER);

	(void)state;
	session_begin(&session_ipv4);
	memcpy(&tuple.source_port, &tuple.destination[3], 2);
	memcpy(&tuple.destination_port, (const uint8_t *)&tuple.destination[3] + 2, 2);
	kernel_put_place(&tuple, SESSION, OFFLOAD_BALANCER);
	build(&session_ipv4);
	packet.bytes[IP] = 0x44;
	/* Where the length of TCP's header would be, and ACK. */
	packet.bytes[IP + 16 + 12] = 0x50;
	packet.bytes[IP + 16 + 13] = ACK;
	assert_ignored(LO);
}

static void a_tcp_header_that_is_too_short_or_too_long_is_not_read(void **state)
{
	(void)state;
	session_begin(&session_ipv4);
	for (uint8_t words = 0; words < 16; words++) {
		if (words >= 5 && words <= 10)
			continue; /* as much as the packet has */
		build(&session_ipv4);
		packet.bytes[TCP + 12] = (uint8_t)(words << 4);
		assert_ignored(LO);
	}
}

static void a_fragment_is_dropped_and_noted(void **state)
{
	(void)state;
	session_begin(&session_ipv4);
	build(&session_ipv4);
	packet_set16(&packet, IP + 6, 0x2000);
	mend_ip();
	assert_int_equal(kernel_arrive(&packet, LO), ACTION_DROP);
	assert_int_equal(session_leg(OFFLOAD_BALANCER).seen & OFFLOAD_SEEN_ODD, OFFLOAD_SEEN_ODD);
}

/* What stands where ports would be is payload, though it may look like them. */
static void a_later_fragment_has_no_ports(void **state)
{
	(void)state;
	session_begin(&session_ipv4);
	for (uint16_t offset = 1; offset < 0x2000; offset = (uint16_t)(offset << 1)) {
		build(&session_ipv4);
		packet_set16(&packet, IP + 6, offset);
		mend_ip();
		assert_ignored(LO);
	}
}

static void put_extension(uint8_t first, const uint8_t extension[static 8])
{
	memmove(packet.bytes + IP + 48, packet.bytes + IP + 40, packet.length - IP - 40);
	memcpy(packet.bytes + IP + 40, extension, 8);
	packet.bytes[IP + 6] = first;
	packet.length += 8;
	packet_set16(&packet, IP + 4, (uint16_t)(packet_get16(&packet, IP + 4) + 8));
}

static void a_fragment_of_ipv6_is_dropped_and_noted(void **state)
{
	(void)state;
	session_begin(&session_ipv6);
	build(&session_ipv6);
	put_extension(44, (const uint8_t[8]){6, 0, 0, 1, 1, 2, 3, 4});
	assert_int_equal(kernel_arrive(&packet, LO), ACTION_DROP);
	assert_int_equal(session_leg(OFFLOAD_BALANCER).seen & OFFLOAD_SEEN_ODD, OFFLOAD_SEEN_ODD);
	build(&session_ipv6);
	put_extension(44, (const uint8_t[8]){6, 0, 0, 8, 1, 2, 3, 4});
	assert_ignored(LO);
	build(&session_ipv6);
	put_extension(44, (const uint8_t[8]){17, 0, 0, 1, 1, 2, 3, 4});
	assert_ignored(LO);
}

static void other_headers_of_ipv6_are_the_stacks(void **state)
{
	static const uint8_t firsts[] = {0, 43, 51, 60};

	(void)state;
	session_begin(&session_ipv6);
	for (size_t i = 0; i < sizeof(firsts); i++) {
		build(&session_ipv6);
		put_extension(firsts[i], (const uint8_t[8]){6, 0, 1, 4, 0, 0, 0, 0});
		assert_ignored(LO);
	}
}

/* Several segments in one packet of more than 64 KiB, as some kernels make them: it cannot say its
 * length. */
static void check_long_packet(const struct session_spec *spec)
{
	struct segment_spec segment = session_segment(spec, OFFLOAD_BALANCER);
	struct segment_spec changed;
	static struct packet expected;

	segment.payload = 2000;
	packet_build(&packet, &segment);
	changed = session_changed(spec, OFFLOAD_BALANCER, &segment);
	packet_build(&expected, &changed);
	packet_set16(&packet, spec->ipv6 ? IP + 4 : IP + 2, 0);
	packet_set16(&expected, spec->ipv6 ? IP + 4 : IP + 2, 0);
	if (!spec->ipv6) {
		mend_ip();
		packet_set16(&expected, IP + 10, 0);
		packet_set16(&expected, IP + 10, (uint16_t)~packet_sum(&expected, IP, 20, 0));
	}
	assert_int_equal(kernel_arrive_segments(&packet, LO, 1000), ACTION_STACK);
	packet_assert_equal(&packet, &expected);
	assert_int_equal(session_leg(OFFLOAD_BALANCER).end, spec->received[0] + 2000);
}

static void segments_longer_than_their_packet_can_say_are_carried(void **state)
{
	(void)state;
	session_begin(&session_ipv4);
	check_long_packet(&session_ipv4);
	kernel_clear(NULL);
	session_begin(&session_ipv6);
	check_long_packet(&session_ipv6);
}

static void segments_of_ipv6_with_the_option_for_their_length_are_carried(void **state)
{
	struct segment_spec segment = session_segment(&session_ipv6, OFFLOAD_BALANCER);
	struct segment_spec changed;
	static struct packet expected;
	const uint8_t jumbo[8] = {6, 0, 0xc2, 4, 0, 0, 0x07, 0xec};

	(void)state;
	session_begin(&session_ipv6);
	segment.payload = 2000;
	packet_build(&packet, &segment);
	put_extension(0, jumbo);
	packet_set16(&packet, IP + 4, 0);
	changed = session_changed(&session_ipv6, OFFLOAD_BALANCER, &segment);
	packet_build(&expected, &changed);
	memmove(expected.bytes + IP + 48, expected.bytes + IP + 40, expected.length - IP - 40);
	memcpy(expected.bytes + IP + 40, jumbo, 8);
	expected.length += 8;
	expected.bytes[IP + 6] = 0;
	packet_set16(&expected, IP + 4, 0);
	assert_int_equal(kernel_arrive_segments(&packet, LO, 1000), ACTION_STACK);
	packet_assert_equal(&packet, &expected);
	assert_int_equal(session_leg(OFFLOAD_BALANCER).end, session_ipv6.received[0] + 2000);
}

static void other_options_of_ipv6_are_the_stacks(void **state)
{
	(void)state;
	session_begin(&session_ipv6);
	build(&session_ipv6);
	put_extension(0, (const uint8_t[8]){6, 0, 1, 4, 0, 0, 0, 0});
	before = packet;
	assert_int_equal(kernel_arrive_segments(&packet, LO, 10), ACTION_STACK);
	assert_memory_equal(packet.bytes, before.bytes, packet.length);
	assert_int_equal(session_base(OFFLOAD_BALANCER).last_seen, 0);
}

static void a_length_of_zero_in_a_single_segment_is_not_read(void **state)
{
	(void)state;
	session_begin(&session_ipv6);
	build(&session_ipv6);
	packet_set16(&packet, IP + 4, 0);
	assert_ignored(LO);
}

/* It would get past what the stack has against forged addresses. */
static void what_a_leg_of_lo_sends_does_not_come_from_outside(void **state)
{
	(void)state;
	session_begin(&session_ipv4);
	build(&session_ipv4);
	assert_ignored(kernel_outside());
	kernel_clear(NULL);
	session_observe(&session_ipv4);
	build(&session_ipv4);
	assert_ignored(kernel_outside());
}

static void what_a_balancer_outside_sends_does_not_come_by_lo(void **state)
{
	(void)state;
	session_observe(&session_ipv4);
	build(&session_ipv4);
	assert_int_equal(kernel_arrive(&packet, LO), ACTION_STACK);
	kernel_clear(NULL);
	{
		struct offload_session session = {.state = OFFLOAD_OBSERVED};
		struct offload_tuple tuple = session_tuple(&session_ipv4, OFFLOAD_BALANCER);

		kernel_put_session(SESSION, &session);
		kernel_put_place(&tuple, SESSION, OFFLOAD_BALANCER);
	}
	build(&session_ipv4);
	assert_int_equal(kernel_arrive(&packet, kernel_outside()), ACTION_STACK);
	assert_int_equal(session_base(OFFLOAD_BALANCER).interface, kernel_outside());
	build(&session_ipv4);
	assert_ignored(LO);
}

static void a_packet_goes_the_way_of_its_leg(void **state)
{
	struct session_spec spec = session_ipv4;
	static const uint8_t nobody[6];

	(void)state;
	spec.way[OFFLOAD_BALANCER] = OFFLOAD_TO_LOOPBACK;
	spec.way[OFFLOAD_UPSTREAM] = OFFLOAD_TO_NEIGHBOUR;
	session_begin(&spec);
	build(&spec);
	assert_int_equal(kernel_arrive(&packet, kernel_outside()), ACTION_REDIRECT);
	assert_memory_equal(packet.bytes, nobody, sizeof(nobody));
	{
		struct segment_spec segment = session_segment(&spec, OFFLOAD_UPSTREAM);

		assert_int_equal(session_arrive(&segment), ACTION_REDIRECT);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, kernel_clear)
	const struct CMUnitTest tests[] = {
		TEST(others_packets_are_none_of_ours),
		TEST(a_packet_to_another_machine_is_none_of_ours),
		TEST(headers_that_are_cut_off_are_not_read),
		TEST(an_ip_header_that_is_too_short_is_not_read),
		TEST(a_short_ip_header_has_no_ports_behind_it),
		TEST(a_tcp_header_that_is_too_short_or_too_long_is_not_read),
		TEST(a_fragment_is_dropped_and_noted),
		TEST(a_later_fragment_has_no_ports),
		TEST(a_fragment_of_ipv6_is_dropped_and_noted),
		TEST(other_headers_of_ipv6_are_the_stacks),
		TEST(segments_longer_than_their_packet_can_say_are_carried),
		TEST(segments_of_ipv6_with_the_option_for_their_length_are_carried),
		TEST(other_options_of_ipv6_are_the_stacks),
		TEST(a_length_of_zero_in_a_single_segment_is_not_read),
		TEST(what_a_leg_of_lo_sends_does_not_come_from_outside),
		TEST(what_a_balancer_outside_sends_does_not_come_by_lo),
		TEST(a_packet_goes_the_way_of_its_leg),
	};

	return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
