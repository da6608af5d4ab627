/* SPDX-License-Identifier: MIT */
/*
 * A UDP flow whose listener has plugins: what becomes of its datagrams when the verdict comes at
 * once, later, or not at all, and how long a client that was refused is remembered.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/denial_cache.h"
#include "fake_plugin.h"
#include "relay/udp_waiting.h"
#include "udp_talk.h"

#define OTHER_BALANCER    "192.0.2.1:50001"
#define OTHER_CLIENT      "203.0.113.10:40000"
#define OTHER_DESTINATION "198.51.100.2:53"
#define IDLE              60000

static struct fake_plugins plugins;
static struct fake_plugin *const a = &plugins.plugins[0];

static int begin(enum udp_framing framing, unsigned max_flows, unsigned count)
{
	talk_start(framing, max_flows);
	udp_fixture_use_plugins(&fixture, &plugins, count);
	return 0;
}

static int start_one(void **state)
{
	(void)state;
	return begin(UDP_FRAMING_EVERY, 1000, 1);
}

static int start_two(void **state)
{
	(void)state;
	return begin(UDP_FRAMING_EVERY, 1000, 2);
}

static int start_with_two_places(void **state)
{
	(void)state;
	return begin(UDP_FRAMING_EVERY, 2, 1);
}

static int start_one_first(void **state)
{
	(void)state;
	return begin(UDP_FRAMING_FIRST, 1000, 1);
}

static int start_one_spp(void **state)
{
	(void)state;
	return begin(UDP_FRAMING_SPP, 1000, 1);
}

/* "a.filter a.closed": what the plugins have heard since the test asked last. */
static void expect_calls(const char *due)
{
	assert_string_equal(plugins.calls, due);
	fake_plugins_forget(&plugins);
}

static void complete_ticket(mmproxy_ticket ticket, int verdict)
{
	assert_int_equal(fake_plugin_complete(a, ticket, verdict, NULL), 0);
	settle();
}

static void complete(int verdict)
{
	complete_ticket(a->ticket, verdict);
}

static void say(const char *client, const char *text)
{
	send_as(client, text);
	settle();
}

/* ---- At once ---- */

static void a_plugin_is_asked_once_a_flow_not_a_datagram(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		send_as(UDP_CLIENT, "one");
		say(UDP_CLIENT, "two");
	}
	EXPECT_HEARD(UDP_CLIENT, "one|two|one|two|one|two|");
	answer(UDP_CLIENT, "hello");
	settle();
	expect_calls("a.filter b.filter a.connected b.connected");
	pass(IDLE + 50);
	expect_calls("a.closed b.closed");
	assert_int_equal(a->end.code, 6);
	assert_int_equal(a->end.flags, MMPROXY_END_CONNECTED);
	assert_int_equal(a->end.datagrams_from_client, 6);
	assert_int_equal(a->end.bytes_from_client, 18);
	assert_int_equal(a->end.datagrams_from_upstream, 1);
	assert_int_equal(a->end.bytes_from_upstream, 5);
}

static void a_plugin_sees_whom_the_header_names(void **state)
{
	(void)state;
	say(UDP_CLIENT, "hello");
	assert_string_equal(a->conn.listener, "test");
	assert_int_equal(a->conn.flags, 0);
	assert_int_equal(a->conn.protocol, MMPROXY_PROTOCOL_UDP);
	assert_int_equal(a->conn.header, MMPROXY_HEADER_V2);
	assert_memory_equal(a->conn.client.ip, "\xcb\0\x71\x09", 4);
	assert_int_equal(a->conn.client.port, 40000);
	assert_int_equal(a->conn.destination.port, 53);
	assert_int_equal(a->conn.balancer.port, 50000);
	assert_int_equal(a->conn.upstream.port, 8053);
	say(NULL, "hello");
	assert_int_equal(a->conn.flags, MMPROXY_CONN_LOCAL);
	assert_memory_equal(&a->conn.client, &a->conn.balancer, sizeof(a->conn.client));
	assert_int_equal(a->conn.destination.family, 0);
}

static void an_spp_header_is_told_as_such(void **state)
{
	(void)state;
	say(UDP_CLIENT, "hello");
	EXPECT_HEARD(UDP_CLIENT, "hello|");
	assert_int_equal(a->conn.header, MMPROXY_HEADER_SPP);
}

