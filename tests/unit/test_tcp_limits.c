/* SPDX-License-Identifier: MIT */
/*
 * What a listener's sessions may be at most: how many each client has, how many wait for their
 * header, and who makes room where there is none.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "relay/tcp_listener.h"
#include "relay/tcp_session.h"
#include "tcp_talk.h"

#define V2_LOCAL "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
#define HALF     "PROXY TCP4 203.0.113.9"

static struct fake_socket *clients[1000];

static struct fake_socket *say(unsigned which, const void *bytes, size_t length)
{
	clients[which] = fake_incoming(fixture.listening, FIXTURE_BALANCER);
	if (length > 0)
		fake_peer_send(clients[which], bytes, length);
	fixture_settle(&fixture);
	return clients[which];
}

/* A client of this address, and a port of its own. */
static struct fake_socket *come(unsigned which, const char *family, const char *ip)
{
	char header[107];
	int length = snprintf(header, sizeof(header), "PROXY %s %s %s %u 443\r\n", family, ip,
			      family[3] == '6' ? "2001:db8::1" : "198.51.100.1", 40000 + which);

	return say(which, header, (size_t)length);
}

static struct fake_socket *wait_silently(unsigned which)
{
	return say(which, NULL, 0);
}

static struct fake_socket *wait_half(unsigned which)
{
	return say(which, HALF, sizeof(HALF) - 1);
}

static bool is_open(unsigned which)
{
	return clients[which]->closed == FAKE_OPEN;
}

static uint64_t evicted(void)
{
	return fixture_closed(&fixture, CLOSE_HEADER_EVICTED);
}

static uint64_t limited(void)
{
	return fixture_closed(&fixture, CLOSE_CLIENT_LIMIT);
}

/* max_sessions_per_client. */

static void a_client_may_have_so_many_sessions(void **state)
{
	(void)state;
	fixture.settings.max_sessions_per_client = 2;
	for (unsigned i = 0; i < 3; i++)
		come(i, "TCP4", "203.0.113.9");
	come(3, "TCP4", "203.0.113.10");
	assert_true(is_open(0) && is_open(1) && is_open(3));
	assert_int_equal(limited(), 1);
	expect_end(clients[2], FAKE_CLOSED_ORDERLY);
	assert_int_equal(fake_dial_count(&fixture.fake), 3);
	/* One that ends makes way for the next. */
	fake_peer_reset(clients[0]);
	fixture_settle(&fixture);
	come(4, "TCP4", "203.0.113.9");
	assert_true(is_open(4));
	assert_int_equal(limited(), 1);
}

static void a_64_of_ipv6_is_one_client(void **state)
{
	(void)state;
	fixture.settings.max_sessions_per_client = 1;
	come(0, "TCP6", "2001:db8:7::1");
	come(1, "TCP6", "2001:db8:7::2");
	come(2, "TCP6", "2001:db8:7:1::1");
	assert_true(is_open(0) && is_open(2));
	assert_false(is_open(1));
	assert_int_equal(limited(), 1);
}

static void the_balancers_own_sessions_are_not_counted(void **state)
{
	(void)state;
	fixture.settings.max_sessions_per_client = 1;
	for (unsigned i = 0; i < 3; i++)
		say(i, V2_LOCAL, sizeof(V2_LOCAL) - 1);
	for (unsigned i = 3; i < 6; i++)
		say(i, "PROXY UNKNOWN\r\n", 15);
	/* Nor is the client whose address is the balancer's. */
	come(6, "TCP4", "192.0.2.1");
	for (unsigned i = 0; i < 7; i++)
		assert_true(is_open(i));
	assert_int_equal(limited(), 0);
}

static void a_session_that_comes_to_nothing_is_not_counted_any_more(void **state)
{
	(void)state;
	fixture.settings.max_sessions_per_client = 1;
	fake_fail(&fixture.fake, FAKE_SOCKET, 1, -ENOBUFS);
	come(0, "TCP4", "203.0.113.9");
	assert_false(is_open(0));
	come(1, "TCP4", "203.0.113.9");
	assert_true(is_open(1));
	assert_int_equal(limited(), 0);
}

