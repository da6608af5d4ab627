/* SPDX-License-Identifier: MIT */
/*
 * A UDP flow's life: how it opens, whose address it has, where its answers go, and every way in
 * which it ends in good order.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "udp_talk.h"

#define OTHER_BALANCER "192.0.2.2:50001"
#define OTHER_CLIENT   "203.0.113.10:40000"
#define IDLE           60000

static void a_datagram_opens_a_flow_from_the_client(void **state)
{
	struct fake_udp_socket *socket;
	const struct address upstream = udp_fixture_address(UDP_UPSTREAM);

	(void)state;
	send_as(UDP_CLIENT, "hello");
	settle();
	socket = socket_for(UDP_CLIENT);
	assert_non_null(socket);
	assert_true(address_equal(&socket->peer, &upstream));
	EXPECT_HEARD(UDP_CLIENT, "hello|");
	assert_int_equal(flows(), 1);
	assert_int_equal(count(COUNTER_SESSIONS_ACCEPTED), 1);
	assert_int_equal(count(COUNTER_SESSIONS_RELAYED), 1);
	assert_int_equal(count(COUNTER_HEADERS_V2), 1);
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_CLIENT), 1);
	assert_int_equal(count(COUNTER_BYTES_FROM_CLIENT), 5);
	assert_int_equal(fake_udp_option(socket, IPPROTO_UDP, UDP_GRO), 1);
	assert_int_equal(fake_udp_option(socket, SOL_SOCKET, SO_MARK), -1);
}

static void an_ipv6_client_speaks_to_the_ipv6_upstream(void **state)
{
	const struct address upstream = udp_fixture_address(UDP_UPSTREAM_6);

	(void)state;
	send_via(UDP_BALANCER, "[2001:db8::9]:40000", "[2001:db8::1]:53", "hello");
	settle();
	EXPECT_HEARD("[2001:db8::9]:40000", "hello|");
	assert_true(address_equal(&socket_for("[2001:db8::9]:40000")->peer, &upstream));
	answer("[2001:db8::9]:40000", "welcome");
	settle();
	EXPECT_REPLIES(UDP_BALANCER, "welcome|");
}

static void later_datagrams_use_the_same_flow(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		send_as(UDP_CLIENT, "one");
		send_as(UDP_CLIENT, "two");
		settle();
	}
	EXPECT_HEARD(UDP_CLIENT, "one|two|one|two|one|two|");
	assert_int_equal(flows(), 1);
	assert_int_equal(fixture.fake.calls[FAKE_UDP_SOCKET], 1);
	assert_int_equal(count(COUNTER_SESSIONS_ACCEPTED), 1);
}

static void answers_go_back_to_the_balancer(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "hello");
	settle();
	answer(UDP_CLIENT, "wel");
	answer(UDP_CLIENT, "come");
	settle();
	EXPECT_REPLIES(UDP_BALANCER, "wel|come|");
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_UPSTREAM), 2);
	assert_int_equal(count(COUNTER_BYTES_FROM_UPSTREAM), 7);
}

static void two_clients_behind_one_balancer_are_kept_apart(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "a1");
	send_as(OTHER_CLIENT, "b1");
	send_as(UDP_CLIENT, "a2");
	send_as(OTHER_CLIENT, "b2");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "a1|a2|");
	EXPECT_HEARD(OTHER_CLIENT, "b1|b2|");
	answer(UDP_CLIENT, "to a");
	settle();
	EXPECT_REPLIES(UDP_BALANCER, "to a|");
	answer(OTHER_CLIENT, "to b");
	settle();
	EXPECT_REPLIES(UDP_BALANCER, "to b|");
	assert_int_equal(flows(), 2);
}

/* The balancer has moved, or another one serves the client now. */
static void answers_follow_the_last_datagram_with_a_header(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	settle();
	send_via(OTHER_BALANCER, UDP_CLIENT, UDP_DESTINATION, "two");
	settle();
	answer(UDP_CLIENT, "over there");
	settle();
	EXPECT_REPLIES(OTHER_BALANCER, "over there|");
	send_as(UDP_CLIENT, "three");
	settle();
	answer(UDP_CLIENT, "and back");
	settle();
	EXPECT_REPLIES(UDP_BALANCER, "and back|");
	EXPECT_HEARD(UDP_CLIENT, "one|two|three|");
	assert_int_equal(flows(), 1);
	expect_silence();
}

