/* SPDX-License-Identifier: MIT */
/*
 * A session's way to the kernel: when it is thought of, what it has to wait for, why it stays a
 * relay. However it goes, both peers get every byte once.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tcp_handoff.h"

static void a_few_exchanges_bring_it_to_the_kernel(void **state)
{
	(void)state;
	hand_off();
	assert_int_equal(count(COUNTER_OFFLOADED), 1);
	exchange(3);
	expect_all_bytes();
	assert_int_equal(kernel.calls[FAKE_MOVE], 1);
}

/* It pays for nothing. */
static void a_short_session_never_gets_near_it(void **state)
{
	(void)state;
	fixture_send(client, 400);
	fixture_settle(&fixture);
	fixture_send(upstream, 4000);
	fixture_settle(&fixture);
	assert_int_equal(fixture.fake.calls[FAKE_SET_OPTION] > 0, 1);
	assert_int_equal(kernel.calls[FAKE_OBSERVE], 0);
	assert_int_equal(fixture.fake.calls[FAKE_UNREAD] + fixture.fake.calls[FAKE_POSITION], 0);
}

static void what_is_not_wanted_is_not_watched(void **state)
{
	(void)state;
	fixture.settings.offload = false;
	fixture_open(&fixture, &client, &upstream);
	exchange(20);
	assert_int_equal(session_state(), TCP_RELAY);
	assert_int_equal(kernel.calls[FAKE_OBSERVE], 0);
}

static void what_is_on_its_way_is_delivered_before_the_sockets_go(void **state)
{
	(void)state;
	exchange(1);
	client->hold_acks = true;
	exchange(4);
	fixture_pass(&fixture, 1000);
	assert_int_equal(session_state(), TCP_MOVED);
	assert_int_equal(client->closed, FAKE_OPEN);
	assert_int_equal(upstream->closed, FAKE_OPEN);
	assert_int_equal(atomic_load(&fixture.descriptors.used), 1);
	/* Whatever kills the process, they do not say that the session is over. */
	assert_true(client->repair && upstream->repair);
	client->hold_acks = false;
	fake_network(client);
	fixture_pass(&fixture, 200);
	assert_int_equal(session_state(), TCP_OFFLOADED);
	assert_int_equal(atomic_load(&fixture.descriptors.used), 0);
	assert_int_equal(atomic_load(&fixture.sessions.used), 1);
	assert_int_equal(fixture.fake.open, 1); /* which listens */
	expect_all_bytes();
}

static void connection_tracking_is_told_where_there_is_an_interface(void **state)
{
	(void)state;
	kernel.interfaces[OFFLOAD_BALANCER] = 4;
	hand_off();
	assert_int_equal(kernel.untracked, 1);
}

/* Late. */

static void send_more(void *left)
{
	unsigned *more = left;

	if (*more == 0)
		return;
	--*more;
	fixture_send(client, 77);
}

static void what_comes_in_at_the_last_moment_is_not_lost(void **state)
{
	unsigned left = 1;

	(void)state;
	kernel.before_move = send_more;
	kernel.context = &left;
	exchange(4);
	assert_int_equal(left, 0);
	fixture_pass(&fixture, 100);
	exchange(4);
	assert_int_equal(kernel.calls[FAKE_MOVE], 2);
	assert_int_equal(session_state(), TCP_OFFLOADED);
	expect_all_bytes();
}

/* Or at any other: before one of the calls of the first try. */
struct moment {
	enum fake_call call;
	unsigned in;
	bool by_client;
	bool ends;
};

static int use_moment(void *context, enum fake_call call)
{
	struct moment *moment = context;
	struct fake_socket *peer = moment->by_client ? client : upstream;

	if (moment->in == 0 || call != moment->call || --moment->in > 0)
		return 0;
	fixture_send(peer, 33);
	if (moment->ends)
		fake_peer_finish(peer);
	return 0;
}

static void try_moment(struct moment moment)
{
	bool ends = moment.ends;

	start_session(NULL);
	exchange(2);
	fixture.fake.fault = use_moment;
	fixture.fake.context = &moment;
	fixture_send(client, 10);
	fixture_settle(&fixture);
	assert_int_equal(moment.in, 0);
	fixture_pass(&fixture, 100);
	if (ends) {
		fake_peer_finish(client);
		fake_peer_finish(upstream);
		fixture_settle(&fixture);
	} else {
		exchange(5);
		assert_int_equal(session_state(), TCP_OFFLOADED);
	}
	expect_all_bytes();
	if (ends)
		expect_closed(&fixture, CLOSE_FINISHED);
	stop(NULL);
}