static void who_is_denied_is_dropped_and_not_asked_for_again(void **state)
{
	(void)state;
	a->answer = MMPROXY_DENY;
	send_as(UDP_CLIENT, "one");
	send_as(UDP_CLIENT, "two");
	say(UDP_CLIENT, "three");
	say(UDP_CLIENT, "four");
	expect_calls("a.filter a.closed");
	expect_closed(CLOSE_PLUGIN_DENIED, 1);
	assert_int_equal(count(COUNTER_DATAGRAMS_DROPPED_DENIED), 3);
	assert_int_equal(count(COUNTER_SESSIONS_ACCEPTED), 1);
	assert_int_equal(count(COUNTER_SESSIONS_RELAYED), 0);
	assert_int_equal(fixture.fake.sent_count, 0);
	assert_int_equal(fixture.fake.calls[FAKE_UDP_SOCKET], 0);
	assert_int_equal(flows(), 0);
	assert_string_equal(a->end.plugin, "a");
}

static void a_refusal_by_reset_is_one_by_silence(void **state)
{
	(void)state;
	a->answer = MMPROXY_RESET;
	say(UDP_CLIENT, "one");
	say(UDP_CLIENT, "two");
	expect_calls("a.filter a.closed");
	expect_closed(CLOSE_PLUGIN_RESET, 1);
	assert_int_equal(count(COUNTER_DATAGRAMS_DROPPED_DENIED), 1);
	assert_int_equal(fixture.fake.sent_count, 0);
}

static void after_a_while_who_was_denied_is_asked_for_anew(void **state)
{
	(void)state;
	a->answer = MMPROXY_DENY;
	say(UDP_CLIENT, "no");
	/* To go on sending does not prolong it. */
	for (unsigned i = 0; i < DENIAL_CACHE_MEMORY / 500 - 1; i++) {
		pass(500);
		say(UDP_CLIENT, "please");
	}
	expect_calls("a.filter a.closed");
	pass(500);
	say(UDP_CLIENT, "no again");
	expect_calls("a.filter a.closed");
	expect_closed(CLOSE_PLUGIN_DENIED, 2);
	a->answer = MMPROXY_PASS;
	pass(DENIAL_CACHE_MEMORY);
	say(UDP_CLIENT, "yes");
	expect_calls("a.filter a.connected");
	EXPECT_HEARD(UDP_CLIENT, "yes|");
	assert_int_equal(count(COUNTER_DATAGRAMS_DROPPED_DENIED), DENIAL_CACHE_MEMORY / 500 - 1);
}

static void another_client_or_destination_is_asked_for_itself(void **state)
{
	(void)state;
	a->answer = MMPROXY_DENY;
	say(UDP_CLIENT, "no");
	a->answer = MMPROXY_PASS;
	say(OTHER_CLIENT, "yes");
	send_via(UDP_BALANCER, UDP_CLIENT, OTHER_DESTINATION, "also");
	settle();
	EXPECT_HEARD(OTHER_CLIENT, "yes|");
	EXPECT_HEARD(UDP_CLIENT, "also|");
	say(UDP_CLIENT, "still no");
	expect_silence();
	assert_int_equal(count(COUNTER_DATAGRAMS_DROPPED_DENIED), 1);
}

static void whose_plugin_failed_is_asked_for_with_the_next_datagram(void **state)
{
	(void)state;
	a->answer = -EBUSY;
	say(UDP_CLIENT, "no");
	expect_closed(CLOSE_PLUGIN_ERROR, 1);
	assert_int_equal(a->end.error, -EBUSY);
	a->answer = MMPROXY_PASS;
	say(UDP_CLIENT, "yes");
	EXPECT_HEARD(UDP_CLIENT, "yes|");
	assert_int_equal(count(COUNTER_DATAGRAMS_DROPPED_DENIED), 0);
}

static void who_is_denied_takes_nobodys_place(void **state)
{
	(void)state;
	say(client_name(1), "x");
	say(client_name(2), "x");
	a->answer = MMPROXY_DENY;
	for (unsigned i = 3; i < 10; i++)
		say(client_name(i), "x");
	expect_closed(CLOSE_PLUGIN_DENIED, 7);
	assert_non_null(socket_for(client_name(1)));
	assert_non_null(socket_for(client_name(2)));
}

