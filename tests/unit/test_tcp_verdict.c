/* SPDX-License-Identifier: MIT */
/*
 * A TCP session whose listener has plugins: what its client and its upstream see of a verdict that
 * comes at once, later, or not at all.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake_plugin.h"
#include "relay/tcp.h"
#include "relay/tcp_session.h"
#include "tcp_talk.h"

#define HELLO FIXTURE_V1 "hello"

static struct fake_plugins plugins;
static struct fake_plugin *const a = &plugins.plugins[0];
static struct fake_plugin *const b = &plugins.plugins[1];

static int start_one(void **state)
{
	start(state);
	fixture_use_plugins(&fixture, &plugins, 1);
	return 0;
}

static int start_two(void **state)
{
	start(state);
	fixture_use_plugins(&fixture, &plugins, 2);
	return 0;
}

static void settle(void)
{
	fixture_settle(&fixture);
	upstream = fake_dialled(&fixture.fake);
}

/* "a.filter a.closed": what the plugins have heard since the test asked last. */
static void expect_calls(const char *due)
{
	assert_string_equal(plugins.calls, due);
	fake_plugins_forget(&plugins);
}

static void complete(struct fake_plugin *plugin, int verdict)
{
	assert_int_equal(fake_plugin_complete(plugin, plugin->ticket, verdict, NULL), 0);
	settle();
}

/* A client says this and its session waits for a's verdict. */
static void wait_with(const void *bytes, size_t length)
{
	a->answer = MMPROXY_PENDING;
	say_bytes(bytes, length);
	expect_calls("a.filter");
	assert_null(upstream);
	assert_int_equal(client->closed, FAKE_OPEN);
}

/* The client is refused in order, and nobody has been dialled for it. */
static void expect_orderly_refusal(enum close_reason reason)
{
	expect_closed(&fixture, reason);
	expect_end(client, FAKE_CLOSED_ORDERLY);
	assert_int_equal(client->out_delivered, 0);
	assert_int_equal(fake_dial_count(&fixture.fake), 0);
}

/* Both finish; all bytes are there. */
static void finish_both(void)
{
	fake_peer_finish(client);
	fake_peer_finish(upstream);
	fixture_settle(&fixture);
	expect_all(upstream, client, FIXTURE_V1_SIZE);
	expect_all(client, upstream, 0);
	expect_closed(&fixture, CLOSE_FINISHED);
}

/* ---- At once ---- */

static void who_passes_is_relayed_and_its_plugins_hear_of_it(void **state)
{
	(void)state;
	SAY(HELLO);
	expect_calls("a.filter b.filter a.connected b.connected");
	expect_echo();
	finish_both();
	expect_calls("a.closed b.closed");
	assert_int_equal(a->end.flags, MMPROXY_END_CONNECTED);
	assert_int_equal(a->end.code, 1);
	assert_int_equal(a->end.bytes_from_client, 5);
	assert_int_equal(a->end.bytes_from_upstream, 6);
	assert_int_equal(count(COUNTER_SESSIONS_RELAYED), 1);
}

static void a_plugin_sees_whom_the_header_names(void **state)
{
	(void)state;
	SAY(HELLO);
	assert_string_equal(a->conn.listener, "test");
	assert_int_equal(a->conn.flags, 0);
	assert_int_equal(a->conn.protocol, MMPROXY_PROTOCOL_TCP);
	assert_int_equal(a->conn.header, MMPROXY_HEADER_V1);
	assert_memory_equal(a->conn.client.ip, "\xcb\0\x71\x09", 4);
	assert_int_equal(a->conn.client.port, 40000);
	assert_memory_equal(a->conn.destination.ip, "\xc6\x33\x64\x01", 4);
	assert_int_equal(a->conn.destination.port, 443);
	assert_memory_equal(a->conn.balancer.ip, "\xc0\0\2\1", 4);
	assert_int_equal(a->conn.balancer.port, 50000);
	assert_memory_equal(a->conn.upstream.ip, "\x7f\0\0\1", 4);
	assert_int_equal(a->conn.upstream.port, 8080);
}

static void where_the_header_names_nobody_the_client_is_the_balancer(void **state)
{
	(void)state;
	SAY("PROXY UNKNOWN\r\nhello");
	expect_echo();
	assert_int_equal(a->conn.flags, MMPROXY_CONN_LOCAL);
	assert_memory_equal(&a->conn.client, &a->conn.balancer, sizeof(a->conn.client));
	assert_int_equal(a->conn.destination.family, 0);
}