static void what_comes_in_at_any_moment_of_a_try_is_not_lost(void **state)
{
	static const enum fake_call calls[] = {FAKE_UNREAD, FAKE_NOT_SENT, FAKE_TCP_INFO,
					       FAKE_POSITION};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		for (unsigned how = 0; how < 8; how++)
			try_moment((struct moment){
				.call = calls[i],
				.in = 1 + how % 2,
				.by_client = (how & 2) != 0,
				.ends = (how & 4) != 0,
			});
}

static void after_some_late_tries_it_settles(void **state)
{
	unsigned left = 4;

	(void)state;
	kernel.before_move = send_more;
	kernel.context = &left;
	exchange(8);
	fixture_pass(&fixture, 100);
	assert_int_equal(left, 0);
	assert_int_equal(session_state(), TCP_OFFLOADED);
	exchange(1);
	expect_all_bytes();
}

/* As long as one far end takes nothing, there is something unsent. */
static void a_stalled_reader_gets_everything_after_it_did_not_settle(void **state)
{
	(void)state;
	exchange(2);
	client->peer_stalls = true;
	client->peer_window = 1000;
	for (unsigned i = 0; i < 10; i++) {
		fixture_send(upstream, 50000);
		fixture_pass(&fixture, 3);
	}
	fixture_pass(&fixture, 1000);
	assert_int_equal(session_state(), TCP_RELAY);
	assert_int_equal(count(COUNTER_OFFLOAD_STAYED_BUSY), 1);
	client->peer_stalls = false;
	fake_network(client);
	exchange(1);
	expect_all_bytes();
}

/* Both talk, but the upstream has no room: of what the client sent something is left. */
static void settle_with_a_full_upstream(void)
{
	exchange(2);
	upstream->send_limit = 1000;
	upstream->hold_acks = true;
	fixture_send(client, 5000);
	for (unsigned i = 0; i < 10; i++) {
		fixture_send(upstream, 100);
		fixture_pass(&fixture, 1);
	}
	assert_int_equal(session_state(), TCP_SETTLING);
	assert_non_null(fixture_session(&fixture)->up.held);
}

static void expect_that_it_goes_over_with_room(void)
{
	upstream->hold_acks = false;
	fake_network(upstream);
	fixture_pass(&fixture, 20);
	assert_int_equal(session_state(), TCP_OFFLOADED);
	expect_all_bytes();
}

static void what_a_full_socket_left_is_written_while_it_settles(void **state)
{
	(void)state;
	settle_with_a_full_upstream();
	expect_that_it_goes_over_with_room();
	exchange(1);
	expect_all_bytes();
}

/* An echo takes nothing as long as nobody takes what it says. */
static void one_side_that_takes_nothing_does_not_stop_the_other(void **state)
{
	(void)state;
	settle_with_a_full_upstream();
	fixture_send(upstream, 20000);
	fixture_pass(&fixture, 10);
	assert_int_equal(session_state(), TCP_SETTLING);
	assert_non_null(fixture_session(&fixture)->up.held);
	expect_all(client, upstream, 0);
	expect_that_it_goes_over_with_room();
}

/* A stream: at no moment are both sockets empty, unless somebody waits for it. */
static void stream(struct fake_socket *from, struct fake_socket *to, size_t skip)
{
	to->send_limit = 100000;
	to->hold_acks = true;
	for (unsigned i = 0; i < 200; i++) {
		fixture_send(from, 30000);
		fixture_round(&fixture);
		to->hold_acks = false;
		fake_network(to);
		to->hold_acks = true;
		fixture_pass(&fixture, 1);
	}
	assert_int_equal(count(COUNTER_OFFLOADED), 1);
	to->hold_acks = false;
	fake_network(to);
	fixture_pass(&fixture, 200);
	assert_int_equal(session_state(), TCP_OFFLOADED);
	expect_all(to, from, skip);
}

static void a_stream_to_the_upstream_is_handed_over(void **state)
{
	(void)state;
	stream(client, upstream, FIXTURE_V1_SIZE);
}

static void a_stream_to_the_client_is_handed_over(void **state)
{
	(void)state;
	stream(upstream, client, 0);
}

/* What one socket has received and the other has passed on need not be read to be counted. */
static void bytes_that_were_passed_on_unread_are_counted_once(void **state)
{
	struct tcp_session *session = fixture_session(&fixture);

	(void)state;
	exchange(2);
	fixture.event_limit = 1;
	fixture_send(client, 1000);
	fixture_send(upstream, 3000);
	fixture_round(&fixture);
	assert_int_equal(session_state(), TCP_MOVED);
	assert_true(fixture.fake.calls[FAKE_PEEK] > 0);
	assert_int_equal(upstream->in_arrived - upstream->in_read, 3000);
	fixture_pass(&fixture, 10);
	exchange(1);
	tcp_offload_look(session);
	assert_int_equal(session->up.bytes, client->in.length - FIXTURE_V1_SIZE);
	assert_int_equal(session->down.bytes, upstream->in.length);
	assert_int_equal(count(COUNTER_BYTES_FROM_CLIENT), session->up.bytes);
	assert_int_equal(count(COUNTER_BYTES_FROM_UPSTREAM), session->down.bytes);
	expect_all_bytes();
}