/* What was counted stays counted, whatever the settings of those that come later are. */
static void a_new_limit_is_for_new_sessions(void **state)
{
	static struct relay_settings newer;

	(void)state;
	fixture.settings.max_sessions_per_client = 3;
	for (unsigned i = 0; i < 3; i++)
		come(i, "TCP4", "203.0.113.9");
	newer = fixture.settings;
	newer.max_sessions_per_client = 2;
	tcp_listener_set_settings(fixture.listener, &newer, &fixture.sessions,
				  &fixture.header_queue);
	assert_true(is_open(0) && is_open(1) && is_open(2));
	come(3, "TCP4", "203.0.113.9");
	assert_int_equal(limited(), 1);
	for (unsigned i = 0; i < 2; i++) {
		fake_peer_reset(clients[i]);
		fixture_settle(&fixture);
	}
	come(4, "TCP4", "203.0.113.9");
	assert_true(is_open(4));
	newer.max_sessions_per_client = 0;
	come(5, "TCP4", "203.0.113.9");
	assert_true(is_open(5));
	assert_int_equal(limited(), 1);
}

/* max_waiting_headers. */

static void the_one_that_has_waited_longest_makes_room(void **state)
{
	(void)state;
	fixture.settings.max_waiting_headers = 3;
	wait_half(0);
	wait_silently(1);
	wait_half(2);
	assert_int_equal(evicted(), 0);
	wait_silently(3);
	assert_int_equal(evicted(), 1);
	assert_false(is_open(0));
	wait_half(4);
	assert_int_equal(evicted(), 2);
	assert_false(is_open(1));
	assert_true(is_open(2) && is_open(3) && is_open(4));
	assert_int_equal(fixture.header_queue.count, 3);
}

static void whoever_has_sent_the_header_does_not_wait_any_more(void **state)
{
	(void)state;
	fixture.settings.max_waiting_headers = 2;
	wait_half(0);
	wait_silently(1);
	fake_peer_send(clients[0], " 198.51.100.1 40000 443\r\n", 25);
	fake_peer_send(clients[1], FIXTURE_V1, 30);
	fixture_settle(&fixture);
	assert_int_equal(fixture.header_queue.count, 1);
	for (unsigned i = 2; i < 10; i++)
		wait_silently(i);
	assert_true(is_open(0));
	assert_false(is_open(1));
	assert_int_equal(evicted(), 7);
}

static void a_header_that_comes_at_once_never_waits(void **state)
{
	(void)state;
	fixture.settings.max_waiting_headers = 1;
	wait_half(0);
	for (unsigned i = 1; i < 50; i++)
		come(i, "TCP4", "203.0.113.9");
	assert_true(is_open(0));
	assert_int_equal(evicted(), 0);
	assert_int_equal(fixture.header_queue.count, 1);
}

static void those_that_leave_or_expire_are_not_counted(void **state)
{
	(void)state;
	fixture.settings.max_waiting_headers = 2;
	wait_half(0);
	wait_half(1);
	fake_peer_close(clients[1]);
	fixture_settle(&fixture);
	wait_half(2);
	assert_int_equal(evicted(), 0);
	fixture_pass(&fixture, 6000);
	assert_int_equal(fixture_closed(&fixture, CLOSE_HEADER_TIMEOUT), 2);
	assert_int_equal(fixture.header_queue.count, 0);
	wait_half(3);
	wait_half(4);
	assert_int_equal(evicted(), 0);
}

static void a_header_that_was_refused_waits_no_more(void **state)
{
	(void)state;
	fixture.settings.max_waiting_headers = 1;
	wait_half(0);
	fake_peer_send(clients[0], " nonsense\r\n", 11);
	fixture_settle(&fixture);
	assert_false(is_open(0));
	wait_half(1);
	assert_int_equal(evicted(), 0);
}

static void without_a_limit_all_may_wait(void **state)
{
	(void)state;
	fixture.settings.max_waiting_headers = 0;
	for (unsigned i = 0; i < 1000; i++)
		wait_silently(i);
	assert_int_equal(evicted(), 0);
	assert_int_equal(fixture.header_queue.count, 1000);
}

static void workers_have_equal_parts_of_the_limit(void **state)
{
	(void)state;
	fixture.relay.worker_count = 4;
	fixture.settings.max_waiting_headers = 10;
	for (unsigned i = 0; i < 5; i++)
		wait_silently(i);
	assert_int_equal(evicted(), 2);
	assert_int_equal(fixture.header_queue.count, 3);
	/* At least one. */
	fixture.settings.max_waiting_headers = 1;
	wait_silently(5);
	assert_int_equal(fixture.header_queue.count, 1);
	assert_true(is_open(5));
}

static void a_lower_limit_holds_with_the_next_that_waits(void **state)
{
	(void)state;
	fixture.settings.max_waiting_headers = 100;
	for (unsigned i = 0; i < 100; i++)
		wait_silently(i);
	fixture.settings.max_waiting_headers = 10;
	wait_silently(100);
	assert_int_equal(fixture.header_queue.count, 10);
	assert_int_equal(evicted(), 91);
	assert_false(is_open(90));
	assert_true(is_open(91));
}