static void whom_the_listener_refuses_no_plugin_is_asked_for(void **state)
{
	(void)state;
	say("127.0.0.1:40000", "loopback");
	send_bare(UDP_BALANCER, "no header");
	fixture.settings.forward_ipv4.family = ADDRESS_NONE;
	say(UDP_CLIENT, "nowhere to go");
	udp_listener_drain(fixture.listener);
	say(OTHER_CLIENT, "too late");
	expect_calls("");
}

/* ---- The dial ---- */

static void a_dial_that_fails_is_told_with_its_error(void **state)
{
	(void)state;
	fake_udp_fail(&fixture.fake, FAKE_UDP_CONNECT, 1, -ENETUNREACH);
	say(UDP_CLIENT, "hello");
	expect_calls("a.filter a.connected a.closed");
	assert_int_equal(a->error, -ENETUNREACH);
	assert_int_equal(a->end.error, -ENETUNREACH);
	assert_int_equal(a->end.flags, 0);
	expect_closed(CLOSE_CONNECT_FAILED, 1);
	/* It was not refused: it may try again. */
	say(UDP_CLIENT, "hello");
	expect_calls("a.filter a.connected");
	EXPECT_HEARD(UDP_CLIENT, "hello|");
}

static void a_port_that_is_taken_is_told_as_such(void **state)
{
	(void)state;
	fixture.settings.port_conflict = RELAY_PORT_CONFLICT_REFUSE;
	fixture.fake.taken_port = 40000;
	say(UDP_CLIENT, "hello");
	expect_calls("a.filter a.connected a.closed");
	assert_int_equal(a->error, -EADDRINUSE);
	expect_closed(CLOSE_PORT_CONFLICT, 1);
}

static void a_dial_that_fails_behind_the_verdict_ends_the_flow(void **state)
{
	(void)state;
	a->answer = MMPROXY_PENDING;
	say(UDP_CLIENT, "one");
	fake_udp_fail(&fixture.fake, FAKE_UDP_SOCKET, 1, -EMFILE);
	complete(MMPROXY_PASS);
	expect_calls("a.filter a.connected a.closed");
	assert_int_equal(a->error, -EMFILE);
	expect_closed(CLOSE_CONNECT_FAILED, 1);
	assert_int_equal(count(COUNTER_SESSIONS_RELAYED), 0);
	assert_int_equal(flows(), 0);
}

/* ---- Later ---- */

static void what_came_meanwhile_is_sent_in_order_and_before_what_came_later(void **state)
{
	(void)state;
	a->answer = MMPROXY_PENDING;
	send_as(UDP_CLIENT, "one");
	send_as(UDP_CLIENT, "");
	say(UDP_CLIENT, "three");
	say(UDP_CLIENT, "four");
	expect_calls("a.filter");
	assert_int_equal(fixture.fake.sent_count, 0);
	assert_int_equal(fixture.fake.calls[FAKE_UDP_SOCKET], 0);
	assert_int_equal(count(COUNTER_SESSIONS_RELAYED), 0);
	/* The verdict and two more in one round. */
	send_as(UDP_CLIENT, "five");
	complete(MMPROXY_PASS);
	say(UDP_CLIENT, "six");
	EXPECT_HEARD(UDP_CLIENT, "one||three|four|five|six|");
	expect_calls("b.filter a.connected b.connected");
	assert_int_equal(count(COUNTER_SESSIONS_RELAYED), 1);
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_CLIENT), 6);
	answer(UDP_CLIENT, "hello");
	settle();
	EXPECT_REPLIES(UDP_BALANCER, "hello|");
}

static void empty_datagrams_alone_are_held_as_well(void **state)
{
	(void)state;
	a->answer = MMPROXY_PENDING;
	say(UDP_CLIENT, "");
	say(UDP_CLIENT, "");
	complete(MMPROXY_PASS);
	EXPECT_HEARD(UDP_CLIENT, "||");
}

static void datagrams_that_the_kernel_joined_are_held_one_by_one(void **state)
{
	(void)state;
	a->answer = MMPROXY_PENDING;
	join(UDP_CLIENT, "one.");
	join(UDP_CLIENT, "two.");
	join(UDP_CLIENT, "end");
	send_joined(32);
	complete(MMPROXY_PASS);
	EXPECT_HEARD(UDP_CLIENT, "one.|two.|end|");
}

