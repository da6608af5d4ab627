/* SPDX-License-Identifier: MIT */
/*
 * Many flows in one batch: who has to leave when there is no room, and that nothing of what has
 * come for the one or the other is lost, doubled or turned around by that. And that batches are
 * what they are for: few calls.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "udp_talk.h"

#define SLOTS 64 /* UDP_RECEIVER_SLOTS */

static int start_with_room_for(unsigned flows_max)
{
	return talk_start(UDP_FRAMING_EVERY, flows_max);
}

static int start_with_1(void **state)
{
	(void)state;
	return start_with_room_for(1);
}

static int start_with_3(void **state)
{
	(void)state;
	return start_with_room_for(3);
}

static int start_with_10(void **state)
{
	(void)state;
	return start_with_room_for(10);
}

static unsigned receive_calls(void)
{
	return fixture.fake.calls[FAKE_UDP_RECVMMSG];
}

static unsigned send_calls(void)
{
	return fixture.fake.calls[FAKE_UDP_SENDMMSG];
}

/* The client is heard of a second time after an answer: its flow is alive. */
static void assure(const char *client)
{
	send_as(client, "hello");
	settle();
	answer(client, "welcome");
	settle();
	send_as(client, "thanks");
	settle();
	EXPECT_HEARD(client, "hello|thanks|");
	EXPECT_REPLIES(UDP_BALANCER, "welcome|");
}

/* One datagram each of `count` clients, all of one batch as far as there are slots. */
static void flood(unsigned first, unsigned clients)
{
	for (unsigned i = first; i < first + clients; i++)
		send_as(client_name(i), "x");
	settle();
}

static void open_and_hear(unsigned clients)
{
	flood(0, clients);
	for (unsigned i = 0; i < clients; i++)
		EXPECT_HEARD(client_name(i), "x|");
}

static void with_room_for_three_a_batch_of_fifty_clients_reaches_the_upstream(void **state)
{
	(void)state;
	flood(0, 50);
	for (unsigned i = 0; i < 50; i++)
		EXPECT_HEARD(client_name(i), "x|");
	expect_silence();
	assert_int_equal(flows(), 3);
	expect_closed(CLOSE_FLOW_EVICTED, 47);
	assert_int_equal(receive_calls(), 1);
	/* The last ones live on. */
	for (unsigned i = 47; i < 50; i++)
		assert_non_null(socket_for(client_name(i)));
}

static void a_client_that_had_to_leave_in_the_batch_comes_back_in_order(void **state)
{
	static const char *const text[] = {"a", "b", "c", "d", "e", "f"};

	(void)state;
	for (unsigned round = 0; round < 6; round++) {
		for (unsigned i = 0; i < 7; i++)
			send_as(client_name(i), text[round]);
	}
	settle();
	assert_int_equal(receive_calls(), 1);
	for (unsigned i = 0; i < 7; i++)
		EXPECT_HEARD(client_name(i), "a|b|c|d|e|f|");
	expect_silence();
	assert_int_equal(flows(), 3);
}

static void with_room_for_one_two_clients_take_turns(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		send_as(client_name(0), "ping");
		send_as(client_name(0), "pong");
		send_as(client_name(1), "tick");
	}
	settle();
	EXPECT_HEARD(client_name(0), "ping|pong|ping|pong|ping|pong|ping|pong|ping|pong|");
	EXPECT_HEARD(client_name(1), "tick|tick|tick|tick|tick|");
	expect_silence();
}

static void a_flood_does_not_push_out_who_is_alive(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 9; i++)
		assure(client_name(i));
	for (unsigned i = 0; i < 10; i++)
		flood(100 + 50 * i, 50);
	for (unsigned i = 0; i < 9; i++)
		assert_non_null(socket_for(client_name(i)));
	assert_int_equal(flows(), 10);
}

/* An answer alone does not do: a spoofed client gets those, too. */
static void who_was_only_answered_leaves_before_who_has_spoken_again(void **state)
{
	(void)state;
	assure(client_name(0));
	send_as(client_name(1), "hello");
	send_as(client_name(2), "hello");
	settle();
	answer(client_name(1), "welcome");
	settle();
	flood(3, 1);
	assert_null(socket_for(client_name(2)));
	flood(4, 1);
	assert_null(socket_for(client_name(1)));
	assert_non_null(socket_for(client_name(0)));
}

static void of_those_alive_the_one_that_is_silent_for_longest_leaves(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assure(client_name(i));
		pass(10);
	}
	send_as(client_name(0), "x");
	settle();
	pass(10);
	answer(client_name(1), "x");
	settle();
	pass(10);
	flood(3, 1);
	assert_null(socket_for(client_name(2)));
	assert_non_null(socket_for(client_name(0)));
	assert_non_null(socket_for(client_name(1)));
}