static void who_is_denied_sees_an_orderly_end_whatever_it_had_sent(void **state)
{
	(void)state;
	a->answer = MMPROXY_DENY;
	connect_client();
	fake_peer_send(client, FIXTURE_V1, FIXTURE_V1_SIZE);
	fixture_send(client, 500000);
	settle();
	expect_orderly_refusal(CLOSE_PLUGIN_DENIED);
	expect_calls("a.filter a.closed");
	assert_int_equal(a->end.code, 129);
	assert_string_equal(a->end.plugin, "a");
}

static void of_a_flood_that_is_denied_no_more_than_a_part_is_read(void **state)
{
	(void)state;
	fixture.fake.receive_limit = 8 << 20;
	a->answer = MMPROXY_DENY;
	connect_client();
	fake_peer_send(client, FIXTURE_V1, FIXTURE_V1_SIZE);
	fixture_send(client, 8 << 20);
	settle();
	expect_closed(&fixture, CLOSE_PLUGIN_DENIED);
	assert_true(client->in_read >= 1 << 20);
	assert_true(client->in_read <= 2 << 20);
}

static void who_is_refused_by_reset_sees_one(void **state)
{
	(void)state;
	a->answer = MMPROXY_RESET;
	SAY(HELLO);
	expect_closed(&fixture, CLOSE_PLUGIN_RESET);
	expect_end(client, FAKE_CLOSED_RESET);
	assert_int_equal(fake_dial_count(&fixture.fake), 0);
	expect_calls("a.filter a.closed");
}

static void an_error_of_a_plugin_refuses_in_order(void **state)
{
	(void)state;
	a->answer = -EIO;
	SAY(HELLO);
	expect_orderly_refusal(CLOSE_PLUGIN_ERROR);
}

static void the_second_plugin_may_refuse_what_the_first_let_pass(void **state)
{
	(void)state;
	b->answer = MMPROXY_DENY;
	SAY(HELLO);
	expect_orderly_refusal(CLOSE_PLUGIN_DENIED);
	expect_calls("a.filter b.filter a.closed b.closed");
	assert_string_equal(a->end.plugin, "b");
}

static void whom_the_listener_refuses_no_plugin_is_asked_for(void **state)
{
	(void)state;
	SAY("PROXY TCP4 127.0.0.1 198.51.100.1 40000 443\r\nhello");
	SAY("GET / HTTP/1.1\r\n\r\n");
	SAY("PROXY TCP4 203");
	fake_peer_finish(client);
	fixture.settings.forward_ipv4.family = ADDRESS_NONE;
	SAY(HELLO);
	expect_calls("");
	assert_null(fixture_session(&fixture));
	assert_int_equal(fake_dial_count(&fixture.fake), 0);
}

/* ---- The dial ---- */

static void a_dial_that_fails_is_told_with_its_error(void **state)
{
	(void)state;
	fake_fail(&fixture.fake, FAKE_CONNECT, 1, -ECONNREFUSED);
	SAY(HELLO);
	expect_failure(CLOSE_CONNECT_REFUSED);
	expect_calls("a.filter a.connected a.closed");
	assert_int_equal(a->error, -ECONNREFUSED);
	assert_int_equal(a->end.error, -ECONNREFUSED);
	assert_int_equal(a->end.flags, 0);
}

static void without_a_socket_there_is_no_connection(void **state)
{
	(void)state;
	fake_fail(&fixture.fake, FAKE_SOCKET, 1, -EMFILE);
	SAY(HELLO);
	expect_failure(CLOSE_CONNECT_FAILED);
	expect_calls("a.filter a.connected a.closed");
	assert_int_equal(a->error, -EMFILE);
}

static void a_dial_that_takes_its_time_is_told_when_it_is_over(void **state)
{
	(void)state;
	fixture.fake.hold_connects = true;
	SAY(HELLO);
	expect_calls("a.filter");
	fake_connect_done(upstream);
	settle();
	expect_calls("a.connected");
	assert_int_equal(a->error, 0);
	finish_both();
}

