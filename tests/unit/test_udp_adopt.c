/* SPDX-License-Identifier: MIT */
/* UDP flows that outlive a process: what the next one finds, and takes over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_plugin.h"
#include "udp_handoff.h"

static void adopt_one(uint64_t id, void *context)
{
	(void)context;
	udp_adopt(&fixture.relay, id);
}

/* Another process starts. */
static void adopt(void)
{
	fixture.relay.counters = (struct counter_set){0};
	assert_int_equal(udp_datapath_each(&kernel.datapath, adopt_one, NULL), 0);
	settle();
}

static void the_next_process_takes_it_over(void **state)
{
	(void)state;
	hand_over();
	leave();
	assert_int_equal(flows(), 0);
	assert_int_equal(fake_udp_datapath_count(&kernel), 1);
	assert_int_equal(closed(CLOSE_LEFT_TO_KERNEL), 1);
	carried()->flow.from_client = (struct offload_udp_count){.datagrams = 3, .bytes = 30};
	adopt();
	assert_int_equal(flows(), 1);
	assert_int_equal(fake_udp_datapath_count(&kernel), 0);
	assert_non_null(socket_for(UDP_CLIENT));
	assert_int_equal(count(COUNTER_OFFLOAD_ADOPTED), 1);
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_CLIENT), 3);
	assert_int_equal(count(COUNTER_BYTES_FROM_CLIENT), 30);
	hand_over();
	assert_int_equal(carried()->id, 1);
}

static void plugins_hear_of_its_end_once_in_the_next_process(void **state)
{
	static struct fake_plugins plugins;
	struct fake_plugin *plugin = &plugins.plugins[0];

	(void)state;
	udp_fixture_use_plugins(&fixture, &plugins, 1);
	hand_over();
	leave();
	assert_int_equal(plugin->asked, 1);
	assert_int_equal(plugin->closed, 0);
	fake_plugins_lose_visits(&plugins);
	fake_plugins_forget(&plugins);
	adopt();
	assert_int_equal(flows(), 1);
	assert_string_equal(plugins.calls, "");
	pass(2 * 60000);
	assert_int_equal(closed(CLOSE_IDLE_TIMEOUT), 1);
	assert_int_equal(plugin->closed, 1);
	assert_int_equal(plugin->end.flags, MMPROXY_END_ADOPTED | MMPROXY_END_CONNECTED);
	assert_int_equal(plugin->conn.protocol, MMPROXY_PROTOCOL_UDP);
}

static void where_it_is_not_wanted_it_stays_a_relay(void **state)
{
	(void)state;
	hand_over();
	leave();
	fixture.settings.offload = false;
	adopt();
	assert_int_equal(count(COUNTER_OFFLOAD_ADOPTED), 1);
	talk(UDP_BALANCER, 20);
	assert_int_equal(count(COUNTER_OFFLOAD_UDP_MOVED), 0);
	assert_int_equal(fake_udp_datapath_count(&kernel), 0);
}

/* Its balancer had failed over, and the process that had both flows was killed. */
static void one_that_had_moved_is_forgotten(void **state)
{
	struct fake_udp_carried old;

	(void)state;
	hand_over();
	old = *carried();
	old.has_places = false;
	send_to = second;
	hand_over_by(OTHER_BALANCER);
	leave();
	assert_int_equal(carried()->id, 2);
	*fake_udp_datapath_place(&kernel) = old;
	adopt();
	assert_int_equal(fake_udp_datapath_count(&kernel), 0);
	assert_int_equal(count(COUNTER_OFFLOAD_ADOPTED), 1);
	assert_int_equal(flows(), 1);
	assert_int_equal(closed(CLOSE_FLOW_MOVED), 0);
	/* Its answers go where the balancer is. */
	EXPECT_REPLIES(OTHER_BALANCER, "answer|answer|answer|answer|answer|");
	answer(UDP_CLIENT, "last");
	settle();
	EXPECT_REPLIES(OTHER_BALANCER, "last|");
}

