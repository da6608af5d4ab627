/* SPDX-License-Identifier: MIT */
/*
 * Routers that say that a packet was too big, of a session that has been moved: the upstream gets
 * told, of its own packet.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "sessions.h"

#define IP 14

static const struct session_spec *const families[] = {&session_ipv4, &session_ipv6};

/* What is acknowledged, and what has been sent since. */
#define ACKED 1000
#define SENT  5000

static struct packet message;

static size_t ip_size(const struct session_spec *spec)
{
	return spec->ipv6 ? 40 : 20;
}

static void put_header(const struct session_spec *spec, const struct offload_tuple *tuple,
		       size_t length)
{
	memset(&message, 0, sizeof(message));
	message.length = IP + ip_size(spec) + length;
	packet_set16(&message, 12, spec->ipv6 ? 0x86dd : 0x0800);
	if (spec->ipv6) {
		message.bytes[IP] = 0x60;
		packet_set16(&message, IP + 4, (uint16_t)length);
		message.bytes[IP + 6] = 58;
		message.bytes[IP + 7] = 63;
		memcpy(message.bytes + IP + 8, tuple->source, 16);
		memcpy(message.bytes + IP + 24, tuple->destination, 16);
		return;
	}
	message.bytes[IP] = 0x45;
	packet_set16(&message, IP + 2, (uint16_t)(20 + length));
	message.bytes[IP + 8] = 63;
	message.bytes[IP + 9] = 1;
	memcpy(message.bytes + IP + 12, &tuple->source[3], 4);
	memcpy(message.bytes + IP + 16, &tuple->destination[3], 4);
}

static void sum_up(const struct session_spec *spec)
{
	size_t start = IP + ip_size(spec), length = message.length - start;

	packet_set16(&message, start + 2, 0);
	packet_set16(
		&message, start + 2,
		(uint16_t)~packet_sum(&message, start, length,
				      spec->ipv6 ? packet_pseudo_sum(&message, 58, length) : 0));
	if (spec->ipv6)
		return;
	packet_set16(&message, IP + 10, 0);
	packet_set16(&message, IP + 10, (uint16_t)~packet_sum(&message, IP, 20, 0));
}

/* From a router to one of the two, about a packet, of which there are `quoted` bytes. */
static void build(const struct session_spec *spec, const struct offload_tuple *to,
		  const struct packet *about, size_t quoted)
{
	struct offload_tuple tuple = spec->ipv6 ? tuple_of("2001:db8:77::1", 0, "::1", 0)
						: tuple_of("192.0.2.77", 0, "127.0.0.1", 0);
	size_t start = IP + ip_size(spec);

	memcpy(tuple.destination, to->source, 16);
	put_header(spec, &tuple, 8 + quoted);
	message.bytes[start] = spec->ipv6 ? 2 : 3;
	message.bytes[start + 1] = spec->ipv6 ? 0 : 4;
	packet_set32(&message, start + 4, 1280);
	memcpy(message.bytes + start + 8, about->bytes + IP, quoted);
	sum_up(spec);
}

/* The upstream's segment, at a distance from the instant of the move, as it comes to us or leaves.
 */
static struct segment_spec segment_at(const struct session_spec *spec, int32_t ahead)
{
	struct segment_spec segment = session_segment(spec, OFFLOAD_UPSTREAM);

	segment.sequence += (uint32_t)ahead;
	segment.payload = 1400;
	options_add_timestamps(&segment.options, 1, 2);
	return segment;
}

static void build_about(const struct session_spec *spec, int32_t ahead, size_t quoted)
{
	struct segment_spec segment = segment_at(spec, ahead);
	static struct packet sent;

	segment = session_changed(spec, OFFLOAD_UPSTREAM, &segment);
	packet_build(&sent, &segment);
	build(spec, &segment.tuple, &sent, quoted);
}

/* The upstream has sent some, part of which the balancer has acknowledged. */
static void begin(const struct session_spec *spec)
{
	struct segment_spec segment = session_segment(spec, OFFLOAD_UPSTREAM);

	kernel_clear(NULL);
	session_begin(spec);
	segment.sequence += SENT;
	session_arrive(&segment);
	segment = session_segment(spec, OFFLOAD_BALANCER);
	segment.acknowledgement += ACKED;
	session_arrive(&segment);
}