static void more_than_the_queue_holds_is_dropped_and_counted(void **state)
{
	char due[3 * UDP_WAITING_DATAGRAMS + 1] = "";

	(void)state;
	a->answer = MMPROXY_PENDING;
	for (unsigned i = 0; i < UDP_WAITING_DATAGRAMS + 5; i++) {
		const char text[3] = {(char)('a' + i), (char)('a' + i), '\0'};

		say(UDP_CLIENT, text);
		if (i < UDP_WAITING_DATAGRAMS)
			strcat(strcat(due, text), "|");
	}
	assert_int_equal(count(COUNTER_DATAGRAMS_DROPPED_WAITING), 5);
	complete(MMPROXY_PASS);
	EXPECT_HEARD(UDP_CLIENT, due);
	say(UDP_CLIENT, "more");
	EXPECT_HEARD(UDP_CLIENT, "more|");
	assert_int_equal(count(COUNTER_DATAGRAMS_DROPPED_WAITING), 5);
}

/* Datagrams of this payload, of so many lengths; nobody reads them as text. */
static void send_long(size_t length)
{
	static uint8_t bytes[65536];
	size_t header = write_header(bytes, UDP_CLIENT, UDP_DESTINATION);

	for (size_t i = header; i < header + length; i++)
		bytes[i] = (uint8_t)(i * 7 + length);
	balancer_sends(UDP_BALANCER, bytes, header + length);
	settle();
}

static void the_queue_has_room_for_the_largest_datagram_and_not_for_two(void **state)
{
	(void)state;
	a->answer = MMPROXY_PENDING;
	send_long(65000);
	send_long(65000);
	send_long(500);
	assert_int_equal(count(COUNTER_DATAGRAMS_DROPPED_WAITING), 1);
	complete(MMPROXY_PASS);
	assert_int_equal(fixture.fake.sent_count, 2);
	assert_int_equal(fixture.fake.sent[0].length, 65000);
	assert_int_equal(fixture.fake.sent[1].length, 500);
	assert_int_equal(fixture.fake.sent[0].bytes[64999], (uint8_t)((64999 + 28) * 7 + 65000));
}

static void a_refusal_that_comes_later_drops_what_was_held(void **state)
{
	(void)state;
	a->answer = MMPROXY_PENDING;
	send_as(UDP_CLIENT, "one");
	say(UDP_CLIENT, "two");
	complete(MMPROXY_DENY);
	say(UDP_CLIENT, "three");
	expect_calls("a.filter a.closed");
	expect_closed(CLOSE_PLUGIN_DENIED, 1);
	assert_int_equal(fixture.fake.sent_count, 0);
	assert_int_equal(count(COUNTER_DATAGRAMS_DROPPED_DENIED), 1);
	/* The first is what the refusal is counted for. */
	assert_int_equal(count(COUNTER_DATAGRAMS_DROPPED_WAITING), 1);
	assert_int_equal(flows(), 0);
}

static void without_a_verdict_in_time_the_flow_is_refused(void **state)
{
	(void)state;
	a->answer = MMPROXY_PENDING;
	say(UDP_CLIENT, "one");
	pass(FAKE_PLUGINS_TIMEOUT + 1);
	expect_calls("a.filter a.cancel a.closed");
	expect_closed(CLOSE_PLUGIN_TIMEOUT, 1);
	assert_int_equal(fixture.fake.sent_count, 0);
	assert_int_equal(fake_plugin_complete(a, a->ticket, MMPROXY_PASS, NULL), -ESTALE);
}

static void without_a_verdict_in_time_it_opens_where_on_error_says_so(void **state)
{
	(void)state;
	plugins.entries[0].on_error = PLUGIN_ON_ERROR_PASS;
	a->answer = MMPROXY_PENDING;
	say(UDP_CLIENT, "one");
	pass(FAKE_PLUGINS_TIMEOUT + 1);
	expect_calls("a.filter a.cancel a.connected");
	EXPECT_HEARD(UDP_CLIENT, "one|");
}

static void each_flow_has_its_own_verdict(void **state)
{
	mmproxy_ticket tickets[3];

	(void)state;
	a->answer = MMPROXY_PENDING;
	for (unsigned i = 0; i < 3; i++) {
		say(client_name(i), "x");
		tickets[i] = a->ticket;
	}
	complete_ticket(tickets[1], MMPROXY_PASS);
	complete_ticket(tickets[2], MMPROXY_DENY);
	EXPECT_HEARD(client_name(1), "x|");
	assert_int_equal(flows(), 2);
	complete_ticket(tickets[0], MMPROXY_PASS);
	EXPECT_HEARD(client_name(0), "x|");
	expect_silence();
}

