/* SPDX-License-Identifier: MIT */
/*
 * A session that the kernel carries: what is counted of it, how it ends, and who is told.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay/session_view.h"
#include "relay/tcp.h"
#include "tcp_handoff.h"

#define LINGER 11000

static int start_carried(void **state)
{
	start_session(state);
	hand_off();
	return 0;
}

#define TEST_CARRIED(name) cmocka_unit_test_setup_teardown(name, start_carried, stop)

/* The state in which the sockets still wait for acknowledgements; from the client, or upstream. */
static void move_only(struct fake_socket *silent)
{
	exchange(1);
	silent->hold_acks = true;
	exchange(4);
	assert_int_equal(session_state(), TCP_MOVED);
}

static void expect_reset(const struct fake_socket *socket)
{
	assert_int_equal(socket->closed, FAKE_CLOSED_RESET);
	assert_true(socket->saw_reset);
	assert_false(socket->fin_delivered);
}

static void kill(enum close_reason reason)
{
	tcp_session_close(fixture_session(&fixture), reason);
	fixture_settle(&fixture);
	expect_closed(&fixture, reason);
}

/* Figures. */

static void its_bytes_are_counted_at_every_look(void **state)
{
	struct tcp_session *session = fixture_session(&fixture);

	(void)state;
	fixture_send(client, 100000);
	fixture_send(upstream, 300000);
	fixture_pass(&fixture, LOOK);
	assert_int_equal(session->up.bytes, client->in.length - FIXTURE_V1_SIZE);
	assert_int_equal(session->down.bytes, upstream->in.length);
	assert_int_equal(count(COUNTER_BYTES_FROM_CLIENT), session->up.bytes);
	assert_int_equal(count(COUNTER_BYTES_FROM_UPSTREAM), session->down.bytes);
	expect_all_bytes();
}

static void whoever_asks_sees_them_at_once(void **state)
{
	static const struct session_filter all;
	struct session_list list;

	(void)state;
	fixture_send(client, 100000);
	session_list_init(&list, 10);
	assert_int_equal(session_list_fill(&list, &fixture.relay, &all), 0);
	assert_int_equal(list.count, 1);
	assert_string_equal(list.views[0].state, "offloaded");
	assert_int_equal(list.views[0].bytes_from_client, client->in.length - FIXTURE_V1_SIZE);
	session_list_finish(&list);
}

static void an_end_is_no_byte(void **state)
{
	uint64_t up = client->in.length - FIXTURE_V1_SIZE, down = upstream->in.length;

	(void)state;
	fake_peer_finish(client);
	fixture_pass(&fixture, LOOK);
	fixture_send(upstream, 5000);
	fake_peer_finish(upstream);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_FINISHED);
	assert_int_equal(count(COUNTER_BYTES_FROM_CLIENT), up);
	assert_int_equal(count(COUNTER_BYTES_FROM_UPSTREAM), down + 5000);
}

/* What the sockets took before the move, and was lost, is no less for it. */
static void figures_never_go_back(void **state)
{
	struct tcp_session *session = fixture_session(&fixture);
	uint64_t down;

	(void)state;
	move_only(client);
	down = session->down.bytes;
	tcp_offload_look(session);
	assert_int_equal(session->down.bytes, down);
	fixture_send(upstream, 1000);
	tcp_offload_look(session);
	assert_int_equal(session->down.bytes, down);
	client->hold_acks = false;
	fake_network(client);
	tcp_offload_look(session);
	assert_int_equal(session->down.bytes, upstream->in.length);
	assert_int_equal(count(COUNTER_BYTES_FROM_UPSTREAM), upstream->in.length);
}

/* Ends that the kernel tells of. */

static void both_sides_finish(void **state)
{
	(void)state;
	fixture_send(client, 7000);
	fake_peer_finish(client);
	assert_true(upstream->fin_delivered);
	fixture_pass(&fixture, LOOK);
	assert_int_equal(session_state(), TCP_OFFLOADED);
	fixture_send(upstream, 9000);
	fake_peer_finish(upstream);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_FINISHED);
	expect_all_bytes();
	assert_true(client->fin_delivered);
	assert_false(client->saw_reset || upstream->saw_reset);
	assert_int_equal(kernel.calls[FAKE_REVIVE], 0);
}