static void whose_number_is_another_workers_gets_one_of_this_one(void **state)
{
	(void)state;
	hand_over();
	leave();
	fixture.relay.worker_count = 2;
	relay_number_after(&fixture.relay, 1, 1);
	adopt();
	hand_over();
	assert_int_equal(carried()->id, 2);
}

static void whose_number_is_this_workers_keeps_it(void **state)
{
	(void)state;
	hand_over();
	leave();
	fixture.relay.worker_count = 2;
	relay_number_after(&fixture.relay, 1, 0);
	adopt();
	hand_over();
	assert_int_equal(carried()->id, 1);
}

/* What the two sockets are bound to as the flow is taken over. */
static void adopt_between(const char *first_bound, const char *second_bound)
{
	hand_over();
	leave();
	fixture.listening->bound = udp_fixture_address(first_bound);
	second->bound = udp_fixture_address(second_bound);
	adopt();
	assert_int_equal(fake_udp_datapath_count(&kernel), 0);
}

static void expect_adopted_by(const struct udp_listener *listener)
{
	assert_int_equal(flows(), 1);
	assert_int_equal(listener->flows.count, 1);
}

static void its_socket_is_the_one_of_its_address(void **state)
{
	(void)state;
	adopt_between("192.0.2.201:5353", UDP_LISTENER);
	expect_adopted_by(second_listener);
}

static void its_socket_is_the_one_of_its_port(void **state)
{
	(void)state;
	adopt_between("192.0.2.200:5354", UDP_LISTENER);
	expect_adopted_by(second_listener);
}

static void its_socket_is_the_one_of_its_family(void **state)
{
	(void)state;
	adopt_between("[::]:5353", "0.0.0.0:5353");
	expect_adopted_by(second_listener);
}

static void rather_the_one_of_its_address_than_one_of_all(void **state)
{
	(void)state;
	adopt_between("0.0.0.0:5353", UDP_LISTENER);
	expect_adopted_by(second_listener);
}

static void one_of_both_families_takes_what_came_by_one(void **state)
{
	(void)state;
	fixture.listening->bound = udp_fixture_address("[::]:5353");
	fixture.listening->dual_stack = true;
	adopt_between("[::]:5353", "0.0.0.0:5353");
	expect_adopted_by(fixture.listener);
}

static void one_whose_socket_is_gone_ends(void **state)
{
	(void)state;
	adopt_between("192.0.2.201:5353", "192.0.2.200:5354");
	assert_int_equal(flows(), 0);
	assert_int_equal(count(COUNTER_OFFLOAD_ADOPTED), 0);
}

static void one_of_another_listener_ends(void **state)
{
	(void)state;
	hand_over();
	leave();
	strcpy(carried()->record.listener, "gone");
	adopt();
	assert_int_equal(fake_udp_datapath_count(&kernel), 0);
	assert_int_equal(flows(), 0);
}

int main(void)
{
#define TEST(name)        cmocka_unit_test_setup_teardown(name, start_handoff, stop)
#define TEST_OF_TWO(name) cmocka_unit_test_setup_teardown(name, start_handoff_of_two, stop)
	const struct CMUnitTest tests[] = {
		TEST(plugins_hear_of_its_end_once_in_the_next_process),
		TEST(the_next_process_takes_it_over),
		TEST(where_it_is_not_wanted_it_stays_a_relay),
		TEST(one_of_another_listener_ends),
		TEST(whose_number_is_another_workers_gets_one_of_this_one),
		TEST(whose_number_is_this_workers_keeps_it),
		TEST_OF_TWO(one_that_had_moved_is_forgotten),
		TEST_OF_TWO(its_socket_is_the_one_of_its_address),
		TEST_OF_TWO(its_socket_is_the_one_of_its_port),
		TEST_OF_TWO(its_socket_is_the_one_of_its_family),
		TEST_OF_TWO(rather_the_one_of_its_address_than_one_of_all),
		TEST_OF_TWO(one_of_both_families_takes_what_came_by_one),
		TEST_OF_TWO(one_whose_socket_is_gone_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