/* Ends while it settles, or before. */

static void settle_for_ever(void)
{
	kernel.unseen[OFFLOAD_BALANCER] = true;
	exchange(3);
	for (unsigned i = 0; i < 100 && session_state() != TCP_SETTLING; i++) {
		fixture_send(client, 10);
		fixture_pass(&fixture, 2);
	}
	assert_int_equal(session_state(), TCP_SETTLING);
}

static void an_end_that_comes_while_it_settles_is_passed_on(void **state)
{
	(void)state;
	settle_for_ever();
	fixture_send(client, 1000);
	fake_peer_finish(client);
	fixture_pass(&fixture, 20);
	assert_true(upstream->fin_delivered);
	assert_int_equal(count(COUNTER_OFFLOAD_STAYED_ENDING), 1);
	fixture_send(upstream, 1000);
	fake_peer_finish(upstream);
	fixture_pass(&fixture, 10);
	expect_all_bytes();
	expect_closed(&fixture, CLOSE_FINISHED);
}

static void a_reset_that_comes_while_it_settles_is_passed_on(void **state)
{
	(void)state;
	settle_for_ever();
	fixture_send(upstream, 1000);
	fake_peer_reset(upstream);
	fixture_pass(&fixture, 20);
	assert_int_equal(count(COUNTER_OFFLOAD_STAYED_ENDING), 1);
	expect_all(client, upstream, 0);
	expect_closed(&fixture, CLOSE_UPSTREAM_RESET);
	expect_end(client, FAKE_CLOSED_RESET);
	assert_false(client->fin_delivered);
}

/* As a try begins: the upstream resets, and the client sends something before it hears of that. */
static int break_off(void *done, enum fake_call call)
{
	if (call != FAKE_UNREAD || *(bool *)done)
		return 0;
	*(bool *)done = true;
	fake_peer_reset(upstream);
	fixture_send(client, 500);
	return 0;
}

/* Who writes to a dead socket is told why, once. The rest must not look like an orderly end. */
static void a_reset_that_a_try_was_told_of_is_no_orderly_end(void **state)
{
	bool done = false;

	(void)state;
	exchange(2);
	fixture.fake.fault = break_off;
	fixture.fake.context = &done;
	fixture_send(upstream, 10);
	fixture_pass(&fixture, 1000);
	assert_true(done);
	expect_closed(&fixture, CLOSE_UPSTREAM_RESET);
	assert_false(client->fin_delivered);
	expect_end(client, FAKE_CLOSED_RESET);
}

static void one_that_is_closed_while_it_settles_is_forgotten(void **state)
{
	(void)state;
	settle_for_ever();
	tcp_session_close(fixture_session(&fixture), CLOSE_KILLED);
	fixture_settle(&fixture);
	assert_int_equal(fake_datapath_count(&kernel), 0);
	expect_closed(&fixture, CLOSE_KILLED);
	expect_end(client, FAKE_CLOSED_RESET);
	expect_end(upstream, FAKE_CLOSED_RESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_few_exchanges_bring_it_to_the_kernel),
		TEST(a_short_session_never_gets_near_it),
		TEST_ALONE(what_is_not_wanted_is_not_watched),
		TEST(what_is_on_its_way_is_delivered_before_the_sockets_go),
		TEST(connection_tracking_is_told_where_there_is_an_interface),
		TEST(what_comes_in_at_the_last_moment_is_not_lost),
		cmocka_unit_test(what_comes_in_at_any_moment_of_a_try_is_not_lost),
		TEST(after_some_late_tries_it_settles),
		TEST(a_stalled_reader_gets_everything_after_it_did_not_settle),
		TEST(what_a_full_socket_left_is_written_while_it_settles),
		TEST(one_side_that_takes_nothing_does_not_stop_the_other),
		TEST(a_stream_to_the_upstream_is_handed_over),
		TEST(a_stream_to_the_client_is_handed_over),
		TEST(bytes_that_were_passed_on_unread_are_counted_once),
		TEST(an_end_that_comes_while_it_settles_is_passed_on),
		TEST(a_reset_that_comes_while_it_settles_is_passed_on),
		TEST(a_reset_that_a_try_was_told_of_is_no_orderly_end),
		TEST(one_that_is_closed_while_it_settles_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
