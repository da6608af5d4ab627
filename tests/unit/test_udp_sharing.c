/* SPDX-License-Identifier: MIT */
/* A UDP listener's sockets, each of which a worker has: who of them speaks for a client? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "udp_talk.h"

#define OTHER_BALANCER    "192.0.2.2:50001"
#define OTHER_CLIENT      "203.0.113.10:40000"
#define OTHER_DESTINATION "198.51.100.2:53"

/* Another socket of the listener, as another worker has it. */
static struct fake_udp_socket *second;
static struct udp_listener *second_listener;

static int start_two(enum udp_framing framing, unsigned max_flows)
{
	send_to = NULL;
	udp_fixture_start(&fixture, framing, max_flows, 2);
	second_listener = udp_fixture_listen(&fixture, &second);
	return second_listener != NULL ? 0 : -1;
}

static int start_every_two(void **state)
{
	(void)state;
	return start_two(UDP_FRAMING_EVERY, 1000);
}

static int start_first_two(void **state)
{
	(void)state;
	return start_two(UDP_FRAMING_FIRST, 1000);
}

/* By which socket the next datagrams come. */
static void by(struct fake_udp_socket *socket)
{
	send_to = socket;
}

static void a_client_that_comes_by_another_worker_has_its_flow_there(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	settle();
	by(second);
	send_via(OTHER_BALANCER, UDP_CLIENT, UDP_DESTINATION, "two");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|two|");
	assert_int_equal(count(COUNTER_PORT_CONFLICTS), 0);
	assert_int_equal(second_listener->flows.count, 1);
	answer(UDP_CLIENT, "here");
	settle();
	EXPECT_REPLIES(OTHER_BALANCER, "here|");
	assert_int_equal(udp_fixture_claims(&fixture), 1);
}

static void a_client_that_comes_back_begins_anew(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		by(NULL);
		send_as(UDP_CLIENT, "one");
		send_as(UDP_CLIENT, "two");
		settle();
		by(second);
		send_as(UDP_CLIENT, "three");
		send_as(UDP_CLIENT, "four");
		settle();
	}
	EXPECT_HEARD(UDP_CLIENT, "one|two|three|four|one|two|three|four|one|two|three|four|");
	expect_closed(CLOSE_FLOW_MOVED, 4);
	assert_int_equal(flows(), 2);
	assert_int_equal(udp_fixture_claims(&fixture), 1);
}

static void what_has_only_a_sender_begins_anew_as_well(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	settle();
	by(second);
	send_as(UDP_CLIENT, "two");
	settle();
	by(NULL);
	send_bare(UDP_BALANCER, "three");
	send_bare(UDP_BALANCER, "four");
	settle();
	by(second);
	send_as(UDP_CLIENT, "five");
	send_bare(UDP_BALANCER, "six");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|two|three|four|five|six|");
	answer(UDP_CLIENT, "here");
	settle();
	EXPECT_REPLIES(UDP_BALANCER, "here|");
	assert_int_equal(flows(), 2);
	assert_int_equal(udp_fixture_claims(&fixture), 1);
	assert_int_equal(count(COUNTER_PORT_CONFLICTS), 0);
	expect_closed(CLOSE_FLOW_MOVED, 2);
}

/* In the middle of a batch, between two datagrams that are alike. */
static void a_claim_that_is_lost_within_a_batch_is_noticed(void **state)
{
	struct udp_claim thief = {
		.client = udp_fixture_address(UDP_CLIENT),
		.upstream = udp_fixture_address(UDP_UPSTREAM),
		.destination = udp_fixture_address(UDP_DESTINATION),
		.listener = "test",
	};

	(void)state;
	send_as(UDP_CLIENT, "one");
	settle();
	assert_int_equal(udp_claim_make(&fixture.claims, &thief), UDP_CLAIM_TAKEN_OVER);
	send_as(UDP_CLIENT, "two");
	send_as(UDP_CLIENT, "three");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|two|three|");
	expect_closed(CLOSE_FLOW_MOVED, 1);
	assert_true(udp_claim_is_lost(&thief));
	udp_claim_drop(&fixture.claims, &thief);
}

/* Between two that are alike, while others of the batch are being sent. */
static struct udp_claim thief;

static int steal(void *context, enum fake_udp_call call)
{
	(void)context;
	if (call == FAKE_UDP_SENDMMSG && !thief.stands && !udp_claim_is_lost(&thief))
		udp_claim_make(&fixture.claims, &thief);
	return 0;
}

