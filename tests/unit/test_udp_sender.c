/* SPDX-License-Identifier: MIT */
/* Which datagrams become one run, and what a message looks like to the kernel. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "udp_sending.h"
#include "wire/spp.h"

#define RUNS_MAX 64

static uint8_t header[SPP_LENGTH];

static int start(void **state)
{
	(void)state;
	sending_start(false);
	memcpy(header, pattern(1 << 18), sizeof(header));
	return 0;
}

static int stop(void **state)
{
	(void)state;
	sending_stop();
	return 0;
}

static const struct fake_message *message(unsigned number)
{
	assert_true(number < sending.post.message_count);
	return &sending.post.messages[number];
}

static struct udp_route ipv4_route(void)
{
	struct udp_route route = {.peer_length = sizeof(route.peer.in)};

	route.peer.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(4000)};
	inet_pton(AF_INET, "192.0.2.1", &route.peer.in.sin_addr);
	return route;
}

static struct udp_route ipv6_route(void)
{
	struct udp_route route = {.peer_length = sizeof(route.peer.in6)};

	route.peer.in6 = (struct sockaddr_in6){
		.sin6_family = AF_INET6, .sin6_port = htons(4000), .sin6_scope_id = 3};
	inet_pton(AF_INET6, "fe80::1", &route.peer.in6.sin6_addr);
	return route;
}

static void add_by(const struct udp_route *route, size_t length)
{
	struct udp_outgoing outgoing = datagram(0, length);

	outgoing.route = route;
	assert_true(sending_add(&outgoing));
}

static void add_with_header(unsigned flow, size_t length)
{
	struct udp_outgoing outgoing = datagram(flow, length);

	outgoing.header = header;
	outgoing.header_length = sizeof(header);
	assert_true(sending_add(&outgoing));
}

/* What the kernel would have handed out as one buffer. */
static void add_joined(unsigned flow, size_t length, unsigned count)
{
	struct udp_outgoing outgoing = datagram(flow, length);

	for (unsigned i = 0; i < count; i++) {
		assert_true(sending_add(&outgoing));
		outgoing.bytes += length;
	}
}

static void add_alone(unsigned flow, size_t length)
{
	struct udp_outgoing outgoing = datagram(flow, length);

	outgoing.alone = true;
	assert_true(sending_add(&outgoing));
}

static void nothing_to_send_is_no_call(void **state)
{
	(void)state;
	sending_flush();
	assert_int_equal(sending.post.calls, 0);
}

static void one_datagram_goes_as_it_is(void **state)
{
	(void)state;
	add(0, 100);
	sending_flush();
	EXPECT_MESSAGES(1);
	assert_int_equal(message(0)->segment, 0);
	assert_int_equal(message(0)->name_length, 0);
	assert_int_equal(message(0)->parts, 1);
	assert_false(message(0)->has_local4 || message(0)->has_local6);
	expect_errors(0, 1);
	assert_false(sending.reports[0].run.refused);
}

static void equally_long_neighbours_become_one_run(void **state)
{
	(void)state;
	add_many(0, 100, 5);
	sending_flush();
	EXPECT_MESSAGES(5);
	assert_int_equal(message(0)->segment, 100);
	assert_int_equal(sending.post.calls, 1);
	expect_errors(0, 1);
}

static void the_last_one_of_a_run_may_be_shorter(void **state)
{
	(void)state;
	add_many(0, 100, 2);
	add(0, 99);
	add_many(0, 100, 2);
	add(0, 1);
	/* Behind a shorter one nothing joins, were it just as short. */
	add(0, 1);
	sending_flush();
	EXPECT_MESSAGES(3, 3, 1);
}

static void a_longer_one_begins_another_run(void **state)
{
	(void)state;
	add_many(0, 100, 2);
	add_many(0, 101, 2);
	sending_flush();
	EXPECT_MESSAGES(2, 2);
}

static void datagrams_of_two_flows_are_never_in_one_run(void **state)
{
	(void)state;
	add_many(0, 100, 2);
	add_many(1, 100, 2);
	add_many(0, 100, 2);
	add(1, 100);
	add(0, 100);
	sending_flush();
	EXPECT_MESSAGES(2, 2, 2, 1, 1);
}