static void the_lines_about_a_flood_are_limited(void **state)
{
	(void)state;
	fixture.settings.max_waiting_headers = 1;
	for (unsigned i = 0; i < 500; i++)
		wait_silently(i);
	assert_int_equal(evicted(), 499);
	assert_int_equal(count(COUNTER_LOG_SUPPRESSED), 499 - LOG_LIMITER_BURST);
}

/* Room. */

static void set_limit_of(struct budget *budget, unsigned limit)
{
	atomic_store(&budget->limit, limit);
}

static void expect_that_half_headers_make_room(struct budget *budget)
{
	set_limit_of(budget, 3);
	for (unsigned i = 0; i < 3; i++)
		wait_half(i);
	/* Not at once: each of them may be about to send the rest. */
	come(3, "TCP4", "203.0.113.9");
	assert_int_equal(evicted(), 0);
	assert_int_equal(count(COUNTER_ACCEPT_PAUSED), 1);
	fixture_pass(&fixture, HEADER_QUEUE_GRACE + 25);
	assert_int_equal(evicted(), 1);
	assert_int_equal(fake_dial_count(&fixture.fake), 1);
	assert_false(is_open(0));
	assert_true(is_open(1) && is_open(2) && is_open(3));
	/* Not for somebody who does not come. */
	fixture_pass(&fixture, 1000);
	assert_int_equal(evicted(), 1);
	/* And from now on without a pause. */
	come(4, "TCP4", "203.0.113.9");
	assert_int_equal(evicted(), 2);
	assert_int_equal(count(COUNTER_ACCEPT_PAUSED), 1);
	come(5, "TCP4", "203.0.113.9");
	assert_int_equal(fake_dial_count(&fixture.fake), 3);
	assert_int_equal(evicted(), 3);
	assert_int_equal(count(COUNTER_ACCEPT_PAUSED), 1);
	/* Those that are served make none. */
	come(6, "TCP4", "203.0.113.9");
	fixture_pass(&fixture, 10000);
	assert_int_equal(evicted(), 3);
	assert_int_equal(fake_dial_count(&fixture.fake), 3);
	assert_true(is_open(3) && is_open(4) && is_open(5));
}

static void half_headers_make_room_for_want_of_descriptors(void **state)
{
	(void)state;
	expect_that_half_headers_make_room(&fixture.descriptors);
}

static void half_headers_make_room_for_want_of_sessions(void **state)
{
	(void)state;
	expect_that_half_headers_make_room(&fixture.sessions);
}

/* Not so many honest ones are outstanding at a time. */
static void a_crowd_has_less_time(void **state)
{
	(void)state;
	set_limit_of(&fixture.descriptors, HEADER_QUEUE_FEW + 1);
	for (unsigned i = 0; i <= HEADER_QUEUE_FEW; i++)
		wait_silently(i);
	fixture_pass(&fixture, HEADER_QUEUE_GRACE_CROWDED - 1);
	come(100, "TCP4", "203.0.113.9");
	assert_int_equal(evicted(), 0);
	fixture_pass(&fixture, 50);
	assert_int_equal(evicted(), 1);
	/* Few are left. */
	come(101, "TCP4", "203.0.113.9");
	assert_int_equal(evicted(), 1);
	fixture_pass(&fixture, HEADER_QUEUE_GRACE);
	assert_int_equal(evicted(), 2);
}

/* However many come: those that live have their turn, too. */
static void room_is_not_made_faster_than_live_sessions_bear(void **state)
{
	(void)state;
	set_limit_of(&fixture.descriptors, 300);
	for (unsigned i = 0; i < 300; i++)
		wait_silently(i);
	fixture_pass(&fixture, HEADER_QUEUE_GRACE);
	for (unsigned i = 300; i < 500; i++) {
		clients[i] = fake_incoming(fixture.listening, FIXTURE_BALANCER);
		fake_peer_send(clients[i], FIXTURE_V1, FIXTURE_V1_SIZE);
	}
	fixture_settle(&fixture);
	assert_int_equal(evicted(), 64);
	assert_int_equal(fake_dial_count(&fixture.fake), 64);
	assert_int_equal(count(COUNTER_ACCEPT_PAUSED), 1);
	for (unsigned i = 0; i < 20; i++)
		fixture_pass(&fixture, 10);
	assert_int_equal(evicted(), 200);
	assert_int_equal(fake_dial_count(&fixture.fake), 200);
	assert_true(is_open(200));
}