static void a_claim_that_is_lost_between_two_alike_is_noticed(void **state)
{
	const unsigned joined_count = 60, buffers = 10;

	(void)state;
	thief = (struct udp_claim){
		.client = udp_fixture_address(UDP_CLIENT),
		.upstream = udp_fixture_address(UDP_UPSTREAM),
		.destination = udp_fixture_address(UDP_DESTINATION),
		.listener = "test",
	};
	fixture.fake.fault = steal;
	for (unsigned i = 0; i < buffers; i++) {
		for (unsigned j = 0; j < joined_count; j++)
			join(UDP_CLIENT, "x");
		put_joined(29);
	}
	settle();
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_CLIENT), joined_count * buffers);
	expect_closed(CLOSE_FLOW_MOVED, 1);
	assert_true(udp_claim_is_lost(&thief));
}

static void the_flow_that_was_left_behind_ends_without_harm(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	settle();
	by(second);
	for (unsigned i = 0; i < 3; i++) {
		send_as(UDP_CLIENT, "two");
		pass(30000);
	}
	assert_int_equal(flows(), 1);
	expect_closed(CLOSE_IDLE_TIMEOUT, 1);
	assert_int_equal(udp_fixture_claims(&fixture), 1);
	/* The claim still keeps others away. */
	send_via(UDP_BALANCER, UDP_CLIENT, OTHER_DESTINATION, "three");
	settle();
	assert_int_equal(count(COUNTER_PORT_CONFLICTS), 1);
}

static void a_drained_worker_gives_its_client_up(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "one");
	settle();
	by(second);
	send_as(UDP_CLIENT, "two");
	settle();
	udp_listener_drain(fixture.listener);
	by(NULL);
	send_as(UDP_CLIENT, "three");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|two|");
	expect_silence();
	expect_closed(CLOSE_FLOW_MOVED, 1);
	assert_int_equal(count(COUNTER_DATAGRAMS_DROPPED_DRAINING), 1);
	assert_int_equal(flows(), 1);
}

static void answers_leave_by_the_socket_that_was_asked(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		by(i % 2 == 0 ? NULL : second);
		send_as(client_name(i), "x");
	}
	settle();
	for (unsigned i = 0; i < 8; i++)
		answer(client_name(i), "y");
	settle();
	assert_int_equal(fixture.fake.sent_count, 16);
	for (unsigned i = 8; i < 16; i++) {
		const struct fake_udp_sent *sent = &fixture.fake.sent[i];
		unsigned here = 0;

		assert_true(sent->socket == fixture.listening || sent->socket == second);
		for (unsigned j = 8; j < 16; j++)
			here += fixture.fake.sent[j].socket == sent->socket;
		assert_int_equal(here, 4);
	}
}

static void one_of_two_listeners_can_end(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "x");
	by(second);
	send_as(OTHER_CLIENT, "x");
	settle();
	answer(UDP_CLIENT, "y");
	settle();
	udp_listener_destroy(fixture.listener);
	fixture.listener = NULL;
	answer(OTHER_CLIENT, "z");
	settle();
	EXPECT_REPLIES(UDP_BALANCER, "y|z|");
	/* Its timer is gone with it. */
	pass(100000);
	assert_int_equal(closed(CLOSE_SHUTDOWN), 1);
	assert_int_equal(closed(CLOSE_IDLE_TIMEOUT), 1);
}

static void another_listener_s_flow_keeps_the_client_s_port(void **state)
{
	struct relay_settings other = fixture.settings;

	(void)state;
	other.listener_name = "other";
	udp_listener_set_settings(second_listener, &other);
	send_as(UDP_CLIENT, "one");
	by(second);
	send_as(UDP_CLIENT, "two");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|");
	assert_int_equal(count(COUNTER_PORT_CONFLICTS), 1);
	assert_int_equal(flows(), 2);
	udp_fixture_unlisten(&fixture, second_listener);
}

int main(void)
{
#define TEST(name, start) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(a_client_that_comes_by_another_worker_has_its_flow_there, start_every_two),
		TEST(a_client_that_comes_back_begins_anew, start_every_two),
		TEST(what_has_only_a_sender_begins_anew_as_well, start_first_two),
		TEST(a_claim_that_is_lost_within_a_batch_is_noticed, start_every),
		TEST(a_claim_that_is_lost_between_two_alike_is_noticed, start_every),
		TEST(the_flow_that_was_left_behind_ends_without_harm, start_every_two),
		TEST(a_drained_worker_gives_its_client_up, start_every_two),
		TEST(answers_leave_by_the_socket_that_was_asked, start_every_two),
		TEST(one_of_two_listeners_can_end, start_every_two),
		TEST(another_listener_s_flow_keeps_the_client_s_port, start_every_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