static void an_empty_datagram_is_alone(void **state)
{
	(void)state;
	add_many(0, 0, 3);
	add_many(0, 100, 2);
	add(0, 0);
	add(0, 100);
	sending_flush();
	EXPECT_MESSAGES(1, 1, 1, 2, 1, 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(message(i)->segment, 0);
}

static void an_empty_datagram_may_come_without_any_memory(void **state)
{
	const struct udp_outgoing outgoing = {.flow = &sending.flows[0]};

	(void)state;
	assert_true(sending_add(&outgoing));
	assert_true(sending_add(&outgoing));
	sending_flush();
	EXPECT_MESSAGES(1, 1);
}

static void what_is_to_go_alone_goes_alone(void **state)
{
	(void)state;
	add_many(0, 100, 2);
	add_alone(0, 100);
	add_alone(0, 100);
	add_many(0, 100, 2);
	add_alone(0, 0);
	sending_flush();
	EXPECT_MESSAGES(2, 1, 1, 2, 1);
}

static void a_run_has_no_more_datagrams_than_a_kernel_takes(void **state)
{
	(void)state;
	add_many(0, 100, 64 + 64 + 2);
	sending_flush();
	EXPECT_MESSAGES(64, 64, 2);
}

static void a_run_has_no_more_bytes_than_a_packet(void **state)
{
	(void)state;
	add_many(0, 32500, 2);
	add_many(1, 32501, 2);
	add_many(2, 1400, 47);
	add(3, 64999);
	add(3, 1);
	add(3, 64999);
	add(3, 2);
	sending_flush();
	EXPECT_MESSAGES(2, 1, 1, 46, 1, 2, 1, 1);
}

static void the_largest_datagrams_go_alone(void **state)
{
	(void)state;
	add(0, 65507);
	add(0, 65507);
	add(0, 1);
	sending_flush();
	EXPECT_MESSAGES(1, 1, 1);
	expect_errors(0, 3);
}

static void neighbours_in_memory_are_one_piece(void **state)
{
	(void)state;
	add_joined(0, 100, 20);
	add_joined(1, 100, 10);
	add_joined(1, 100, 10);
	sending_flush();
	EXPECT_MESSAGES(20, 20);
	assert_int_equal(message(0)->parts, 1);
	assert_int_equal(message(1)->parts, 2);
}

/* Two runs may lie side by side as well. */
static void a_piece_is_of_one_run_alone(void **state)
{
	struct udp_outgoing outgoing = datagram(0, 100);

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		outgoing.flow = &sending.flows[i / 2];
		outgoing.alone = i >= 4;
		assert_true(sending_add(&outgoing));
		outgoing.bytes += outgoing.length;
	}
	sending_flush();
	EXPECT_MESSAGES(2, 2, 1, 1);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(message(i)->parts, 1);
}

static void a_header_stands_in_front_of_each_datagram(void **state)
{
	(void)state;
	add_with_header(0, 100);
	add_with_header(0, 100);
	add_with_header(0, 60);
	add_with_header(1, 0);
	add_with_header(1, 0);
	add(1, 10);
	sending_flush();
	EXPECT_MESSAGES(3, 3);
	assert_int_equal(message(0)->segment, sizeof(header) + 100);
	assert_int_equal(message(0)->parts, 6);
	assert_int_equal(message(1)->segment, sizeof(header));
	assert_int_equal(message(1)->parts, 3);
	assert_int_equal(sending.reports[0].run.headers, 3 * sizeof(header));
	assert_int_equal(sending.reports[1].run.headers, 2 * sizeof(header));
}

static void a_header_counts_where_runs_are_limited(void **state)
{
	(void)state;
	add_with_header(0, 32500 - sizeof(header));
	add_with_header(0, 32500 - sizeof(header));
	add_with_header(1, 32500);
	add_with_header(1, 32500);
	add_with_header(2, 65507 - sizeof(header));
	add_with_header(2, 65507);
	sending_flush();
	EXPECT_MESSAGES(2, 1, 1, 1);
	assert_int_equal(sending.reports[4].error, -EMSGSIZE);
}

static void a_route_names_the_peer(void **state)
{
	const struct udp_route ipv4 = ipv4_route(), ipv6 = ipv6_route();

	(void)state;
	add_by(&ipv4, 100);
	add_by(&ipv6, 200);
	sending_flush();
	EXPECT_MESSAGES(1, 1);
	assert_int_equal(message(0)->name_length, sizeof(ipv4.peer.in));
	assert_memory_equal(&message(0)->name, &ipv4.peer, sizeof(ipv4.peer.in));
	assert_int_equal(message(1)->name_length, sizeof(ipv6.peer.in6));
	assert_memory_equal(&message(1)->name, &ipv6.peer, sizeof(ipv6.peer.in6));
	assert_false(message(0)->has_local4 || message(0)->has_local6);
	assert_false(message(1)->has_local4 || message(1)->has_local6);
}