/* A worker that had no CPU is told of who waits to be accepted before it is told of the header. */
static void one_whose_header_has_come_meanwhile_makes_no_room(void **state)
{
	(void)state;
	set_limit_of(&fixture.sessions, 1);
	wait_silently(0);
	clients[1] = fake_incoming(fixture.listening, FIXTURE_BALANCER);
	fake_peer_send(clients[0], FIXTURE_V1, FIXTURE_V1_SIZE);
	fixture.relay.loop.now += HEADER_QUEUE_GRACE;
	fixture_settle(&fixture);
	assert_int_equal(evicted(), 0);
	assert_int_equal(count(COUNTER_ACCEPT_PAUSED), 1);
	assert_int_equal(fake_dial_count(&fixture.fake), 1);
	assert_true(is_open(0));
}

/* The next one, who has nothing to say, does. */
static void the_silent_one_behind_it_makes_room(void **state)
{
	(void)state;
	set_limit_of(&fixture.sessions, 2);
	wait_silently(0);
	wait_silently(1);
	clients[2] = fake_incoming(fixture.listening, FIXTURE_BALANCER);
	fake_peer_send(clients[0], FIXTURE_V1, FIXTURE_V1_SIZE);
	fixture.relay.loop.now += HEADER_QUEUE_GRACE;
	fixture_settle(&fixture);
	assert_int_equal(evicted(), 1);
	assert_false(is_open(1));
	assert_true(is_open(0) && is_open(2));
	assert_int_equal(count(COUNTER_ACCEPT_PAUSED), 0);
}

static void nor_does_it_go_for_the_limit_while_others_are_silent(void **state)
{
	(void)state;
	fixture.settings.max_waiting_headers = 2;
	wait_silently(0);
	wait_silently(1);
	clients[2] = fake_incoming(fixture.listening, FIXTURE_BALANCER);
	fake_peer_send(clients[0], FIXTURE_V1, FIXTURE_V1_SIZE);
	fixture_settle(&fixture);
	assert_int_equal(evicted(), 1);
	assert_false(is_open(1));
	assert_true(is_open(0) && is_open(2));
	/* One that comes is not sent away for those that are there. */
	fixture.settings.max_waiting_headers = 1;
	clients[3] = fake_incoming(fixture.listening, FIXTURE_BALANCER);
	fake_peer_send(clients[2], FIXTURE_V1, FIXTURE_V1_SIZE);
	fixture_settle(&fixture);
	assert_int_equal(evicted(), 2);
	assert_false(is_open(2));
	assert_true(is_open(3));
}

static void descriptors_that_others_took_are_made_up_for(void **state)
{
	(void)state;
	wait_half(0);
	wait_half(1);
	fixture_pass(&fixture, HEADER_QUEUE_GRACE);
	fake_fail(&fixture.fake, FAKE_ACCEPT, 1, -EMFILE);
	come(2, "TCP4", "203.0.113.9");
	assert_int_equal(evicted(), 1);
	assert_false(is_open(0));
	assert_int_equal(fake_dial_count(&fixture.fake), 1);
	assert_int_equal(count(COUNTER_ACCEPT_PAUSED), 0);
}

/* Room for a listener is made by whoever waits at it; descriptors by whoever has waited longest. */
static void another_listener_makes_room_for_descriptors_only(void **state)
{
	struct fake_socket *second = fake_listen(&fixture.fake), *other;
	static struct header_queue queue;
	static struct budget budget;
	const struct tcp_listener_start start = {.fd = second->fd,
						 .settings = &fixture.settings,
						 .budget = &budget,
						 .header_queue = &queue};
	struct tcp_listener *listener;

	(void)state;
	header_queue_init(&queue);
	listener = tcp_listener_create(&fixture.relay, &start);
	assert_non_null(listener);
	other = fake_incoming(second, FIXTURE_BALANCER);
	fixture_pass(&fixture, 50);
	wait_half(0);
	fixture_pass(&fixture, HEADER_QUEUE_GRACE);
	set_limit_of(&fixture.sessions, 1);
	come(1, "TCP4", "203.0.113.9");
	assert_false(is_open(0));
	assert_int_equal(other->closed, FAKE_OPEN);
	set_limit_of(&fixture.sessions, 0);
	set_limit_of(&fixture.descriptors, 2);
	come(2, "TCP4", "203.0.113.9");
	fixture_pass(&fixture, 50);
	assert_int_not_equal(other->closed, FAKE_OPEN);
	assert_int_equal(evicted(), 2);
	tcp_listener_destroy(listener);
}

