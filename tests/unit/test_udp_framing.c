/* SPDX-License-Identifier: MIT */
/*
 * Where the header stands, and what a datagram with, without or with nothing but a header means:
 * PROXY v2 in front of every datagram or of the first, and Simple Proxy Protocol.
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
#define CLIENT_6       "[2001:db8::9]:40000"
#define DESTINATION_6  "[2001:db8::1]:53"

static void behind_every_header_nothing_is_an_empty_datagram(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "");
	send_as(UDP_CLIENT, "");
	send_as(UDP_CLIENT, "x");
	send_as(UDP_CLIENT, "");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "||x||");
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_CLIENT), 4);
	assert_int_equal(count(COUNTER_BYTES_FROM_CLIENT), 1);
}

static void an_empty_answer_is_one(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "hello");
	settle();
	answer(UDP_CLIENT, "");
	answer(UDP_CLIENT, "x");
	answer(UDP_CLIENT, "");
	settle();
	EXPECT_REPLIES(UDP_BALANCER, "|x||");
}

static void without_its_header_a_datagram_is_refused(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "hello");
	send_bare(UDP_BALANCER, "more");
	send_bare(UDP_BALANCER, "");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "hello|");
	expect_silence();
	assert_int_equal(closed(CLOSE_HEADER_MISSING), 1);
	assert_int_equal(closed(CLOSE_HEADER_TRUNCATED), 1);
	assert_int_equal(flows(), 1);
}

/* Also when the datagram before it was a good one of the same client. */
static void a_header_that_is_cut_short_is_refused(void **state)
{
	unsigned cuts = 0;

	(void)state;
	/* A whole one is left over in the place where the others come to lie. */
	send_as(UDP_CLIENT, "x");
	send_as(UDP_CLIENT, "x");
	settle();
	for (size_t length = 1; length < 28; length++, cuts++) {
		send_as(UDP_CLIENT, "x");
		send_start(length);
	}
	assert_int_equal(closed(CLOSE_HEADER_TRUNCATED), cuts);
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_CLIENT), 2 + cuts);
	assert_int_equal(flows(), 1);
}

static void headers_that_no_datagram_has_are_refused(void **state)
{
	(void)state;
	send_bare(UDP_BALANCER, "PROXY TCP4 203.0.113.9 198.51.100.1 40000 443\r\nhello");
	settle();
	expect_closed(CLOSE_TRANSPORT_MISMATCH, 1);
	send_spoilt(UDP_CLIENT, 13, 0x11);
	assert_int_equal(closed(CLOSE_TRANSPORT_MISMATCH), 2);
	send_spoilt(UDP_CLIENT, 12, 0x31);
	assert_int_equal(closed(CLOSE_V2_VERSION), 1);
	send_spoilt(UDP_CLIENT, 15, 4);
	assert_int_equal(closed(CLOSE_V2_LENGTH), 1);
	assert_int_equal(flows(), 0);
	assert_int_equal(fixture.fake.sent_count, 0);
}

static void a_header_longer_than_the_limit_is_refused(void **state)
{
	(void)state;
	fixture.settings.max_header = 28;
	send_as(UDP_CLIENT, "hello");
	send_via(UDP_BALANCER, CLIENT_6, DESTINATION_6, "hello");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "hello|");
	expect_closed(CLOSE_HEADER_TOO_LONG, 1);
}

static void a_second_header_is_payload(void **state)
{
	uint8_t bytes[2 * UDP_HEADER_MAX];
	size_t length = write_header(bytes, UDP_CLIENT, UDP_DESTINATION);

	(void)state;
	length += write_header(bytes + length, OTHER_CLIENT, UDP_DESTINATION);
	balancer_sends(UDP_BALANCER, bytes, length);
	settle();
	assert_int_equal(flows(), 1);
	assert_int_equal(fixture.fake.sent_count, 1);
	assert_int_equal(fixture.fake.sent[0].length, 28);
	assert_memory_equal(fixture.fake.sent[0].bytes, bytes + 28, 28);
}

static void local_speaks_for_the_balancer_itself(void **state)
{
	(void)state;
	send_via(UDP_BALANCER, NULL, NULL, "ping");
	send_via(OTHER_BALANCER, NULL, NULL, "ping too");
	send_via("192.0.2.3:50000", UDP_CLIENT, UDP_DESTINATION, "hello");
	settle();
	EXPECT_HEARD(UDP_BALANCER, "ping|");
	EXPECT_HEARD(OTHER_BALANCER, "ping too|");
	answer(OTHER_BALANCER, "pong");
	settle();
	EXPECT_REPLIES(OTHER_BALANCER, "pong|");
	assert_int_equal(count(COUNTER_HEADERS_LOCAL), 2);
	assert_int_equal(flows(), 3);
}