static void late_packets_find_their_way_for_a_while(void **state)
{
	(void)state;
	fake_peer_finish(client);
	fake_peer_finish(upstream);
	fixture_pass(&fixture, 9000);
	expect_closed(&fixture, CLOSE_FINISHED);
	assert_int_equal(fake_datapath_count(&kernel), 1);
	fixture_pass(&fixture, LINGER - 9000);
	assert_int_equal(fake_datapath_count(&kernel), 0);
}

static void the_client_resets(void **state)
{
	(void)state;
	fake_peer_reset(client);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_CLIENT_RESET);
	assert_true(upstream->saw_reset);
	assert_int_equal(kernel.calls[FAKE_REVIVE], 0);
}

static void the_upstream_resets(void **state)
{
	(void)state;
	fake_peer_reset(upstream);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_UPSTREAM_RESET);
	assert_true(client->saw_reset);
}

static void a_new_connection_of_the_balancer_replaces_it(void **state)
{
	(void)state;
	fake_datapath_begin_another(carried(), OFFLOAD_BALANCER);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_REPLACED);
	assert_true(upstream->saw_reset);
	assert_int_equal(kernel.calls[FAKE_REVIVE], 0);
}

/* Anybody may send one, who knows the addresses. */
static void a_syn_alone_replaces_nothing(void **state)
{
	(void)state;
	carried()->noted.legs[OFFLOAD_BALANCER].seen |= OFFLOAD_SEEN_SYN;
	fixture_pass(&fixture, LOOK);
	assert_int_equal(session_state(), TCP_OFFLOADED);
	fake_peer_finish(client);
	fake_peer_finish(upstream);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_FINISHED);
}

static void an_end_that_nobody_tells_of_is_found(void **state)
{
	(void)state;
	kernel.lose_events = true;
	fixture_send(client, 3000);
	fake_peer_reset(upstream);
	fixture_settle(&fixture);
	assert_int_equal(session_state(), TCP_OFFLOADED);
	fixture_pass(&fixture, LOOK);
	expect_closed(&fixture, CLOSE_UPSTREAM_RESET);
}

static void an_end_while_the_sockets_still_wait_is_one(void **state)
{
	(void)state;
	move_only(client);
	fake_peer_reset(upstream);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_UPSTREAM_RESET);
	assert_int_equal(client->closed, FAKE_ABANDONED);
}

static void an_end_of_a_stranger_is_nobodys(void **state)
{
	(void)state;
	tcp_offload_ended(&fixture.relay, 12345);
	tcp_offload_ended(&fixture.relay, fixture_session(&fixture)->id);
	fixture_settle(&fixture);
	assert_int_equal(session_state(), TCP_OFFLOADED);
}

static void a_session_that_the_kernel_knows_nothing_of_is_over(void **state)
{
	(void)state;
	fake_datapath_fail(&kernel, FAKE_LOOK, 1, -ENOENT);
	fixture_pass(&fixture, LOOK);
	expect_closed(&fixture, CLOSE_SYSTEM_ERROR);
	fixture_pass(&fixture, LINGER);
	assert_int_equal(fake_datapath_count(&kernel), 0);
}

/* Ends that somebody here wants. */

static void both_ends_of_one_that_is_killed_are_told(void **state)
{
	(void)state;
	kill(CLOSE_KILLED);
	expect_reset(client);
	expect_reset(upstream);
	assert_int_equal(fixture.fake.open, 1);
	fixture_pass(&fixture, LINGER);
	assert_int_equal(fake_datapath_count(&kernel), 0);
}

static void one_that_is_killed_while_its_sockets_wait_is_told(void **state)
{
	(void)state;
	move_only(upstream);
	kill(CLOSE_KILLED);
	expect_reset(client);
	expect_reset(upstream);
}

static void an_end_here_counts_what_came_since_the_last_look(void **state)
{
	(void)state;
	fixture_send(client, 5000);
	kill(CLOSE_KILLED);
	assert_int_equal(count(COUNTER_BYTES_FROM_CLIENT), client->in.length - FIXTURE_V1_SIZE);
}