/* ---- The flow ends first ---- */

static void a_flow_that_falls_idle_is_not_waited_for(void **state)
{
	(void)state;
	plugins.entries[0].timeout = 10 * IDLE;
	a->answer = MMPROXY_PENDING;
	say(UDP_CLIENT, "one");
	pass(IDLE - 1000);
	/* A datagram that is held is a use. */
	say(UDP_CLIENT, "two");
	pass(IDLE - 1000);
	expect_calls("a.filter");
	pass(1050);
	expect_calls("a.cancel a.closed");
	expect_closed(CLOSE_IDLE_TIMEOUT, 1);
	assert_int_equal(a->end.flags, 0);
	assert_int_equal(fixture.fake.sent_count, 0);
}

static void a_flow_that_waits_may_have_to_make_room(void **state)
{
	(void)state;
	a->answer = MMPROXY_PENDING;
	say(client_name(1), "x");
	say(client_name(2), "x");
	expect_calls("a.filter a.filter");
	say(client_name(3), "x");
	expect_calls("a.filter a.cancel a.closed");
	expect_closed(CLOSE_FLOW_EVICTED, 1);
	complete(MMPROXY_PASS);
	EXPECT_HEARD(client_name(3), "x|");
	assert_int_equal(flows(), 2);
}

static void a_listener_that_ends_cancels_what_is_awaited(void **state)
{
	(void)state;
	a->answer = MMPROXY_PENDING;
	say(UDP_CLIENT, "one");
	udp_listener_destroy(fixture.listener);
	fixture.listener = NULL;
	expect_calls("a.filter a.cancel a.closed");
	expect_closed(CLOSE_SHUTDOWN, 1);
}

static void a_drain_lets_a_flow_that_waits_come_to_be(void **state)
{
	(void)state;
	a->answer = MMPROXY_PENDING;
	say(UDP_CLIENT, "one");
	udp_listener_drain(fixture.listener);
	say(OTHER_CLIENT, "too late");
	complete(MMPROXY_PASS);
	say(UDP_CLIENT, "two");
	EXPECT_HEARD(UDP_CLIENT, "one|two|");
	pass(1100);
	expect_calls("a.filter a.connected a.closed");
	expect_closed(CLOSE_SHUTDOWN, 1);
}

/* ---- Where only the first datagram has a header ---- */

static void what_has_no_header_is_held_with_its_flow(void **state)
{
	(void)state;
	a->answer = MMPROXY_PENDING;
	send_as(UDP_CLIENT, "");
	send_bare(UDP_BALANCER, "one");
	settle();
	send_as(UDP_CLIENT, "");
	send_bare(UDP_BALANCER, "");
	settle();
	expect_calls("a.filter");
	complete(MMPROXY_PASS);
	send_bare(UDP_BALANCER, "three");
	settle();
	/* A header alone announces; it is no datagram of the client's. */
	EXPECT_HEARD(UDP_CLIENT, "one||three|");
}

static void what_has_no_header_is_denied_with_the_client_before_it(void **state)
{
	(void)state;
	a->answer = MMPROXY_DENY;
	say(UDP_CLIENT, "one");
	send_bare(UDP_BALANCER, "two");
	send_bare(UDP_BALANCER, "");
	say(UDP_CLIENT, "four");
	expect_closed(CLOSE_PLUGIN_DENIED, 1);
	assert_int_equal(count(COUNTER_DATAGRAMS_DROPPED_DENIED), 3);
	/* By another port of the balancer it is nobody's. */
	send_bare(OTHER_BALANCER, "lost");
	settle();
	assert_int_equal(closed(CLOSE_NO_FLOW), 1);
	pass(DENIAL_CACHE_MEMORY);
	send_bare(UDP_BALANCER, "late");
	settle();
	assert_int_equal(closed(CLOSE_NO_FLOW), 2);
	expect_calls("a.filter a.closed");
}