static void a_listener_that_ends_serves_who_waits_before_half_headers(void **state)
{
	(void)state;
	set_limit_of(&fixture.sessions, 2);
	wait_half(0);
	wait_half(1);
	clients[2] = fake_incoming(fixture.listening, FIXTURE_BALANCER);
	fake_peer_send(clients[2], FIXTURE_V1, FIXTURE_V1_SIZE);
	fixture_settle(&fixture);
	fixture.relay.loop.now += HEADER_QUEUE_GRACE;
	tcp_listener_destroy(fixture.listener);
	fixture.listener = NULL;
	/* It learns that nobody else waits by making room for one. */
	assert_int_equal(evicted(), 2);
	assert_int_equal(fake_dial_count(&fixture.fake), 1);
}

/* Another worker, which is played by its wish, has nobody who waits. */

static void a_worker_without_room_asks_the_others(void **state)
{
	(void)state;
	set_limit_of(&fixture.descriptors, 1);
	come(0, "TCP4", "203.0.113.9");
	assert_false(budget_wants_room(&fixture.descriptors));
	come(1, "TCP4", "203.0.113.9");
	assert_true(budget_wants_room(&fixture.descriptors));
	/* The room has come, from whomever. */
	set_limit_of(&fixture.descriptors, 2);
	fixture_pass(&fixture, 50);
	assert_int_equal(fake_dial_count(&fixture.fake), 2);
	assert_false(budget_wants_room(&fixture.descriptors));
}

static void expect_that_a_wish_is_fulfilled(struct budget *budget)
{
	fixture.relay.worker_count = 2;
	for (unsigned i = 0; i < 100; i++)
		wait_silently(i);
	budget_ask_for_room(budget);
	fixture_pass(&fixture, HEADER_QUEUE_GRACE - 1);
	assert_int_equal(evicted(), 0);
	fixture_pass(&fixture, 10);
	assert_int_equal(evicted(), 64);
	assert_false(is_open(63));
	assert_true(is_open(64));
	assert_false(budget_wants_room(budget));
	/* No more than was wanted. */
	fixture_pass(&fixture, 1000);
	assert_int_equal(evicted(), 64);
	budget_ask_for_room(budget);
	fixture_pass(&fixture, HEADER_QUEUE_GRACE + 10);
	assert_int_equal(evicted(), 100);
}

static void descriptors_are_made_room_for_other_workers(void **state)
{
	(void)state;
	expect_that_a_wish_is_fulfilled(&fixture.descriptors);
}

static void sessions_are_made_room_for_other_workers(void **state)
{
	(void)state;
	expect_that_a_wish_is_fulfilled(&fixture.sessions);
}

static void a_wish_that_nobody_can_fulfil_costs_nothing_served(void **state)
{
	(void)state;
	fixture.relay.worker_count = 2;
	come(0, "TCP4", "203.0.113.9");
	budget_ask_for_room(&fixture.descriptors);
	fixture_pass(&fixture, 1000);
	assert_true(is_open(0));
	assert_int_equal(evicted(), 0);
	assert_false(timer_is_set(&fixture.relay.room));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_client_may_have_so_many_sessions),
		TEST(a_64_of_ipv6_is_one_client),
		TEST(the_balancers_own_sessions_are_not_counted),
		TEST(a_session_that_comes_to_nothing_is_not_counted_any_more),
		TEST(a_new_limit_is_for_new_sessions),
		TEST(the_one_that_has_waited_longest_makes_room),
		TEST(whoever_has_sent_the_header_does_not_wait_any_more),
		TEST(a_header_that_comes_at_once_never_waits),
		TEST(those_that_leave_or_expire_are_not_counted),
		TEST(a_header_that_was_refused_waits_no_more),
		TEST(without_a_limit_all_may_wait),
		TEST(workers_have_equal_parts_of_the_limit),
		TEST(a_lower_limit_holds_with_the_next_that_waits),
		TEST(the_lines_about_a_flood_are_limited),
		TEST(half_headers_make_room_for_want_of_descriptors),
		TEST(half_headers_make_room_for_want_of_sessions),
		TEST(a_crowd_has_less_time),
		TEST(room_is_not_made_faster_than_live_sessions_bear),
		TEST(one_whose_header_has_come_meanwhile_makes_no_room),
		TEST(the_silent_one_behind_it_makes_room),
		TEST(nor_does_it_go_for_the_limit_while_others_are_silent),
		TEST(descriptors_that_others_took_are_made_up_for),
		TEST(another_listener_makes_room_for_descriptors_only),
		TEST(a_listener_that_ends_serves_who_waits_before_half_headers),
		TEST(a_worker_without_room_asks_the_others),
		TEST(descriptors_are_made_room_for_other_workers),
		TEST(sessions_are_made_room_for_other_workers),
		TEST(a_wish_that_nobody_can_fulfil_costs_nothing_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