static void one_end_that_cannot_be_told_does_not_keep_the_other_from_it(void **state)
{
	(void)state;
	fake_datapath_fail(&kernel, FAKE_REVIVE, 1, -EMFILE);
	kill(CLOSE_KILLED);
	assert_int_equal(client->closed, FAKE_ABANDONED);
	expect_reset(upstream);
	/* It hears when it says something. */
	fixture_send(client, 1);
	assert_true(client->saw_reset);
}

static void without_its_record_it_ends_all_the_same(void **state)
{
	(void)state;
	fake_datapath_fail(&kernel, FAKE_READ_RECORD, 1, -ENOENT);
	kill(CLOSE_KILLED);
	fixture_pass(&fixture, LINGER);
	assert_int_equal(fake_datapath_count(&kernel), 0);
	fixture_send(upstream, 1);
	assert_true(upstream->saw_reset);
}

/* mmproxy stops. */

static void what_the_kernel_carries_is_left_to_it(void **state)
{
	(void)state;
	fixture_send(upstream, 4000);
	tcp_offload_leave(&fixture.relay);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_LEFT_TO_KERNEL);
	assert_int_equal(count(COUNTER_BYTES_FROM_UPSTREAM), upstream->in.length);
	assert_int_equal(fake_datapath_count(&kernel), 1);
	fixture_send(client, 1000);
	fixture_send(upstream, 1000);
	expect_all_bytes();
	assert_false(client->saw_reset || client->fin_delivered || upstream->saw_reset);
}

static void one_that_goes_over_while_mmproxy_stops_is_left_too(void **state)
{
	(void)state;
	exchange(2);
	tcp_offload_leave(&fixture.relay);
	exchange(2);
	fixture_pass(&fixture, 10);
	expect_closed(&fixture, CLOSE_LEFT_TO_KERNEL);
	assert_int_equal(fake_datapath_count(&kernel), 1);
	expect_all_bytes();
}

static void one_whose_sockets_wait_is_not_left_before_they_need_not(void **state)
{
	(void)state;
	move_only(client);
	tcp_offload_leave(&fixture.relay);
	fixture_pass(&fixture, 1000);
	assert_int_equal(session_state(), TCP_MOVED);
	client->hold_acks = false;
	fake_network(client);
	fixture_pass(&fixture, 200);
	expect_closed(&fixture, CLOSE_LEFT_TO_KERNEL);
	expect_all_bytes();
}

static void a_shutdown_that_leaves_nothing_tells_both_ends(void **state)
{
	(void)state;
	tcp_close_all(&fixture.relay);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_SHUTDOWN);
	expect_reset(client);
	expect_reset(upstream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_CARRIED(its_bytes_are_counted_at_every_look),
		TEST_CARRIED(whoever_asks_sees_them_at_once),
		TEST_CARRIED(an_end_is_no_byte),
		TEST(figures_never_go_back),
		TEST_CARRIED(both_sides_finish),
		TEST_CARRIED(late_packets_find_their_way_for_a_while),
		TEST_CARRIED(the_client_resets),
		TEST_CARRIED(the_upstream_resets),
		TEST_CARRIED(a_new_connection_of_the_balancer_replaces_it),
		TEST_CARRIED(a_syn_alone_replaces_nothing),
		TEST_CARRIED(an_end_that_nobody_tells_of_is_found),
		TEST(an_end_while_the_sockets_still_wait_is_one),
		TEST_CARRIED(an_end_of_a_stranger_is_nobodys),
		TEST_CARRIED(a_session_that_the_kernel_knows_nothing_of_is_over),
		TEST_CARRIED(both_ends_of_one_that_is_killed_are_told),
		TEST(one_that_is_killed_while_its_sockets_wait_is_told),
		TEST_CARRIED(an_end_here_counts_what_came_since_the_last_look),
		TEST_CARRIED(one_end_that_cannot_be_told_does_not_keep_the_other_from_it),
		TEST_CARRIED(without_its_record_it_ends_all_the_same),
		TEST_CARRIED(what_the_kernel_carries_is_left_to_it),
		TEST(one_that_goes_over_while_mmproxy_stops_is_left_too),
		TEST(one_whose_sockets_wait_is_not_left_before_they_need_not),
		TEST_CARRIED(a_shutdown_that_leaves_nothing_tells_both_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