static void the_address_that_was_asked_answers(void **state)
{
	const struct address asked = udp_fixture_address("198.51.100.77:5353"),
			     asked_later = udp_fixture_address("198.51.100.78:5353");

	(void)state;
	fixture.listening->wildcard = true;
	for (unsigned i = 0; i < 2; i++) {
		const struct address *due = i == 0 ? &asked : &asked_later;
		uint8_t bytes[UDP_HEADER_MAX];
		size_t length = write_header(bytes, UDP_CLIENT, UDP_DESTINATION);

		balancer_sends(UDP_BALANCER, bytes, length)->to = *due;
		settle();
		answer(UDP_CLIENT, "one");
		answer(UDP_CLIENT, "two");
		settle();
		assert_int_equal(fixture.fake.sent_count, 3 * (i + 1));
		assert_true(address_equal(&fixture.fake.sent[3 * i + 1].from, due));
		assert_true(address_equal(&fixture.fake.sent[3 * i + 2].from, due));
	}
	assert_int_equal(flows(), 1);
}

static void on_a_socket_for_both_families_an_ipv4_balancer_is_one(void **state)
{
	struct prefix_set *subnets = prefix_set_create();
	struct prefix prefix;

	(void)state;
	assert_int_equal(prefix_parse("192.0.2.0/24", &prefix), 0);
	assert_int_equal(prefix_set_add(subnets, &prefix), 0);
	prefix_set_seal(subnets);
	fixture.settings.subnets = subnets;
	fixture.listening->dual_stack = fixture.listening->wildcard = true;
	send_as(UDP_CLIENT, "hello");
	send_via("203.0.113.1:50000", OTHER_CLIENT, UDP_DESTINATION, "from a stranger");
	settle();
	answer(UDP_CLIENT, "welcome");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "hello|");
	EXPECT_REPLIES(UDP_BALANCER, "welcome|");
	expect_silence();
	assert_int_equal(flows(), 1);
	expect_closed(CLOSE_BALANCER_NOT_ALLOWED, 1);
	prefix_set_destroy(subnets);
}

static void another_destination_is_another_flow_with_another_port(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	send_via(UDP_BALANCER, UDP_CLIENT, "198.51.100.2:53", "two");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|");
	assert_int_equal(flows(), 2);
	assert_int_equal(count(COUNTER_PORT_CONFLICTS), 1);
	/* One address, and whatever port the kernel picks. */
	assert_int_equal(fixture.fake.sent_count, 2);
	assert_true(address_equal_ip(&fixture.fake.sent[0].from, &fixture.fake.sent[1].from));
	assert_int_equal(udp_fixture_claims(&fixture), 1);
}

static void another_destination_is_refused_where_ports_must_be_kept(void **state)
{
	(void)state;
	fixture.settings.port_conflict = RELAY_PORT_CONFLICT_REFUSE;
	send_as(UDP_CLIENT, "one");
	send_via(UDP_BALANCER, UDP_CLIENT, "198.51.100.2:53", "two");
	send_as(UDP_CLIENT, "three");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|three|");
	expect_silence();
	expect_closed(CLOSE_PORT_CONFLICT, 1);
	assert_int_equal(count(COUNTER_PORT_CONFLICTS), 1);
	assert_int_equal(flows(), 1);
}

static void port_0_is_any_port_and_no_claim(void **state)
{
	(void)state;
	send_as("203.0.113.9:0", "one");
	send_via(UDP_BALANCER, "203.0.113.9:0", "198.51.100.2:53", "two");
	settle();
	assert_int_equal(flows(), 2);
	assert_int_equal(count(COUNTER_CLIENT_PORT_ZERO), 2);
	assert_int_equal(count(COUNTER_PORT_CONFLICTS), 0);
	assert_int_equal(udp_fixture_claims(&fixture), 0);
	assert_int_equal(fixture.fake.sent_count, 2);
}

static void a_refused_source_opens_nothing(void **state)
{
	(void)state;
	send_as("127.0.0.1:40000", "let me in");
	send_as("224.0.0.1:40000", "let me in");
	send_as("198.51.100.7:40000", "let me in");
	settle();
	assert_int_equal(flows(), 0);
	assert_int_equal(fixture.fake.calls[FAKE_UDP_SOCKET], 0);
	assert_int_equal(closed(CLOSE_SOURCE_LOOPBACK), 1);
	assert_int_equal(closed(CLOSE_SOURCE_MULTICAST), 1);
	assert_int_equal(closed(CLOSE_SOURCE_OWN), 1);
	assert_int_equal(count(COUNTER_SESSIONS_ACCEPTED), 0);
}

static void without_an_upstream_of_its_family_a_client_fails(void **state)
{
	(void)state;
	fixture.settings.forward_ipv6 = (struct address){.family = ADDRESS_NONE};
	send_via(UDP_BALANCER, "[2001:db8::9]:40000", "[2001:db8::1]:53", "hello");
	settle();
	expect_closed(CLOSE_NO_FORWARD_IPV6, 1);
	fixture.settings.forward_ipv4 = (struct address){.family = ADDRESS_NONE};
	send_as(UDP_CLIENT, "hello");
	settle();
	assert_int_equal(closed(CLOSE_NO_FORWARD_IPV4), 1);
	assert_int_equal(flows(), 0);
}