static void another_client_at_the_same_port_is_asked_for_itself(void **state)
{
	(void)state;
	a->answer = MMPROXY_DENY;
	say(UDP_CLIENT, "one");
	a->answer = MMPROXY_PASS;
	say(OTHER_CLIENT, "uno");
	send_bare(UDP_BALANCER, "due");
	settle();
	EXPECT_HEARD(OTHER_CLIENT, "uno|due|");
	expect_calls("a.filter a.closed a.filter a.connected");
	/* Who was denied announces itself again: the port is its now, and it stays denied. */
	say(UDP_CLIENT, "two");
	send_bare(UDP_BALANCER, "three");
	settle();
	expect_silence();
	assert_int_equal(closed(CLOSE_FLOW_REPLACED), 1);
	expect_calls("a.closed");
	assert_int_equal(count(COUNTER_DATAGRAMS_DROPPED_DENIED), 2);
}

static void another_destination_at_the_same_port_is_asked_for_itself(void **state)
{
	(void)state;
	a->answer = MMPROXY_DENY;
	say(UDP_CLIENT, "no");
	a->answer = MMPROXY_PASS;
	send_via(UDP_BALANCER, UDP_CLIENT, OTHER_DESTINATION, "yes");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "yes|");
	assert_int_equal(count(COUNTER_DATAGRAMS_DROPPED_DENIED), 0);
}

static void a_client_that_waits_may_be_replaced(void **state)
{
	mmproxy_ticket ticket;

	(void)state;
	a->answer = MMPROXY_PENDING;
	say(UDP_CLIENT, "one");
	ticket = a->ticket;
	say(OTHER_CLIENT, "uno");
	expect_calls("a.filter a.cancel a.closed a.filter");
	expect_closed(CLOSE_FLOW_REPLACED, 1);
	assert_int_equal(fake_plugin_complete(a, ticket, MMPROXY_PASS, NULL), -ESTALE);
	send_bare(UDP_BALANCER, "due");
	settle();
	complete(MMPROXY_PASS);
	EXPECT_HEARD(OTHER_CLIENT, "uno|due|");
	expect_silence();
}

int main(void)
{
#define TEST(name, start) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(a_plugin_is_asked_once_a_flow_not_a_datagram, start_two),
		TEST(a_plugin_sees_whom_the_header_names, start_one),
		TEST(an_spp_header_is_told_as_such, start_one_spp),
		TEST(who_is_denied_is_dropped_and_not_asked_for_again, start_one),
		TEST(a_refusal_by_reset_is_one_by_silence, start_one),
		TEST(after_a_while_who_was_denied_is_asked_for_anew, start_one),
		TEST(another_client_or_destination_is_asked_for_itself, start_one),
		TEST(whose_plugin_failed_is_asked_for_with_the_next_datagram, start_one),
		TEST(who_is_denied_takes_nobodys_place, start_with_two_places),
		TEST(whom_the_listener_refuses_no_plugin_is_asked_for, start_one),
		TEST(a_dial_that_fails_is_told_with_its_error, start_one),
		TEST(a_port_that_is_taken_is_told_as_such, start_one),
		TEST(a_dial_that_fails_behind_the_verdict_ends_the_flow, start_one),
		TEST(what_came_meanwhile_is_sent_in_order_and_before_what_came_later, start_two),
		TEST(empty_datagrams_alone_are_held_as_well, start_one),
		TEST(datagrams_that_the_kernel_joined_are_held_one_by_one, start_one),
		TEST(more_than_the_queue_holds_is_dropped_and_counted, start_one),
		TEST(the_queue_has_room_for_the_largest_datagram_and_not_for_two, start_one),
		TEST(a_refusal_that_comes_later_drops_what_was_held, start_one),
		TEST(without_a_verdict_in_time_the_flow_is_refused, start_one),
		TEST(without_a_verdict_in_time_it_opens_where_on_error_says_so, start_one),
		TEST(each_flow_has_its_own_verdict, start_one),
		TEST(a_flow_that_falls_idle_is_not_waited_for, start_one),
		TEST(a_flow_that_waits_may_have_to_make_room, start_with_two_places),
		TEST(a_listener_that_ends_cancels_what_is_awaited, start_one),
		TEST(a_drain_lets_a_flow_that_waits_come_to_be, start_one),
		TEST(what_has_no_header_is_held_with_its_flow, start_one_first),
		TEST(what_has_no_header_is_denied_with_the_client_before_it, start_one_first),
		TEST(another_client_at_the_same_port_is_asked_for_itself, start_one_first),
		TEST(another_destination_at_the_same_port_is_asked_for_itself, start_one_first),
		TEST(a_client_that_waits_may_be_replaced, start_one_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