static void an_ipv4_route_says_which_of_our_addresses_was_asked(void **state)
{
	struct udp_route route = ipv4_route();

	(void)state;
	route.local_family = AF_INET;
	inet_pton(AF_INET, "198.51.100.7", &route.local.in);
	add_by(&route, 100);
	add_by(&route, 200);
	add_by(&route, 200);
	sending_flush();
	EXPECT_MESSAGES(1, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(message(i)->has_local4);
		assert_false(message(i)->has_local6);
		assert_int_equal(message(i)->local4.ipi_spec_dst.s_addr, route.local.in.s_addr);
		/* Whatever interface leads there. */
		assert_int_equal(message(i)->local4.ipi_ifindex, 0);
		assert_int_equal(message(i)->name_length, sizeof(route.peer.in));
	}
	assert_int_equal(message(1)->segment, 200);
}

static void an_ipv6_route_says_which_of_our_addresses_was_asked(void **state)
{
	struct udp_route route = ipv6_route();

	(void)state;
	route.local_family = AF_INET6;
	inet_pton(AF_INET6, "2001:db8::7", &route.local.in6);
	add_by(&route, 100);
	add_by(&route, 200);
	add_by(&route, 200);
	sending_flush();
	EXPECT_MESSAGES(1, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(message(i)->has_local6);
		assert_false(message(i)->has_local4);
		assert_memory_equal(&message(i)->local6.ipi6_addr, &route.local.in6, 16);
		assert_int_equal(message(i)->local6.ipi6_ifindex, 0);
	}
	assert_int_equal(message(1)->segment, 200);
}

static void when_there_is_no_room_for_another_run_nothing_is_taken(void **state)
{
	struct udp_outgoing outgoing = datagram(0, 100);

	(void)state;
	for (unsigned i = 0; i < RUNS_MAX; i++)
		add(i % FLOWS, 100);
	assert_false(sending_add(&outgoing));
	assert_false(sending_add(&outgoing));
	/* The last run still has room. */
	outgoing.flow = &sending.flows[(RUNS_MAX - 1) % FLOWS];
	assert_true(sending_add(&outgoing));
	sending_flush();
	assert_int_equal(sending.post.message_count, RUNS_MAX);
	assert_true(sending_add(&outgoing));
	sending_flush();
	assert_int_equal(sending.post.message_count, RUNS_MAX + 1);
}

static void when_there_is_no_room_for_another_piece_nothing_is_taken(void **state)
{
	unsigned added = 0;

	(void)state;
	for (;; added++) {
		struct udp_outgoing outgoing = datagram(added / 8 % FLOWS, 10);

		outgoing.header = header;
		outgoing.header_length = sizeof(header);
		if (!sending_add(&outgoing))
			break;
	}
	assert_in_range(added, 255, 256);
	sending_flush();
	expect_errors(0, 32);
	add(0, 10);
	sending_flush();
}

static void a_sender_that_never_was_can_be_destroyed(void **state)
{
	(void)state;
	udp_sender_destroy(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(nothing_to_send_is_no_call),
		TEST(one_datagram_goes_as_it_is),
		TEST(equally_long_neighbours_become_one_run),
		TEST(the_last_one_of_a_run_may_be_shorter),
		TEST(a_longer_one_begins_another_run),
		TEST(datagrams_of_two_flows_are_never_in_one_run),
		TEST(an_empty_datagram_is_alone),
		TEST(an_empty_datagram_may_come_without_any_memory),
		TEST(what_is_to_go_alone_goes_alone),
		TEST(a_run_has_no_more_datagrams_than_a_kernel_takes),
		TEST(a_run_has_no_more_bytes_than_a_packet),
		TEST(the_largest_datagrams_go_alone),
		TEST(neighbours_in_memory_are_one_piece),
		TEST(a_piece_is_of_one_run_alone),
		TEST(a_header_stands_in_front_of_each_datagram),
		TEST(a_header_counts_where_runs_are_limited),
		TEST(a_route_names_the_peer),
		TEST(an_ipv4_route_says_which_of_our_addresses_was_asked),
		TEST(an_ipv6_route_says_which_of_our_addresses_was_asked),
		TEST(when_there_is_no_room_for_another_run_nothing_is_taken),
		TEST(when_there_is_no_room_for_another_piece_nothing_is_taken),
		TEST(a_sender_that_never_was_can_be_destroyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