static void assert_ignored(void)
{
	static struct packet before;

	before = message;
	assert_int_equal(kernel_arrive(&message, LO), ACTION_STACK);
	assert_int_equal(message.length, before.length);
	assert_memory_equal(message.bytes, before.bytes, before.length);
}

/* What the upstream is to see: its own numbers in the first eight bytes of TCP, the rest as quoted.
 */
static void build_expected(struct packet *expected, const struct session_spec *spec, int32_t ahead,
			   size_t quoted)
{
	struct segment_spec segment = segment_at(spec, ahead);
	struct segment_spec changed = session_changed(spec, OFFLOAD_UPSTREAM, &segment);
	static struct packet own, sent, kept;

	kept = message;
	packet_build(&own, &segment);
	packet_build(&sent, &changed);
	memcpy(own.bytes + IP + ip_size(spec) + 8, sent.bytes + IP + ip_size(spec) + 8,
	       own.length - IP - ip_size(spec) - 8);
	build(spec, &segment.tuple, &own, quoted);
	*expected = message;
	message = kept;
}

static void assert_carried(const struct session_spec *spec, int32_t ahead, size_t quoted)
{
	static struct packet expected;

	build_expected(&expected, spec, ahead, quoted);
	assert_int_equal(kernel_arrive(&message, LO), ACTION_STACK);
	packet_assert_equal(&message, &expected);
}

static void the_upstream_is_told_of_its_own_packet(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const struct session_spec *spec = families[i];
		const size_t least = ip_size(spec) + 8;

		begin(spec);
		for (size_t quoted = least; quoted < least + 70; quoted++) {
			int32_t ahead = ACKED + (int32_t)quoted * 7;

			build_about(spec, ahead, quoted);
			assert_carried(spec, ahead, quoted);
		}
	}
}

/* The kernel's own, in case of a card that sums packets. */
static void a_cards_sum_of_the_message_stays_right(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		begin(families[i]);
		for (size_t quoted = ip_size(families[i]) + 8; quoted < 100; quoted++) {
			build_about(families[i], ACKED, quoted);
			if (kernel_arrive_summed(&message, LO))
				assert_true(packet_checksums_valid(&message));
		}
	}
}

static void it_goes_the_way_of_the_balancers_packets(void **state)
{
	static const uint8_t nobody[6];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct session_spec spec = *families[i];

		spec.way[OFFLOAD_BALANCER] = OFFLOAD_TO_LOOPBACK;
		begin(&spec);
		build_about(&spec, ACKED, 60);
		assert_int_equal(kernel_arrive(&message, kernel_outside()), ACTION_REDIRECT);
		assert_memory_equal(message.bytes, nobody, sizeof(nobody));
	}
}

static void only_what_is_on_its_way_can_be_too_big(void **state)
{
	static const struct {
		int32_t ahead;
		bool carried;
	} places[] = {
		{ACKED - 1, false}, {ACKED, true},      {SENT - 1, true},
		{SENT, false},      {INT32_MAX, false}, {INT32_MIN, false},
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < sizeof(places) / sizeof(places[0]); k++) {
			begin(families[i]);
			build_about(families[i], places[k].ahead, 60);
			if (places[k].carried)
				assert_carried(families[i], places[k].ahead, 60);
			else
				assert_ignored();
		}
	}
}

/* What it has sent it sends again, in smaller packets. */
static void our_own_socket_is_told_of_its_own_packets(void **state)
{
	const struct session_spec *spec = &session_ipv4;
	struct offload_move move = session_move(spec);
	struct segment_spec segment = session_segment(spec, OFFLOAD_UPSTREAM);

	(void)state;
	move.legs[OFFLOAD_BALANCER].sent += 3000;
	session_observe(spec);
	assert_int_equal(kernel_move(&move), OFFLOAD_MOVE_DONE);
	segment.sequence += SENT;
	session_arrive(&segment);
	build_about(spec, 2999, 60);
	assert_ignored();
	build_about(spec, 3000, 60);
	assert_carried(spec, 3000, 60);
}

