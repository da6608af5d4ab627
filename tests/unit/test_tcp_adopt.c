/* SPDX-License-Identifier: MIT */
/*
 * Sessions that outlive a process: what the next one finds, takes over and numbers; and clients
 * that come again from a place of which the kernel still carries a session.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_plugin.h"
#include "offload/heritage.h"
#include "os/wall_clock.h"
#include "relay/tcp.h"
#include "tcp_handoff.h"

static unsigned allocations_left = UINT32_MAX;

void *__real_calloc(size_t number, size_t size);
void *__wrap_calloc(size_t number, size_t size);

void *__wrap_calloc(size_t number, size_t size)
{
	if (allocations_left == 0)
		return NULL;
	allocations_left--;
	return __real_calloc(number, size);
}

/* As if another process had handed it over, and stopped. */
static int start_left(void **state)
{
	start_session(state);
	hand_off();
	tcp_offload_leave(&fixture.relay);
	fixture_settle(&fixture);
	fixture.relay.leaving = false;
	fixture.relay.counters = (struct counter_set){0};
	return 0;
}

#define TEST_LEFT(name) cmocka_unit_test_setup_teardown(name, start_left, stop)

static void adopt(void)
{
	struct heritage heritage;

	assert_int_equal(heritage_find(&heritage, &kernel.datapath), 0);
	relay_number_after(&fixture.relay, heritage.last, 0);
	for (size_t i = 0; i < heritage.sessions.count; i++)
		tcp_adopt(&fixture.relay, heritage.sessions.ids[i]);
	heritage_finish(&heritage);
	fixture_settle(&fixture);
}

static void the_next_process_takes_it_over(void **state)
{
	struct tcp_session *session;

	(void)state;
	carried()->record.started -= 100;
	adopt();
	session = fixture_session(&fixture);
	assert_non_null(session);
	assert_int_equal(session->id, 1);
	assert_int_equal(session->state, TCP_OFFLOADED);
	assert_int_equal(count(COUNTER_OFFLOAD_ADOPTED), 1);
	assert_true(fixture.relay.loop.now - session->started >= 100000);
	assert_int_equal(session->client_address.port, 40000);
	assert_int_equal(session->balancer.port, 50000);
	assert_int_equal(session->destination_address.port, 443);
	assert_int_equal(session->header_version, 1);
	assert_int_equal(atomic_load(&fixture.sessions.used), 1);
	assert_int_equal(atomic_load(&fixture.descriptors.used), 0);
	exchange(3);
	fixture_pass(&fixture, LOOK);
	assert_int_equal(session->up.bytes, client->in.length - FIXTURE_V1_SIZE);
	assert_int_equal(session->down.bytes, upstream->in.length);
	expect_all_bytes();
}

static void its_silence_is_as_old_as_it_is(void **state)
{
	(void)state;
	fixture_pass(&fixture, 50000);
	carried()->record.started -= 1000;
	fixture.settings.idle_timeout = 60000;
	adopt();
	fixture_pass(&fixture, 5000);
	assert_int_equal(session_state(), TCP_OFFLOADED);
	fixture_pass(&fixture, 5100);
	expect_closed(&fixture, CLOSE_IDLE_TIMEOUT);
}

static void one_that_was_taken_over_ends_as_any(void **state)
{
	(void)state;
	adopt();
	fake_peer_reset(client);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_CLIENT_RESET);
	assert_true(upstream->saw_reset);
}

static struct fake_plugins plugins;
static struct fake_plugin *const plugin = &plugins.plugins[0];

static int start_left_by_plugins(void **state)
{
	start(state);
	fixture_use_plugins(&fixture, &plugins, 1);
	fixture_open(&fixture, &client, &upstream);
	hand_off();
	tcp_offload_leave(&fixture.relay);
	fixture_settle(&fixture);
	fixture.relay.leaving = false;
	fixture.relay.counters = (struct counter_set){0};
	assert_int_equal(plugin->asked, 1);
	assert_int_equal(plugin->closed, 0);
	fake_plugins_lose_visits(&plugins);
	return 0;
}

#define TEST_PLUGINS(name) cmocka_unit_test_setup_teardown(name, start_left_by_plugins, stop)

static void plugins_hear_of_its_end_once_in_the_next_process(void **state)
{
	(void)state;
	adopt();
	fixture_send(client, 1000);
	fake_peer_reset(client);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_CLIENT_RESET);
	assert_int_equal(plugin->closed, 1);
	assert_int_equal(plugin->end.flags, MMPROXY_END_ADOPTED | MMPROXY_END_CONNECTED);
	assert_int_equal(plugin->end.bytes_from_client, client->in.length - FIXTURE_V1_SIZE);
	assert_int_equal(plugin->conn.header, 1);
	assert_int_equal(plugin->conn.client.port, 40000);
}