static void a_dial_that_comes_to_nothing_is_told_as_a_timeout(void **state)
{
	(void)state;
	fixture.fake.hold_connects = true;
	SAY(HELLO);
	fixture_pass(&fixture, fixture.settings.connect_timeout + 100);
	expect_failure(CLOSE_CONNECT_TIMEOUT);
	expect_calls("a.filter a.connected a.closed");
	assert_int_equal(a->error, -ETIMEDOUT);
}

/* ---- Later ---- */

/* So much stood behind the header, and so much comes while the verdict is awaited. */
static void wait_and_pass(size_t before, size_t meanwhile)
{
	a->answer = MMPROXY_PENDING;
	connect_client();
	fake_peer_send(client, FIXTURE_V1, FIXTURE_V1_SIZE);
	fixture_send(client, before);
	settle();
	assert_null(upstream);
	fixture_send(client, meanwhile);
	settle();
	assert_null(upstream);
	/* What comes meanwhile stays in the socket. */
	assert_true(client->in_read <= RELAY_HOT_SIZE);
	complete(a, MMPROXY_PASS);
	assert_non_null(upstream);
	expect_all(upstream, client, FIXTURE_V1_SIZE);
	fixture_send(client, 1000);
	fixture_send(upstream, 2000);
	fixture_settle(&fixture);
	finish_both();
	expect_calls("a.filter a.connected a.closed");
	assert_int_equal(a->end.bytes_from_client, before + meanwhile + 1000);
}

static void what_was_sent_meanwhile_arrives_whole_and_in_order(void **state)
{
	static const size_t befores[] = {0,
					 1,
					 1000,
					 RELAY_HOT_SIZE - FIXTURE_V1_SIZE - 1,
					 RELAY_HOT_SIZE - FIXTURE_V1_SIZE,
					 RELAY_HOT_SIZE,
					 300000};
	static const size_t meanwhiles[] = {0, 1, 200000};

	for (unsigned i = 0; i < 7; i++) {
		for (unsigned j = 0; j < 3; j++) {
			wait_and_pass(befores[i], meanwhiles[j]);
			stop(state);
			start_one(state);
		}
	}
}

static void a_header_in_pieces_makes_no_difference(void **state)
{
	(void)state;
	a->answer = MMPROXY_PENDING;
	connect_client();
	fake_peer_send(client, FIXTURE_V1, 10);
	settle();
	expect_calls("");
	fake_peer_send(client, &FIXTURE_V1[10], FIXTURE_V1_SIZE - 10);
	fixture_send(client, 777);
	settle();
	expect_calls("a.filter");
	fixture_send(client, 5000);
	settle();
	complete(a, MMPROXY_PASS);
	expect_all(upstream, client, FIXTURE_V1_SIZE);
	finish_both();
}

static void an_upstream_that_reads_slowly_gets_what_was_held_all_the_same(void **state)
{
	(void)state;
	fixture.fake.send_limit = 1000;
	fixture.fake.peer_window = 300;
	a->answer = MMPROXY_PENDING;
	connect_client();
	fake_peer_send(client, FIXTURE_V1, FIXTURE_V1_SIZE);
	fixture_send(client, 40000);
	settle();
	fixture.fake.hold_connects = true;
	complete(a, MMPROXY_PASS);
	upstream->peer_stalls = true;
	fake_connect_done(upstream);
	do
		fixture_settle(&fixture);
	while (fake_peer_read(upstream, 200) > 0);
	finish_both();
}

static void a_refusal_that_comes_later_is_orderly_too(void **state)
{
	(void)state;
	wait_with(HELLO, sizeof(HELLO) - 1);
	fixture_send(client, 300000);
	settle();
	complete(a, MMPROXY_DENY);
	expect_orderly_refusal(CLOSE_PLUGIN_DENIED);
	expect_calls("a.closed");
}

static void a_reset_that_comes_later_is_one_too(void **state)
{
	(void)state;
	wait_with(HELLO, sizeof(HELLO) - 1);
	complete(a, MMPROXY_RESET);
	expect_closed(&fixture, CLOSE_PLUGIN_RESET);
	expect_end(client, FAKE_CLOSED_RESET);
}

static void the_headers_deadline_does_not_hold_for_the_verdict(void **state)
{
	(void)state;
	plugins.entries[0].timeout = 60000;
	wait_with(HELLO, sizeof(HELLO) - 1);
	fixture_pass(&fixture, 50000);
	assert_non_null(fixture_session(&fixture));
	complete(a, MMPROXY_PASS);
	expect_echo();
}

