/* SPDX-License-Identifier: MIT */
/* UDP flows that the kernel carries: when they are handed over, what comes back, when they end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "udp_handoff.h"

/* Where the daemon hears of replies that the kernel leaves to it. */
static struct fake_udp_socket *spill_socket(void)
{
	for (struct list *link = fixture.fake.sockets.next; link != &fixture.fake.sockets;
	     link = link->next) {
		struct fake_udp_socket *socket = container_of(link, struct fake_udp_socket, link);

		if (fake_udp_option(socket, IPPROTO_IP, FAKE_UDP_RECVORIGDSTADDR) == 1)
			return socket;
	}
	fail_msg("there is no such socket");
	return NULL;
}

static void spill(const char *text)
{
	const struct address upstream = udp_fixture_address(UDP_UPSTREAM);

	fake_udp_arrive(spill_socket(), &upstream, text, strlen(text))->to =
		udp_fixture_address(UDP_CLIENT);
	settle();
}

static void a_flow_that_goes_both_ways_is_handed_over(void **state)
{
	(void)state;
	talk(UDP_BALANCER, 4);
	assert_int_equal(fake_udp_datapath_count(&kernel), 0);
	talk(UDP_BALANCER, 1);
	assert_int_equal(fake_udp_datapath_count(&kernel), 1);
	assert_non_null(socket_for(UDP_CLIENT));
	pass(SETTLED);
	assert_null(socket_for(UDP_CLIENT));
	assert_int_equal(count(COUNTER_OFFLOAD_UDP_MOVED), 1);
	assert_int_equal(flows(), 1);
}

static void one_that_comes_back_is_handed_over_later(void **state)
{
	(void)state;
	hand_over();
	talk(OTHER_BALANCER, 30);
	assert_int_equal(fake_udp_datapath_count(&kernel), 0);
	assert_int_equal(count(COUNTER_OFFLOAD_UDP_RETURNED), 1);
	talk(OTHER_BALANCER, 10);
	assert_int_equal(fake_udp_datapath_count(&kernel), 1);
}

static void where_it_is_no_longer_wanted_none_is_handed_over(void **state)
{
	(void)state;
	talk(UDP_BALANCER, 2);
	fixture.settings.offload = false;
	talk(UDP_BALANCER, 20);
	assert_int_equal(fake_udp_datapath_count(&kernel), 0);
}

static void nor_is_one_that_has_come_back(void **state)
{
	(void)state;
	hand_over();
	fixture.settings.offload = false;
	talk(OTHER_BALANCER, 100);
	assert_int_equal(count(COUNTER_OFFLOAD_UDP_RETURNED), 1);
	assert_int_equal(count(COUNTER_OFFLOAD_UDP_MOVED), 1);
	assert_int_equal(fake_udp_datapath_count(&kernel), 0);
}

static void what_the_kernel_leaves_to_us_keeps_a_flow_alive(void **state)
{
	(void)state;
	hand_over();
	EXPECT_REPLIES(UDP_BALANCER, "answer|answer|answer|answer|answer|");
	for (unsigned i = 0; i < 3; i++) {
		pass(40000);
		spill("large");
		EXPECT_REPLIES(UDP_BALANCER, "large|");
	}
	pass(59000);
	assert_int_equal(flows(), 1);
	pass(2000);
	expect_closed(CLOSE_IDLE_TIMEOUT, 1);
	assert_int_equal(fake_udp_datapath_count(&kernel), 0);
}

static void the_kernel_waits_for_a_second_longer_than_we_do(void **state)
{
	(void)state;
	hand_over();
	assert_int_equal(carried()->flow.idle, 61000000000);
}

/* It may be left to the kernel while we are away. */
static void also_while_the_listener_drains(void **state)
{
	(void)state;
	talk(UDP_BALANCER, 4);
	udp_listener_drain(fixture.listener);
	hand_over();
	assert_int_equal(carried()->flow.idle, 61000000000);
}

/* Its balancer has failed over, and the flow goes on in another worker. */
static void one_that_has_moved_is_not_left_to_the_kernel(void **state)
{
	(void)state;
	hand_over();
	send_to = second;
	talk(OTHER_BALANCER, 1);
	assert_int_equal(flows(), 2);
	leave();
	assert_int_equal(flows(), 1);
	expect_closed(CLOSE_FLOW_MOVED, 1);
	assert_int_equal(fake_udp_datapath_count(&kernel), 0);
}

static void nor_is_one_that_moves_as_it_is_handed_over(void **state)
{
	(void)state;
	talk(UDP_BALANCER, 5);
	assert_int_equal(count(COUNTER_OFFLOAD_UDP_MOVED), 1);
	send_to = second;
	talk(OTHER_BALANCER, 1);
	leave();
	expect_closed(CLOSE_FLOW_MOVED, 1);
	assert_int_equal(fake_udp_datapath_count(&kernel), 0);
}

static void one_that_has_moved_ends_at_the_next_look(void **state)
{
	(void)state;
	hand_over();
	send_to = second;
	talk(OTHER_BALANCER, 1);
	assert_int_equal(flows(), 2);
	pass(2000);
	assert_int_equal(flows(), 1);
	expect_closed(CLOSE_FLOW_MOVED, 1);
	assert_non_null(socket_for(UDP_CLIENT));
}

/* Another worker takes the claim over as a socket is being connected for this flow. */
static int move_meanwhile(void *context, enum fake_udp_call call)
{
	struct udp_claim *rival = context;

	if (call == FAKE_UDP_CONNECT) {
		assert_int_equal(udp_claim_make(&fixture.claims, rival), UDP_CLAIM_TAKEN_OVER);
		udp_claim_drop(&fixture.claims, rival);
	}
	return 0;
}

static void one_that_moves_as_it_comes_back_leaves_no_socket(void **state)
{
	struct udp_claim rival = {
		.client = udp_fixture_address(UDP_CLIENT),
		.upstream = udp_fixture_address(UDP_UPSTREAM),
		.destination = udp_fixture_address(UDP_DESTINATION),
		.listener = fixture.settings.listener_name,
	};

	(void)state;
	hand_over();
	fixture.fake.fault = move_meanwhile;
	fixture.fake.context = &rival;
	send_via(OTHER_BALANCER, UDP_CLIENT, UDP_DESTINATION, "question");
	settle();
	fixture.fake.fault = NULL;
	expect_closed(CLOSE_FLOW_MOVED, 1);
	assert_null(socket_for(UDP_CLIENT));
	assert_int_equal(flows(), 0);
}

int main(void)
{
#define TEST(name)        cmocka_unit_test_setup_teardown(name, start_handoff, stop)
#define TEST_OF_TWO(name) cmocka_unit_test_setup_teardown(name, start_handoff_of_two, stop)
	const struct CMUnitTest tests[] = {
		TEST(a_flow_that_goes_both_ways_is_handed_over),
		TEST(one_that_comes_back_is_handed_over_later),
		TEST(where_it_is_no_longer_wanted_none_is_handed_over),
		TEST(nor_is_one_that_has_come_back),
		TEST(what_the_kernel_leaves_to_us_keeps_a_flow_alive),
		TEST(the_kernel_waits_for_a_second_longer_than_we_do),
		TEST(also_while_the_listener_drains),
		TEST_OF_TWO(one_that_has_moved_is_not_left_to_the_kernel),
		TEST_OF_TWO(nor_is_one_that_moves_as_it_is_handed_over),
		TEST_OF_TWO(one_that_has_moved_ends_at_the_next_look),
		TEST(one_that_moves_as_it_comes_back_leaves_no_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