/* Both are ready in one round: the victim's answers are read, and then the listener's batch. */
static void what_a_victim_has_answered_in_the_same_round_gets_back(void **state)
{
	(void)state;
	open_and_hear(3);
	for (unsigned i = 0; i < 3; i++)
		answer(client_name(i), "last words");
	for (unsigned i = 3; i < 6; i++)
		send_as(client_name(i), "x");
	fixture.event_start = 1;
	assert_true(udp_fixture_round(&fixture));
	EXPECT_REPLIES(UDP_BALANCER, "last words|last words|last words|");
	for (unsigned i = 3; i < 6; i++)
		EXPECT_HEARD(client_name(i), "x|");
	expect_silence();
	expect_closed(CLOSE_FLOW_EVICTED, 3);
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_UPSTREAM), 3);
}

/* The other way round the event is stale: nothing may touch the flow any more. */
static void an_event_for_a_flow_that_has_just_left_does_no_harm(void **state)
{
	(void)state;
	open_and_hear(3);
	for (unsigned i = 0; i < 3; i++)
		answer(client_name(i), "too late");
	for (unsigned i = 3; i < 6; i++)
		send_as(client_name(i), "x");
	assert_true(udp_fixture_round(&fixture));
	assert_int_equal(fixture.fake.unread, 3);
	for (unsigned i = 3; i < 6; i++)
		EXPECT_HEARD(client_name(i), "x|");
	expect_silence();
	assert_int_equal(flows(), 3);
}

static void datagrams_of_one_flow_leave_as_one_run(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		send_as(client_name(0), "all of them alike");
		send_as(client_name(1), "and these between");
	}
	settle();
	assert_int_equal(receive_calls(), 1);
	assert_int_equal(send_calls(), 2);
	assert_int_equal(fixture.fake.sent_count, 40);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(fixture.fake.sent[i].of, 20);
}

static void what_many_upstreams_answer_leaves_in_one_call(void **state)
{
	unsigned calls;

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		send_as(client_name(i), "x");
	settle();
	calls = send_calls();
	for (unsigned i = 0; i < 10; i++) {
		answer(client_name(i), "one");
		answer(client_name(i), "two");
	}
	settle();
	assert_int_equal(send_calls(), calls + 1);
	EXPECT_REPLIES(UDP_BALANCER, "one|two|one|two|one|two|one|two|one|two|one|two|one|two|"
				     "one|two|one|two|one|two|");
}

/* More than slots, runs and pieces there are. */
static void answers_of_any_number_get_back_in_order(void **state)
{
	size_t due = 0;

	(void)state;
	for (unsigned i = 0; i < 300; i++)
		send_via(UDP_BALANCER, client_name(i), UDP_DESTINATION, "x");
	settle();
	for (unsigned i = 0; i < 300; i++) {
		struct fake_udp_socket *socket = socket_for(client_name(i));

		for (uint32_t j = 0; j < i % 5; j++, due++) {
			const uint32_t answers[2] = {i, j};

			/* A byte less now and then, so that there are runs of every kind. */
			fake_udp_arrive(socket, &socket->peer, answers, 8 - i / 5 % 2 * j % 2);
		}
	}
	settle();
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_UPSTREAM), due);
	assert_int_equal(fixture.fake.sent_count, 300 + due);
	for (uint32_t i = 0, at = 0; i < 300; i++) {
		for (uint8_t j = 0; j < i % 5; j++, at++) {
			const struct fake_udp_sent *sent = &fixture.fake.sent[300 + at];

			assert_memory_equal(sent->bytes, &i, 4);
			assert_int_equal(sent->bytes[4], j);
		}
	}
}

/* Many small ones that the kernel has joined: more than can be pending, or sent at once. */
static void a_burst_of_any_size_gets_there_in_order(void **state)
{
	size_t header = SPP_LENGTH;
	static uint8_t bytes[64 * (SPP_LENGTH + 4)];

	(void)state;
	for (uint32_t buffer = 0; buffer < SLOTS; buffer++) {
		size_t length = 0;

		for (uint32_t i = 0; i < 64; i++) {
			uint32_t number = buffer * 64 + i;

			/* Three clients by turns, two datagrams each time. */
			header = write_header(bytes + length, client_name(i / 2 % 3),
					      UDP_DESTINATION);
			memcpy(bytes + length + header, &number, 4);
			length += header + 4;
		}
		balancer_sends(UDP_BALANCER, bytes, length)->segment = header + 4;
	}
	settle();
	assert_int_equal(receive_calls(), 1);
	assert_int_equal(fixture.fake.sent_count, SLOTS * 64);
	for (unsigned client = 0; client < 3; client++) {
		const struct address from = udp_fixture_address(client_name(client));
		uint32_t last = 0, heard = 0;

		for (size_t i = 0; i < fixture.fake.sent_count; i++) {
			const struct fake_udp_sent *sent = &fixture.fake.sent[i];
			uint32_t number;

			if (!address_equal(&sent->from, &from))
				continue;
			memcpy(&number, sent->bytes, 4);
			assert_int_equal(number % 64 / 2 % 3, client);
			assert_true(heard++ == 0 || number > last);
			last = number;
		}
		assert_int_equal(heard, SLOTS * (client < 1 ? 22 : client < 2 ? 22 : 20));
	}
}