static void without_a_verdict_in_time_the_client_is_refused_in_order(void **state)
{
	(void)state;
	wait_with(HELLO, sizeof(HELLO) - 1);
	fixture_pass(&fixture, FAKE_PLUGINS_TIMEOUT + 1);
	expect_orderly_refusal(CLOSE_PLUGIN_TIMEOUT);
	expect_calls("a.cancel a.closed");
	assert_int_equal(fake_plugin_complete(a, a->ticket, MMPROXY_PASS, NULL), -ESTALE);
}

static void without_a_verdict_in_time_it_is_relayed_where_on_error_says_so(void **state)
{
	(void)state;
	plugins.entries[0].on_error = PLUGIN_ON_ERROR_PASS;
	wait_with(HELLO, sizeof(HELLO) - 1);
	fixture_pass(&fixture, FAKE_PLUGINS_TIMEOUT + 1);
	upstream = fake_dialled(&fixture.fake);
	expect_calls("a.cancel a.connected");
	expect_echo();
}

/* ---- The client does not wait ---- */

static void a_client_that_resets_is_not_waited_for(void **state)
{
	(void)state;
	wait_with(HELLO, sizeof(HELLO) - 1);
	fake_peer_reset(client);
	settle();
	expect_closed(&fixture, CLOSE_CLIENT_LEFT);
	expect_calls("a.cancel a.closed");
	assert_int_equal(a->end.code, 205);
	assert_int_equal(fake_dial_count(&fixture.fake), 0);
	assert_int_equal(fake_plugin_complete(a, a->ticket, MMPROXY_PASS, NULL), -ESTALE);
}

static void a_client_that_resets_as_its_verdict_comes_is_let_go_once(void **state)
{
	(void)state;
	wait_with(HELLO, sizeof(HELLO) - 1);
	fake_peer_reset(client);
	complete(a, MMPROXY_PASS);
	expect_closed(&fixture, CLOSE_CLIENT_LEFT);
	expect_calls("a.closed");
	assert_int_equal(fake_dial_count(&fixture.fake), 0);
}

static void a_client_that_finishes_still_wants_its_answer(void **state)
{
	(void)state;
	wait_with(HELLO, sizeof(HELLO) - 1);
	fixture_send(client, 100000);
	fake_peer_finish(client);
	settle();
	assert_int_equal(client->closed, FAKE_OPEN);
	complete(a, MMPROXY_PASS);
	expect_all(upstream, client, FIXTURE_V1_SIZE);
	assert_true(upstream->fin_delivered);
	fixture_send(upstream, 100000);
	fake_peer_finish(upstream);
	fixture_settle(&fixture);
	expect_all(client, upstream, 0);
	expect_closed(&fixture, CLOSE_FINISHED);
}

static void a_client_that_finished_may_be_refused(void **state)
{
	(void)state;
	wait_with(HELLO, sizeof(HELLO) - 1);
	fake_peer_finish(client);
	settle();
	complete(a, MMPROXY_DENY);
	expect_orderly_refusal(CLOSE_PLUGIN_DENIED);
}

static void a_stop_of_the_daemon_cancels_what_is_awaited(void **state)
{
	(void)state;
	wait_with(HELLO, sizeof(HELLO) - 1);
	tcp_close_all(&fixture.relay);
	expect_closed(&fixture, CLOSE_SHUTDOWN);
	expect_end(client, FAKE_CLOSED_RESET);
	expect_calls("a.cancel a.closed");
	assert_int_equal(fake_dial_count(&fixture.fake), 0);
}

static void a_client_that_cannot_be_watched_is_not_waited_for(void **state)
{
	(void)state;
	a->answer = MMPROXY_PENDING;
	fake_fail(&fixture.fake, FAKE_WATCH, 1, -ENOMEM);
	SAY(HELLO);
	expect_failure(CLOSE_SYSTEM_ERROR);
	expect_calls("a.filter a.cancel a.closed");
}

/* ---- Several ---- */