/* The balancer's own address has passed the list of subnets: nothing else judges it. */
static void local_from_this_host_is_no_spoof(void **state)
{
	(void)state;
	send_via("127.0.0.1:50000", NULL, NULL, "ping");
	settle();
	EXPECT_HEARD("127.0.0.1:50000", "ping|");
}

static void joined_datagrams_have_a_header_each(void **state)
{
	(void)state;
	join(UDP_CLIENT, "one.");
	join(UDP_CLIENT, "two.");
	join(OTHER_CLIENT, "uno.");
	join(UDP_CLIENT, "six.");
	join(OTHER_CLIENT, "du");
	send_joined(32);
	EXPECT_HEARD(UDP_CLIENT, "one.|two.|six.|");
	EXPECT_HEARD(OTHER_CLIENT, "uno.|du|");
	/* One of them broken costs no other. */
	join(UDP_CLIENT, "one.");
	join(NULL, "nobody sends such a thing as this");
	joined_length--;
	join(OTHER_CLIENT, "due.");
	send_joined(32);
	EXPECT_HEARD(UDP_CLIENT, "one.|");
	EXPECT_HEARD(OTHER_CLIENT, "due.|");
	expect_closed(CLOSE_HEADER_MISSING, 1);
}

static void joined_answers_are_taken_apart(void **state)
{
	struct fake_udp_socket *socket;

	(void)state;
	send_as(UDP_CLIENT, "hello");
	settle();
	socket = socket_for(UDP_CLIENT);
	fake_udp_arrive(socket, &socket->peer, "onetwosix.", 10)->segment = 3;
	settle();
	EXPECT_REPLIES(UDP_BALANCER, "one|two|six|.|");
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_UPSTREAM), 4);
	assert_int_equal(fixture.fake.sent[1].of, 4);
}

/* What the first finds out is not to be taken for what another of the same length says. */
static void headers_that_differ_in_their_last_byte_are_told_apart(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		send_as("203.0.113.9:40000", "a");
		send_via(UDP_BALANCER, "203.0.113.9:40001", UDP_DESTINATION, "b");
		send_via(UDP_BALANCER, "203.0.113.9:40002", "198.51.100.1:54", "c");
		send_via(UDP_BALANCER, "203.0.113.9:40002", "198.51.100.1:54", "d");
	}
	settle();
	EXPECT_HEARD("203.0.113.9:40000", "a|a|a|");
	EXPECT_HEARD("203.0.113.9:40001", "b|b|b|");
	EXPECT_HEARD("203.0.113.9:40002", "c|d|c|d|c|d|");
	assert_int_equal(flows(), 3);
}

/* Within one batch, too. */
static void the_same_header_by_another_balancer_turns_the_answers(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	send_as(UDP_CLIENT, "two");
	send_via(OTHER_BALANCER, UDP_CLIENT, UDP_DESTINATION, "three");
	send_via(OTHER_BALANCER, UDP_CLIENT, UDP_DESTINATION, "four");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|two|three|four|");
	answer(UDP_CLIENT, "here");
	settle();
	EXPECT_REPLIES(OTHER_BALANCER, "here|");
}

static void answers_to_spp_have_the_header_that_came(void **state)
{
	uint8_t reply[UDP_HEADER_MAX];

	(void)state;
	write_header(reply, UDP_CLIENT, UDP_DESTINATION);
	send_as(UDP_CLIENT, "hello");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "hello|");
	answer(UDP_CLIENT, "one");
	answer(UDP_CLIENT, "two");
	answer(UDP_CLIENT, "");
	settle();
	assert_int_equal(fixture.fake.sent_count, 4);
	for (unsigned i = 1; i < 4; i++) {
		const struct fake_udp_sent *sent = &fixture.fake.sent[i];

		memcpy(reply + SPP_LENGTH, i == 1 ? "one" : "two", 3);
		assert_int_equal(sent->length, i < 3 ? SPP_LENGTH + 3 : SPP_LENGTH);
		assert_memory_equal(sent->bytes, reply, sent->length);
	}
	assert_int_equal(count(COUNTER_HEADERS_SPP), 1);
	assert_int_equal(count(COUNTER_BYTES_FROM_UPSTREAM), 6);
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_UPSTREAM), 3);
}