static void the_sockets_of_one_that_has_not_moved_are_told(void **state)
{
	struct segment_spec segment = session_segment(&session_ipv4, OFFLOAD_UPSTREAM);

	(void)state;
	session_observe(&session_ipv4);
	segment.sequence += SENT;
	session_arrive(&segment);
	build_about(&session_ipv4, ACKED, 60);
	assert_ignored();
	begin(&session_ipv4);
	assert_int_equal(kernel_end(SESSION), OFFLOAD_MOVE_DONE);
	build_about(&session_ipv4, ACKED, 60);
	assert_ignored();
}

static void other_messages_are_the_stacks(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const size_t start = IP + ip_size(families[i]);

		for (unsigned type = 0; type < 256; type++) {
			for (unsigned code = 0; code < 16; code++) {
				if (families[i]->ipv6 ? type == 2 : type == 3 && code == 4)
					continue;
				begin(families[i]);
				build_about(families[i], ACKED, 60);
				message.bytes[start] = (uint8_t)type;
				message.bytes[start + 1] = (uint8_t)code;
				sum_up(families[i]);
				assert_ignored();
				if (code == 4 && type > 20)
					break; /* they are all alike */
			}
		}
	}
}

static void messages_about_other_packets_are_the_stacks(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const struct session_spec *spec = families[i];
		const size_t quote = IP + ip_size(spec) + 8, tcp = quote + ip_size(spec);
		const size_t protocol = quote + (spec->ipv6 ? 6 : 9);

		begin(spec);
		build_about(spec, ACKED, 60);
		message.bytes[protocol] = 17;
		sum_up(spec);
		assert_ignored();
		build_about(spec, ACKED, 60);
		message.bytes[tcp + 1]++; /* the port that it was sent from */
		sum_up(spec);
		assert_ignored();
		build_about(spec, ACKED, 60);
		message.bytes[tcp - 1]++; /* the address that it was sent to */
		sum_up(spec);
		assert_ignored();
		if (spec->ipv6)
			continue;
		build_about(spec, ACKED, 60);
		message.bytes[quote] = 0x46;
		sum_up(spec);
		assert_ignored();
		build_about(spec, ACKED, 60);
		message.bytes[quote + 7] = 1; /* a later fragment: these are no ports */
		sum_up(spec);
		assert_ignored();
	}
}

/* The upstream's packets go nowhere that a router stands. */
static void messages_about_the_other_leg_are_the_stacks(void **state)
{
	struct segment_spec segment = session_segment(&session_ipv4, OFFLOAD_BALANCER);
	static struct packet sent;

	(void)state;
	begin(&session_ipv4);
	segment = session_changed(&session_ipv4, OFFLOAD_BALANCER, &segment);
	/* Though the number is one that would be on its way to the balancer. */
	segment.sequence = session_ipv4.sent[OFFLOAD_BALANCER] + ACKED;
	packet_build(&sent, &segment);
	build(&session_ipv4, &segment.tuple, &sent, 28);
	assert_ignored();
}

static void a_message_in_fragments_is_the_stacks(void **state)
{
	(void)state;
	begin(&session_ipv4);
	build_about(&session_ipv4, ACKED, 60);
	packet_set16(&message, IP + 6, 0x2000);
	sum_up(&session_ipv4);
	assert_ignored();
}

static void messages_that_are_cut_off_are_the_stacks(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const size_t least = ip_size(families[i]) + 8;

		begin(families[i]);
		for (size_t quoted = 0; quoted < least; quoted++) {
			build_about(families[i], ACKED, quoted);
			assert_ignored();
		}
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, kernel_clear)
	const struct CMUnitTest tests[] = {
		TEST(the_upstream_is_told_of_its_own_packet),
		TEST(a_cards_sum_of_the_message_stays_right),
		TEST(it_goes_the_way_of_the_balancers_packets),
		TEST(only_what_is_on_its_way_can_be_too_big),
		TEST(our_own_socket_is_told_of_its_own_packets),
		TEST(the_sockets_of_one_that_has_not_moved_are_told),
		TEST(other_messages_are_the_stacks),
		TEST(messages_about_other_packets_are_the_stacks),
		TEST(messages_about_the_other_leg_are_the_stacks),
		TEST(a_message_in_fragments_is_the_stacks),
		TEST(messages_that_are_cut_off_are_the_stacks),
	};

	return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