static void one_that_was_taken_over_can_be_killed(void **state)
{
	(void)state;
	adopt();
	tcp_session_close(fixture_session(&fixture), CLOSE_KILLED);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_KILLED);
	assert_true(client->saw_reset && upstream->saw_reset);
}

static void one_that_ended_meanwhile_is_accounted_for(void **state)
{
	(void)state;
	kernel.lose_events = true;
	fixture_send(client, 1000);
	fake_peer_finish(client);
	fake_peer_finish(upstream);
	adopt();
	fixture_pass(&fixture, 10);
	expect_closed(&fixture, CLOSE_FINISHED);
	assert_true(client->fin_delivered && upstream->fin_delivered);
}

/* The process that had the bytes has died with them. */
static void one_that_waits_for_bytes_that_nobody_has_is_ended(void **state)
{
	(void)state;
	fixture.settings.keepalive = 0;
	carried()->sent[OFFLOAD_UPSTREAM] = upstream->out.length + 10;
	adopt();
	fixture_pass(&fixture, 20000);
	assert_int_equal(session_state(), TCP_OFFLOADED);
	fixture_pass(&fixture, 15500);
	expect_closed(&fixture, CLOSE_UPSTREAM_UNRESPONSIVE);
	assert_true(client->saw_reset && upstream->saw_reset);
}

static void sessions_that_were_not_handed_over_are_forgotten(void **state)
{
	struct heritage heritage;

	(void)state;
	exchange(2);
	assert_int_equal(fake_datapath_count(&kernel), 1);
	assert_int_equal(heritage_find(&heritage, &kernel.datapath), 0);
	assert_int_equal(heritage.sessions.count, 0);
	assert_int_equal(heritage.last, 1);
	assert_int_equal(fake_datapath_count(&kernel), 0);
	heritage_finish(&heritage);
}

static void new_sessions_are_numbered_above(void **state)
{
	struct fake_carried *only;

	(void)state;
	only = carried();
	only->id = 41;
	adopt();
	assert_int_equal(relay_new_session_id(&fixture.relay), 42);
}

static void workers_number_above_and_beside_each_other(void **state)
{
	(void)state;
	fixture.relay.worker_count = 3;
	for (unsigned worker = 0; worker < 3; worker++) {
		relay_number_after(&fixture.relay, 41, worker);
		assert_true(relay_new_session_id(&fixture.relay) > 41);
		assert_int_equal((fixture.relay.last_session - 1) % 3, worker);
		assert_true(fixture.relay.last_session <= 41 + 6);
	}
	fixture.relay.worker_count = 1;
}

static void where_nothing_was_left_the_first_is_the_first(void **state)
{
	(void)state;
	adopt();
	assert_int_equal(relay_new_session_id(&fixture.relay), 1);
}

static void one_of_a_listener_that_is_gone_ends(void **state)
{
	(void)state;
	strcpy(carried()->record.listener, "gone");
	adopt();
	assert_null(fixture_session(&fixture));
	assert_true(client->saw_reset && upstream->saw_reset);
	/* For good: the one after the next process does not meet it again. */
	assert_int_equal(fake_datapath_count(&kernel), 0);
	assert_int_equal(count(COUNTER_OFFLOAD_ADOPTED), 0);
}

static void one_that_there_is_no_memory_for_ends(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		if (i > 0)
			start_left(state);
		allocations_left = i;
		adopt();
		allocations_left = UINT32_MAX;
		assert_null(fixture_session(&fixture));
		assert_true(client->saw_reset && upstream->saw_reset);
		assert_int_equal(fake_datapath_count(&kernel), 0);
		assert_int_equal(atomic_load(&fixture.descriptors.used), 0);
		if (i == 0)
			fixture_stop(&fixture);
	}
}

static void without_memory_for_its_plugins_it_ends(void **state)
{
	(void)state;
	allocations_left = 1;
	adopt();
	allocations_left = UINT32_MAX;
	assert_null(fixture_session(&fixture));
	assert_true(client->saw_reset && upstream->saw_reset);
	assert_int_equal(fake_datapath_count(&kernel), 0);
	assert_int_equal(atomic_load(&fixture.descriptors.used), 0);
	assert_int_equal(plugin->closed, 0);
}