static void each_session_has_its_own_verdict(void **state)
{
	struct fake_socket *clients[3];
	mmproxy_ticket tickets[3];

	(void)state;
	a->answer = MMPROXY_PENDING;
	for (unsigned i = 0; i < 3; i++) {
		SAY(HELLO);
		clients[i] = client;
		tickets[i] = a->ticket;
	}
	assert_int_equal(fake_plugin_complete(a, tickets[1], MMPROXY_PASS, NULL), 0);
	assert_int_equal(fake_plugin_complete(a, tickets[2], MMPROXY_DENY, NULL), 0);
	settle();
	assert_int_equal(fake_dial_count(&fixture.fake), 1);
	assert_int_equal(clients[0]->closed, FAKE_OPEN);
	assert_int_equal(clients[2]->closed, FAKE_CLOSED_ORDERLY);
	client = clients[1];
	expect_echo();
	assert_int_equal(fake_plugin_complete(a, tickets[0], MMPROXY_RESET, NULL), 0);
	settle();
	assert_int_equal(clients[0]->closed, FAKE_CLOSED_RESET);
	assert_int_equal(fake_dial_count(&fixture.fake), 1);
}

/* The place of the one is the next one's, who is asked for while the verdict is handed out. */
static void a_refusal_makes_room_for_the_next_at_once(void **state)
{
	struct fake_socket *next;

	(void)state;
	atomic_store(&fixture.sessions.limit, 1);
	wait_with(HELLO, sizeof(HELLO) - 1);
	next = fake_incoming(fixture.listening, FIXTURE_BALANCER);
	fake_peer_send(next, HELLO, sizeof(HELLO) - 1);
	settle();
	expect_calls("");
	a->hurries = true;
	a->hurried = MMPROXY_PASS;
	complete(a, MMPROXY_DENY);
	expect_end(client, FAKE_CLOSED_ORDERLY);
	expect_calls("a.closed a.filter a.connected");
	client = next;
	expect_echo();
}

int main(void)
{
#define TEST_WITH(name, start) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST_WITH(who_passes_is_relayed_and_its_plugins_hear_of_it, start_two),
		TEST_WITH(a_plugin_sees_whom_the_header_names, start_one),
		TEST_WITH(where_the_header_names_nobody_the_client_is_the_balancer, start_one),
		TEST_WITH(who_is_denied_sees_an_orderly_end_whatever_it_had_sent, start_one),
		TEST_WITH(of_a_flood_that_is_denied_no_more_than_a_part_is_read, start_one),
		TEST_WITH(who_is_refused_by_reset_sees_one, start_one),
		TEST_WITH(an_error_of_a_plugin_refuses_in_order, start_one),
		TEST_WITH(the_second_plugin_may_refuse_what_the_first_let_pass, start_two),
		TEST_WITH(whom_the_listener_refuses_no_plugin_is_asked_for, start_one),
		TEST_WITH(a_dial_that_fails_is_told_with_its_error, start_one),
		TEST_WITH(without_a_socket_there_is_no_connection, start_one),
		TEST_WITH(a_dial_that_takes_its_time_is_told_when_it_is_over, start_one),
		TEST_WITH(a_dial_that_comes_to_nothing_is_told_as_a_timeout, start_one),
		TEST_WITH(what_was_sent_meanwhile_arrives_whole_and_in_order, start_one),
		TEST_WITH(a_header_in_pieces_makes_no_difference, start_one),
		TEST_WITH(an_upstream_that_reads_slowly_gets_what_was_held_all_the_same, start_one),
		TEST_WITH(a_refusal_that_comes_later_is_orderly_too, start_one),
		TEST_WITH(a_reset_that_comes_later_is_one_too, start_one),
		TEST_WITH(the_headers_deadline_does_not_hold_for_the_verdict, start_one),
		TEST_WITH(without_a_verdict_in_time_the_client_is_refused_in_order, start_one),
		TEST_WITH(without_a_verdict_in_time_it_is_relayed_where_on_error_says_so,
			  start_one),
		TEST_WITH(a_client_that_resets_is_not_waited_for, start_one),
		TEST_WITH(a_client_that_resets_as_its_verdict_comes_is_let_go_once, start_one),
		TEST_WITH(a_client_that_finishes_still_wants_its_answer, start_one),
		TEST_WITH(a_client_that_finished_may_be_refused, start_one),
		TEST_WITH(a_stop_of_the_daemon_cancels_what_is_awaited, start_one),
		TEST_WITH(a_client_that_cannot_be_watched_is_not_waited_for, start_one),
		TEST_WITH(each_session_has_its_own_verdict, start_one),
		TEST_WITH(a_refusal_makes_room_for_the_next_at_once, start_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