static void dialled_sockets_have_the_mark(void **state)
{
	(void)state;
	fixture.settings.mark = 77;
	send_as(UDP_CLIENT, "hello");
	settle();
	assert_int_equal(fake_udp_option(socket_for(UDP_CLIENT), SOL_SOCKET, SO_MARK), 77);
}

static void an_idle_flow_ends_on_time(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "hello");
	settle();
	pass(IDLE);
	assert_int_equal(flows(), 1);
	pass(50);
	assert_int_equal(flows(), 0);
	expect_closed(CLOSE_IDLE_TIMEOUT, 1);
	/* And begins anew when the client comes back. */
	send_as(UDP_CLIENT, "again");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "hello|again|");
	assert_int_equal(count(COUNTER_SESSIONS_ACCEPTED), 2);
}

static void datagrams_and_answers_keep_a_flow_alive(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "hello");
	send_as(OTHER_CLIENT, "hello");
	settle();
	for (unsigned i = 0; i < 4; i++) {
		pass(IDLE - 1000);
		send_as(UDP_CLIENT, "still here");
		answer(OTHER_CLIENT, "still here");
	}
	settle();
	assert_int_equal(flows(), 2);
	pass(IDLE / 2);
	send_as(UDP_CLIENT, "still here");
	pass(IDLE / 2 + 50);
	/* Each by its own clock. */
	assert_null(socket_for(OTHER_CLIENT));
	assert_non_null(socket_for(UDP_CLIENT));
	expect_closed(CLOSE_IDLE_TIMEOUT, 1);
}

/* The process was stopped, and more has come than is read at once. */
static void one_that_has_spoken_in_time_is_read_before_it_is_judged(void **state)
{
	char client[32];

	(void)state;
	send_as(UDP_CLIENT, "one");
	settle();
	for (unsigned i = 0; i < 500; i++) {
		snprintf(client, sizeof(client), "203.0.113.%u:%u", 20 + i % 50, 10000 + i);
		send_as(client, "x");
	}
	send_as(UDP_CLIENT, "two");
	fixture.relay.loop.now += fixture.settings.udp.idle_timeout + 10;
	settle();
	expect_closed(CLOSE_IDLE_TIMEOUT, 0);
	EXPECT_HEARD(UDP_CLIENT, "one|two|");
}

/* Then the next look into the queue finds nothing, and there is no event to say so. */
static void as_many_as_are_read_at_once_are_all(void **state)
{
	char client[32];

	(void)state;
	for (unsigned i = 0; i < UDP_RECEIVER_SLOTS; i++) {
		snprintf(client, sizeof(client), "203.0.113.20:%u", 10000 + i);
		send_as(client, "x");
	}
	settle();
	pass(fixture.settings.udp.idle_timeout + 50);
	expect_closed(CLOSE_IDLE_TIMEOUT, UDP_RECEIVER_SLOTS);
}

/* A queue that is never empty is no reason to stay. */
static void in_a_flood_the_silent_end(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	settle();
	fixture.relay.loop.now += fixture.settings.udp.idle_timeout + 10;
	for (unsigned round = 0; round < 300; round++) {
		for (unsigned i = 0; i < 70; i++)
			send_as(OTHER_CLIENT, "x");
		udp_fixture_round(&fixture);
		fixture.relay.loop.now++;
	}
	expect_closed(CLOSE_IDLE_TIMEOUT, 1);
}

static void without_an_idle_timeout_flows_stay(void **state)
{
	(void)state;
	fixture.settings.udp.idle_timeout = 0;
	send_as(UDP_CLIENT, "hello");
	pass(UINT64_C(40) * 86400 * 1000);
	assert_int_equal(flows(), 1);
}

static void a_drained_listener_opens_nothing_and_ends_soon(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "hello");
	pass(500);
	udp_listener_drain(fixture.listener);
	send_as(OTHER_CLIENT, "too late");
	send_as(UDP_CLIENT, "in time");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "hello|in time|");
	expect_silence();
	assert_int_equal(count(COUNTER_DATAGRAMS_DROPPED_DRAINING), 1);
	assert_int_equal(count(COUNTER_SESSIONS_ACCEPTED), 1);
	pass(900);
	answer(UDP_CLIENT, "the answer");
	pass(900);
	EXPECT_REPLIES(UDP_BALANCER, "the answer|");
	assert_int_equal(flows(), 1);
	pass(200);
	assert_int_equal(flows(), 0);
	expect_closed(CLOSE_SHUTDOWN, 1);
}