static void each_client_of_spp_gets_its_own_header_back(void **state)
{
	static const char *const clients[] = {UDP_CLIENT, OTHER_CLIENT, CLIENT_6};
	uint8_t reply[UDP_HEADER_MAX];

	(void)state;
	/* The proxy may be of the other family than its client. */
	for (unsigned i = 0; i < 3; i++)
		send_via(UDP_BALANCER, clients[i], i == 1 ? DESTINATION_6 : UDP_DESTINATION,
			 "hello");
	settle();
	for (unsigned i = 0; i < 3; i++)
		answer(clients[i], "x");
	settle();
	assert_int_equal(fixture.fake.sent_count, 6);
	for (unsigned i = 0; i < 3; i++) {
		const struct fake_udp_sent *sent = &fixture.fake.sent[3 + i];

		write_header(reply, clients[i], i == 1 ? DESTINATION_6 : UDP_DESTINATION);
		assert_int_equal(sent->length, SPP_LENGTH + 1);
		assert_memory_equal(sent->bytes, reply, SPP_LENGTH);
	}
}

static void an_answer_too_large_for_its_spp_header_is_dropped_and_counted(void **state)
{
	static uint8_t bytes[65507];
	struct fake_udp_socket *socket;

	(void)state;
	send_as(UDP_CLIENT, "hello");
	settle();
	socket = socket_for(UDP_CLIENT);
	for (size_t length = 65468; length <= 65470; length++)
		fake_udp_arrive(socket, &socket->peer, bytes, length);
	settle();
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_UPSTREAM), 2);
	assert_int_equal(count(COUNTER_REPLIES_DROPPED_TOO_LARGE), 1);
	assert_int_equal(flows(), 1);
}

/* More than one message, one run and one call have room for. */
static void joined_answers_of_any_number_get_back_in_order(void **state)
{
	static uint8_t bytes[2000];
	struct fake_udp_socket *socket;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 >> 3);
	send_as(UDP_CLIENT, "hello");
	settle();
	socket = socket_for(UDP_CLIENT);
	for (size_t i = 0; i < sizeof(bytes); i += 200)
		fake_udp_arrive(socket, &socket->peer, bytes + i, 200)->segment = 2;
	settle();
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_UPSTREAM), sizeof(bytes) / 2);
	for (size_t i = 0; i < sizeof(bytes) / 2; i++) {
		const struct fake_udp_sent *sent = &fixture.fake.sent[1 + i];

		assert_int_equal(sent->length, SPP_LENGTH + 2);
		assert_memory_equal(sent->bytes + SPP_LENGTH, bytes + 2 * i, 2);
	}
}

static void what_is_not_spp_is_refused(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "");
	send_spoilt(UDP_CLIENT, 1, 0xed);
	send_start(37);
	send_bare(UDP_BALANCER, "");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "|");
	assert_int_equal(closed(CLOSE_HEADER_MISSING), 1);
	assert_int_equal(closed(CLOSE_HEADER_TRUNCATED), 2);
	assert_int_equal(flows(), 1);
}

int main(void)
{
#define EVERY(name) cmocka_unit_test_setup_teardown(name, start_every, stop)
#define FIRST(name) cmocka_unit_test_setup_teardown(name, start_first, stop)
#define SPP(name)   cmocka_unit_test_setup_teardown(name, start_spp, stop)
	const struct CMUnitTest tests[] = {
		EVERY(behind_every_header_nothing_is_an_empty_datagram),
		EVERY(an_empty_answer_is_one),
		EVERY(without_its_header_a_datagram_is_refused),
		EVERY(a_header_that_is_cut_short_is_refused),
		EVERY(headers_that_no_datagram_has_are_refused),
		EVERY(a_header_longer_than_the_limit_is_refused),
		EVERY(a_second_header_is_payload),
		EVERY(local_speaks_for_the_balancer_itself),
		EVERY(local_from_this_host_is_no_spoof),
		EVERY(joined_datagrams_have_a_header_each),
		EVERY(joined_answers_are_taken_apart),
		EVERY(headers_that_differ_in_their_last_byte_are_told_apart),
		EVERY(the_same_header_by_another_balancer_turns_the_answers),
		FIRST(local_speaks_for_the_balancer_itself),
		SPP(answers_to_spp_have_the_header_that_came),
		SPP(each_client_of_spp_gets_its_own_header_back),
		SPP(behind_every_header_nothing_is_an_empty_datagram),
		SPP(an_answer_too_large_for_its_spp_header_is_dropped_and_counted),
		SPP(joined_answers_of_any_number_get_back_in_order),
		SPP(what_is_not_spp_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
