/* SPDX-License-Identifier: MIT */
/* How many flows a client may have at a UDP listener. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/denial_cache.h"
#include "udp_talk.h"

#define SAME_CLIENT       "203.0.113.9:40001" /* as UDP_CLIENT, from another port */
#define OTHER_CLIENT      "203.0.113.10:40000"
#define OTHER_BALANCER    "192.0.2.2:50001"
#define OTHER_DESTINATION "198.51.100.2:53"

static struct fake_udp_socket *second;

static int start_one_each(void **state)
{
	start_every(state);
	fixture.settings.max_sessions_per_client = 1;
	return 0;
}

static int start_one_each_first(void **state)
{
	start_first(state);
	fixture.settings.max_sessions_per_client = 1;
	return 0;
}

static int start_one_each_two_sockets(void **state)
{
	(void)state;
	send_to = NULL;
	udp_fixture_start(&fixture, UDP_FRAMING_EVERY, 1000, 2);
	fixture.settings.max_sessions_per_client = 1;
	return udp_fixture_listen(&fixture, &second) != NULL ? 0 : -1;
}

static void one_flow_more_is_refused_and_remembered(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	for (unsigned i = 0; i < 5; i++)
		send_as(SAME_CLIENT, "lost");
	send_as(OTHER_CLIENT, "two");
	send_as(UDP_CLIENT, "three");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|three|");
	EXPECT_HEARD(OTHER_CLIENT, "two|");
	assert_null(socket_for(SAME_CLIENT));
	/* The first costs a judgement, the others no more than a look. */
	assert_int_equal(closed(CLOSE_CLIENT_LIMIT), 1);
	assert_int_equal(count(COUNTER_DATAGRAMS_DROPPED_DENIED), 4);
}

static void a_flow_that_ends_makes_way_for_another(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	send_as(SAME_CLIENT, "lost");
	settle();
	pass(61000);
	assert_int_equal(flows(), 0);
	send_as(SAME_CLIENT, "two");
	settle();
	EXPECT_HEARD(SAME_CLIENT, "two|");
	assert_int_equal(closed(CLOSE_CLIENT_LIMIT), 1);
}

static void what_was_remembered_is_forgotten_in_time(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	send_as(SAME_CLIENT, "lost");
	settle();
	pass(DENIAL_CACHE_MEMORY);
	send_as(SAME_CLIENT, "lost");
	settle();
	assert_int_equal(closed(CLOSE_CLIENT_LIMIT), 2);
}

static void another_destination_is_another_flow(void **state)
{
	(void)state;
	fixture.settings.port_conflict = RELAY_PORT_CONFLICT_ANY_PORT;
	send_as(UDP_CLIENT, "one");
	send_via(UDP_BALANCER, UDP_CLIENT, OTHER_DESTINATION, "lost");
	settle();
	assert_int_equal(closed(CLOSE_CLIENT_LIMIT), 1);
	assert_int_equal(flows(), 1);
}

static void the_balancers_own_flows_are_not_counted(void **state)
{
	(void)state;
	send_via(UDP_BALANCER, NULL, UDP_DESTINATION, "one");
	send_via("192.0.2.1:50001", NULL, UDP_DESTINATION, "two");
	send_via("192.0.2.1:50002", NULL, UDP_DESTINATION, "three");
	settle();
	assert_int_equal(flows(), 3);
	assert_int_equal(closed(CLOSE_CLIENT_LIMIT), 0);
}

static void a_flow_that_could_not_be_dialled_is_not_counted(void **state)
{
	(void)state;
	fake_udp_fail(&fixture.fake, FAKE_UDP_SOCKET, 1, -ENOBUFS);
	send_as(UDP_CLIENT, "lost");
	settle();
	send_as(SAME_CLIENT, "one");
	settle();
	EXPECT_HEARD(SAME_CLIENT, "one|");
	assert_int_equal(closed(CLOSE_CLIENT_LIMIT), 0);
}

static void without_a_limit_nobody_is_counted(void **state)
{
	(void)state;
	fixture.settings.max_sessions_per_client = 0;
	send_as(UDP_CLIENT, "one");
	send_as(SAME_CLIENT, "two");
	settle();
	assert_int_equal(flows(), 2);
	for (size_t i = 0; i <= fixture.client_counts.mask; i++)
		assert_null(fixture.client_counts.buckets[i]);
}

/* The balancer failed over, and the kernel gave it another worker's socket. */
static void a_flow_that_moves_to_another_worker_is_none_more(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		send_to = NULL;
		send_as(UDP_CLIENT, "here");
		settle();
		send_to = second;
		send_via(OTHER_BALANCER, UDP_CLIENT, UDP_DESTINATION, "there");
		settle();
	}
	EXPECT_HEARD(UDP_CLIENT, "here|there|here|there|here|there|");
	assert_int_equal(closed(CLOSE_CLIENT_LIMIT), 0);
	/* Which lets nobody else in. */
	send_as(SAME_CLIENT, "lost");
	settle();
	assert_int_equal(closed(CLOSE_CLIENT_LIMIT), 1);
}

static void a_flow_that_is_announced_anew_is_none_more(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	settle();
	send_via(OTHER_BALANCER, UDP_CLIENT, UDP_DESTINATION, "two");
	settle();
	send_bare(OTHER_BALANCER, "three");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|two|three|");
	assert_int_equal(closed(CLOSE_CLIENT_LIMIT), 0);
}

static void a_port_that_is_given_to_the_same_client_again_is_no_flow_more(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	send_as(SAME_CLIENT, "two");
	settle();
	EXPECT_HEARD(SAME_CLIENT, "two|");
	assert_int_equal(closed(CLOSE_FLOW_REPLACED), 1);
	assert_int_equal(closed(CLOSE_CLIENT_LIMIT), 0);
}

int main(void)
{
#define EVERY(name) cmocka_unit_test_setup_teardown(name, start_one_each, stop)
#define FIRST(name) cmocka_unit_test_setup_teardown(name, start_one_each_first, stop)
#define TWO(name)   cmocka_unit_test_setup_teardown(name, start_one_each_two_sockets, stop)
	const struct CMUnitTest tests[] = {
		EVERY(one_flow_more_is_refused_and_remembered),
		EVERY(a_flow_that_ends_makes_way_for_another),
		EVERY(what_was_remembered_is_forgotten_in_time),
		EVERY(another_destination_is_another_flow),
		EVERY(the_balancers_own_flows_are_not_counted),
		EVERY(a_flow_that_could_not_be_dialled_is_not_counted),
		EVERY(without_a_limit_nobody_is_counted),
		TWO(a_flow_that_moves_to_another_worker_is_none_more),
		FIRST(a_flow_that_is_announced_anew_is_none_more),
		FIRST(a_port_that_is_given_to_the_same_client_again_is_no_flow_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