static void a_drained_flow_that_is_idle_for_long_ends_at_once(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "hello");
	pass(5000);
	udp_listener_drain(fixture.listener);
	pass(10);
	expect_closed(CLOSE_SHUTDOWN, 1);
}

static void a_listener_that_is_destroyed_ends_its_flows(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "hello");
	send_as(OTHER_CLIENT, "hello");
	settle();
	udp_listener_destroy(fixture.listener);
	fixture.listener = NULL;
	expect_closed(CLOSE_SHUTDOWN, 2);
	assert_int_equal(fixture.fake.open, 0);
	settle();
	EXPECT_HEARD(UDP_CLIENT, "hello|");
}

static void what_a_flow_lost_is_counted_when_it_ends(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "hello");
	settle();
	socket_for(UDP_CLIENT)->dropped = 17;
	pass(IDLE + 50);
	assert_int_equal(count(COUNTER_REPLIES_DROPPED_QUEUE), 17);
}

static void what_the_listener_lost_is_counted_once(void **state)
{
	static const uint32_t overflows[] = {0, 5, 5, 0, 7, UINT32_MAX, 3};

	(void)state;
	for (unsigned i = 0; i < sizeof(overflows) / sizeof(overflows[0]); i++) {
		balancer_sends(UDP_BALANCER, "x", 1)->overflow = overflows[i];
		settle();
	}
	/* The kernel's counter goes round. */
	assert_int_equal(count(COUNTER_DATAGRAMS_DROPPED_QUEUE), UINT64_C(0x100000000) + 3);
}

/* A server that restarts. */
static void an_icmp_error_is_counted_and_the_flow_lives_on(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	settle();
	socket_for(UDP_CLIENT)->error = -ECONNREFUSED;
	settle();
	assert_int_equal(count(COUNTER_UPSTREAM_ICMP_ERRORS), 1);
	assert_int_equal(flows(), 1);
	/* The same, told to the next send: the datagram goes all the same. */
	socket_for(UDP_CLIENT)->error = -ECONNREFUSED;
	fixture.event_limit = 1;
	send_as(UDP_CLIENT, "two");
	send_as(UDP_CLIENT, "six");
	settle();
	assert_int_equal(count(COUNTER_UPSTREAM_ICMP_ERRORS), 2);
	EXPECT_HEARD(UDP_CLIENT, "one|two|six|");
	answer(UDP_CLIENT, "back again");
	settle();
	EXPECT_REPLIES(UDP_BALANCER, "back again|");
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_CLIENT), 3);
	/* A router's word that one was too large. */
	socket_for(UDP_CLIENT)->error = -EMSGSIZE;
	settle();
	assert_int_equal(count(COUNTER_UPSTREAM_ICMP_ERRORS), 3);
	assert_int_equal(flows(), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_every, stop)
	const struct CMUnitTest tests[] = {
		TEST(a_datagram_opens_a_flow_from_the_client),
		TEST(an_ipv6_client_speaks_to_the_ipv6_upstream),
		TEST(later_datagrams_use_the_same_flow),
		TEST(answers_go_back_to_the_balancer),
		TEST(two_clients_behind_one_balancer_are_kept_apart),
		TEST(answers_follow_the_last_datagram_with_a_header),
		TEST(the_address_that_was_asked_answers),
		TEST(on_a_socket_for_both_families_an_ipv4_balancer_is_one),
		TEST(another_destination_is_another_flow_with_another_port),
		TEST(another_destination_is_refused_where_ports_must_be_kept),
		TEST(port_0_is_any_port_and_no_claim),
		TEST(a_refused_source_opens_nothing),
		TEST(without_an_upstream_of_its_family_a_client_fails),
		TEST(dialled_sockets_have_the_mark),
		TEST(an_idle_flow_ends_on_time),
		TEST(one_that_has_spoken_in_time_is_read_before_it_is_judged),
		TEST(as_many_as_are_read_at_once_are_all),
		TEST(in_a_flood_the_silent_end),
		TEST(datagrams_and_answers_keep_a_flow_alive),
		TEST(without_an_idle_timeout_flows_stay),
		TEST(a_drained_listener_opens_nothing_and_ends_soon),
		TEST(a_drained_flow_that_is_idle_for_long_ends_at_once),
		TEST(a_listener_that_is_destroyed_ends_its_flows),
		TEST(what_a_flow_lost_is_counted_when_it_ends),
		TEST(what_the_listener_lost_is_counted_once),
		TEST(an_icmp_error_is_counted_and_the_flow_lives_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
