/* SPDX-License-Identifier: MIT */
/*
 * PROXY v2 in front of a flow's first datagram alone: whose a datagram without a header is, and
 * when a balancer's port goes over to another client.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "udp_talk.h"

#define OTHER_BALANCER "192.0.2.1:50001"
#define OTHER_CLIENT   "203.0.113.10:40000"

static void after_the_first_header_the_sender_is_the_client(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	send_bare(UDP_BALANCER, "two");
	settle();
	send_bare(UDP_BALANCER, "three");
	send_bare(UDP_BALANCER, "");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|two|three||");
	answer(UDP_CLIENT, "bare");
	settle();
	EXPECT_REPLIES(UDP_BALANCER, "bare|");
	assert_int_equal(flows(), 1);
}

static void a_header_alone_announces_a_flow(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "");
	settle();
	assert_non_null(socket_for(UDP_CLIENT));
	assert_int_equal(fixture.fake.sent_count, 0);
	send_as(UDP_CLIENT, "");
	send_bare(UDP_BALANCER, "hello");
	send_as(UDP_CLIENT, "");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "hello|");
	assert_int_equal(flows(), 1);
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_CLIENT), 1);
}

static void to_announce_a_flow_again_is_a_use(void **state)
{
	const uint64_t idle = fixture.settings.udp.idle_timeout;

	(void)state;
	send_as(UDP_CLIENT, "hello");
	settle();
	for (unsigned i = 0; i < 3; i++) {
		pass(idle - 1000);
		send_as(UDP_CLIENT, "");
		settle();
	}
	assert_int_equal(flows(), 1);
	pass(idle + 50);
	assert_int_equal(flows(), 0);
}

static void the_same_header_again_is_the_same_flow(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	settle();
	send_as(UDP_CLIENT, "two");
	send_bare(UDP_BALANCER, "three");
	send_as(UDP_CLIENT, "four");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|two|three|four|");
	assert_int_equal(flows(), 1);
	assert_int_equal(count(COUNTER_SESSIONS_ACCEPTED), 1);
}

static void where_nobody_was_announced_a_datagram_is_refused(void **state)
{
	(void)state;
	send_bare(UDP_BALANCER, "hello");
	send_bare(UDP_BALANCER, "");
	send_via(OTHER_BALANCER, UDP_CLIENT, UDP_DESTINATION, "one");
	send_bare(UDP_BALANCER, "hello");
	settle();
	expect_closed(CLOSE_NO_FLOW, 3);
	EXPECT_HEARD(UDP_CLIENT, "one|");
	/* Nor when its flow has ended. */
	pass(60050);
	send_bare(OTHER_BALANCER, "two");
	settle();
	assert_int_equal(closed(CLOSE_NO_FLOW), 4);
	expect_silence();
}

static void another_client_from_the_same_port_replaces_the_flow(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	send_bare(UDP_BALANCER, "two");
	send_as(OTHER_CLIENT, "uno");
	send_bare(UDP_BALANCER, "due");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|two|");
	EXPECT_HEARD(OTHER_CLIENT, "uno|due|");
	expect_closed(CLOSE_FLOW_REPLACED, 1);
	assert_null(socket_for(UDP_CLIENT));
	send_via(UDP_BALANCER, OTHER_CLIENT, "198.51.100.2:53", "tre");
	settle();
	assert_int_equal(closed(CLOSE_FLOW_REPLACED), 2);
	EXPECT_HEARD(OTHER_CLIENT, "tre|");
}

static void a_replacement_that_is_refused_ends_the_flow_all_the_same(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	send_as("127.0.0.1:40000", "let me in");
	send_bare(UDP_BALANCER, "me, too");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|");
	expect_silence();
	assert_int_equal(closed(CLOSE_SOURCE_LOOPBACK), 1);
	assert_int_equal(closed(CLOSE_FLOW_REPLACED), 1);
	assert_int_equal(closed(CLOSE_NO_FLOW), 1);
}

static void a_broken_header_does_not_touch_the_flow(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	settle();
	send_spoilt(OTHER_CLIENT, 12, 0x31);
	send_start(20);
	send_bare(UDP_BALANCER, "two");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|two|");
	expect_silence();
	assert_int_equal(closed(CLOSE_V2_VERSION), 1);
	assert_int_equal(closed(CLOSE_HEADER_TRUNCATED), 1);
}

static void what_only_looks_like_a_header_is_payload(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	send_start(11);
	send_spoilt(UDP_CLIENT, 11, '\r');
	assert_int_equal(fixture.fake.sent_count, 3);
	assert_int_equal(fixture.fake.sent[1].length, 11);
	assert_int_equal(fixture.fake.sent[2].length, 32);
	assert_int_equal(flows(), 1);
}

static void the_address_that_a_bare_datagram_asked_answers(void **state)
{
	const struct address asked = udp_fixture_address("198.51.100.78:5353");

	(void)state;
	fixture.listening->wildcard = true;
	send_as(UDP_CLIENT, "one");
	settle();
	balancer_sends(UDP_BALANCER, "two", 3)->to = asked;
	settle();
	answer(UDP_CLIENT, "here");
	settle();
	assert_int_equal(fixture.fake.sent_count, 3);
	assert_true(address_equal(&fixture.fake.sent[2].from, &asked));
	assert_int_equal(flows(), 1);
}

static void of_joined_datagrams_the_first_has_the_header(void **state)
{
	(void)state;
	join(UDP_CLIENT, "one.");
	join(NULL, "thirty-two bytes without header.");
	join(NULL, "the end");
	send_joined(32);
	EXPECT_HEARD(UDP_CLIENT, "one.|thirty-two bytes without header.|the end|");
}

static void two_ports_of_a_balancer_are_two_clients(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	send_via(OTHER_BALANCER, OTHER_CLIENT, UDP_DESTINATION, "uno");
	send_bare(UDP_BALANCER, "two");
	send_bare(OTHER_BALANCER, "due");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|two|");
	EXPECT_HEARD(OTHER_CLIENT, "uno|due|");
	answer(UDP_CLIENT, "to one");
	answer(OTHER_CLIENT, "to two");
	settle();
	EXPECT_REPLIES(UDP_BALANCER, "to one|");
	EXPECT_REPLIES(OTHER_BALANCER, "to two|");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_first, stop)
	const struct CMUnitTest tests[] = {
		TEST(after_the_first_header_the_sender_is_the_client),
		TEST(a_header_alone_announces_a_flow),
		TEST(to_announce_a_flow_again_is_a_use),
		TEST(the_same_header_again_is_the_same_flow),
		TEST(where_nobody_was_announced_a_datagram_is_refused),
		TEST(another_client_from_the_same_port_replaces_the_flow),
		TEST(a_replacement_that_is_refused_ends_the_flow_all_the_same),
		TEST(a_broken_header_does_not_touch_the_flow),
		TEST(what_only_looks_like_a_header_is_payload),
		TEST(the_address_that_a_bare_datagram_asked_answers),
		TEST(of_joined_datagrams_the_first_has_the_header),
		TEST(two_ports_of_a_balancer_are_two_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