/* The room of the last pending ones is used again for a client that is pending already. */
static void the_largest_burst_of_one_client_gets_there_in_order(void **state)
{
	static uint8_t bytes[64 * (28 + 4)];

	(void)state;
	for (uint32_t buffer = 0; buffer < 20; buffer++) {
		size_t length = 0;

		for (uint32_t i = 0; i < 64; i++) {
			uint8_t header[UDP_HEADER_MAX];
			uint32_t number = buffer * 64 + i;

			write_header(header, client_name(0), UDP_DESTINATION);
			memcpy(bytes + length, header, 28);
			memcpy(bytes + length + 28, &number, 4);
			length += 32;
		}
		balancer_sends(UDP_BALANCER, bytes, length)->segment = 32;
	}
	settle();
	assert_int_equal(fixture.fake.sent_count, 20 * 64);
	for (uint32_t i = 0; i < 20 * 64; i++)
		assert_memory_equal(fixture.fake.sent[i].bytes, &i, 4);
}

/* A path with a small MTU: the kernel is asked once, and runs are left alone from then on. */
static void a_flow_whose_runs_are_refused_makes_no_more_of_them(void **state)
{
	unsigned calls;

	(void)state;
	fixture.fake.run_error = -EIO;
	for (unsigned i = 0; i < 4; i++)
		send_as(client_name(0), "same");
	settle();
	EXPECT_HEARD(client_name(0), "same|same|same|same|");
	calls = send_calls();
	for (unsigned i = 0; i < 4; i++)
		send_as(client_name(0), "same");
	settle();
	EXPECT_HEARD(client_name(0), "same|same|same|same|");
	assert_int_equal(send_calls(), calls + 1);
	/* Of one flow alone, and one direction. */
	fixture.fake.run_error = 0;
	for (unsigned i = 0; i < 4; i++) {
		send_as(client_name(1), "same");
		answer(client_name(0), "back");
	}
	settle();
	EXPECT_HEARD(client_name(1), "same|same|same|same|");
	assert_int_equal(fixture.fake.sent[fixture.fake.sent_count - 1].of, 4);
	assert_int_equal(fixture.fake.sent[fixture.fake.sent_count - 5].of, 4);
}

static void a_flow_whose_runs_of_answers_are_refused_makes_no_more_of_them(void **state)
{
	unsigned calls;

	(void)state;
	send_as(client_name(0), "hello");
	send_as(client_name(1), "hello");
	settle();
	fixture.fake.run_error = -EINVAL;
	for (unsigned i = 0; i < 3; i++)
		answer(client_name(0), "same");
	settle();
	EXPECT_REPLIES(UDP_BALANCER, "same|same|same|");
	calls = send_calls();
	fixture.fake.run_error = 0;
	for (unsigned i = 0; i < 3; i++)
		answer(client_name(0), "same");
	for (unsigned i = 0; i < 3; i++)
		answer(client_name(1), "else");
	settle();
	EXPECT_REPLIES(UDP_BALANCER, "same|same|same|else|else|else|");
	assert_int_equal(send_calls(), calls + 1);
	assert_int_equal(fixture.fake.sent[fixture.fake.sent_count - 6].of, 1);
	assert_int_equal(fixture.fake.sent[fixture.fake.sent_count - 1].of, 3);
}

int main(void)
{
#define TEST(name, start) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(with_room_for_three_a_batch_of_fifty_clients_reaches_the_upstream,
		     start_with_3),
		TEST(a_client_that_had_to_leave_in_the_batch_comes_back_in_order, start_with_3),
		TEST(with_room_for_one_two_clients_take_turns, start_with_1),
		TEST(a_flood_does_not_push_out_who_is_alive, start_with_10),
		TEST(who_was_only_answered_leaves_before_who_has_spoken_again, start_with_3),
		TEST(of_those_alive_the_one_that_is_silent_for_longest_leaves, start_with_3),
		TEST(what_a_victim_has_answered_in_the_same_round_gets_back, start_with_3),
		TEST(an_event_for_a_flow_that_has_just_left_does_no_harm, start_with_3),
		TEST(datagrams_of_one_flow_leave_as_one_run, start_every),
		TEST(what_many_upstreams_answer_leaves_in_one_call, start_every),
		TEST(answers_of_any_number_get_back_in_order, start_every),
		TEST(a_burst_of_any_size_gets_there_in_order, start_spp),
		TEST(the_largest_burst_of_one_client_gets_there_in_order, start_every),
		TEST(a_flow_whose_runs_are_refused_makes_no_more_of_them, start_every),
		TEST(a_flow_whose_runs_of_answers_are_refused_makes_no_more_of_them, start_every),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