static void it_counts_among_the_clients_sessions(void **state)
{
	struct fake_socket *another;

	(void)state;
	fixture.settings.max_sessions_per_client = 1;
	adopt();
	another = fake_incoming(fixture.listening, "192.0.2.1:50001");
	fake_peer_send(another, "PROXY TCP4 203.0.113.9 198.51.100.1 40001 443\r\n", 47);
	fixture_settle(&fixture);
	assert_int_equal(fixture_closed(&fixture, CLOSE_CLIENT_LIMIT), 1);
	tcp_session_close(fixture_session(&fixture), CLOSE_KILLED);
	fixture_settle(&fixture);
	another = fake_incoming(fixture.listening, "192.0.2.1:50002");
	fake_peer_send(another, "PROXY TCP4 203.0.113.9 198.51.100.1 40002 443\r\n", 47);
	fixture_settle(&fixture);
	assert_int_equal(fixture_closed(&fixture, CLOSE_CLIENT_LIMIT), 1);
}

/* The client comes again from the same address and port, through another connection. */
static struct fake_socket *come_again(void)
{
	struct fake_socket *again = fake_incoming(fixture.listening, "192.0.2.1:50009");

	fake_peer_send(again, FIXTURE_V1, FIXTURE_V1_SIZE);
	fixture_settle(&fixture);
	return again;
}

static void a_client_that_comes_again_replaces_itself(void **state)
{
	struct fake_socket *old_client, *old_upstream;

	(void)state;
	hand_off();
	old_client = client;
	old_upstream = upstream;
	client = come_again();
	upstream = fake_dialled(&fixture.fake);
	assert_ptr_not_equal(upstream, old_upstream);
	assert_int_equal(fixture_closed(&fixture, CLOSE_REPLACED), 1);
	assert_true(old_client->saw_reset && old_upstream->saw_reset);
	assert_int_equal(fixture_session(&fixture)->id, 2);
	hand_off();
	assert_int_equal(count(COUNTER_OFFLOADED), 2);
	expect_all_bytes();
}

/* What is left of a finished one is in nobody's way. */
static void a_client_that_comes_again_after_the_end_is_another(void **state)
{
	(void)state;
	hand_off();
	fake_peer_finish(client);
	fake_peer_finish(upstream);
	fixture_settle(&fixture);
	client = come_again();
	upstream = fake_dialled(&fixture.fake);
	assert_int_equal(fixture_closed(&fixture, CLOSE_FINISHED), 1);
	assert_int_equal(kernel.calls[FAKE_REVIVE], 0);
	hand_off();
	expect_all_bytes();
	fixture_pass(&fixture, 11000);
	assert_int_equal(fake_datapath_count(&kernel), 1);
	exchange(1);
	expect_all_bytes();
}

/* It has sockets, so the dial hears of it. */
static void a_relayed_twin_is_the_dials_concern(void **state)
{
	(void)state;
	exchange(2);
	assert_int_equal(session_state(), TCP_RELAY);
	fixture.fake.twin_port = 40000;
	come_again();
	assert_int_equal(fixture_closed(&fixture, CLOSE_REPLACED), 0);
	assert_int_equal(kernel.calls[FAKE_END], 0);
	assert_false(client->saw_reset);
	fixture.fake.twin_port = 0;
	exchange(2);
	expect_all_bytes();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_LEFT(the_next_process_takes_it_over),
		TEST_LEFT(its_silence_is_as_old_as_it_is),
		TEST_LEFT(one_that_was_taken_over_ends_as_any),
		TEST_PLUGINS(plugins_hear_of_its_end_once_in_the_next_process),
		TEST_PLUGINS(without_memory_for_its_plugins_it_ends),
		TEST_LEFT(one_that_was_taken_over_can_be_killed),
		TEST_LEFT(one_that_ended_meanwhile_is_accounted_for),
		TEST_LEFT(one_that_waits_for_bytes_that_nobody_has_is_ended),
		TEST(sessions_that_were_not_handed_over_are_forgotten),
		TEST_LEFT(new_sessions_are_numbered_above),
		TEST_ALONE(workers_number_above_and_beside_each_other),
		TEST_ALONE(where_nothing_was_left_the_first_is_the_first),
		TEST_LEFT(one_of_a_listener_that_is_gone_ends),
		TEST_LEFT(one_that_there_is_no_memory_for_ends),
		TEST_LEFT(it_counts_among_the_clients_sessions),
		TEST(a_client_that_comes_again_replaces_itself),
		TEST(a_client_that_comes_again_after_the_end_is_another),
		TEST(a_relayed_twin_is_the_dials_concern),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
