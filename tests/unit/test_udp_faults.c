/* SPDX-License-Identifier: MIT */
/*
 * Every call of one conversation fails once, each way it can, and some fail for good. Whatever
 * becomes of a flow, each datagram is delivered once or counted once, in order, and nothing is left
 * open or held.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "udp_talk.h"

#define CLIENTS 5
#define ROUNDS  4
#define EACH    3 /* datagrams of a client in a round, and answers */

/* Calls of one kind that are made to fail, one conversation each, at most. */
#define FAILURES_MAX 200

static void expect_opens_later(enum close_reason reason)
{
	send_as(UDP_CLIENT, "one");
	settle();
	assert_int_equal(flows(), 0);
	expect_silence();
	expect_closed(reason, 1);
	send_as(UDP_CLIENT, "two");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "two|");
	assert_int_equal(flows(), 1);
	assert_int_equal(count(COUNTER_SESSIONS_RELAYED), 1);
	assert_int_equal(count(COUNTER_SESSIONS_ACCEPTED), 2);
}

static void no_socket_for_a_flow_fails_it(void **state)
{
	(void)state;
	fake_udp_fail(&fixture.fake, FAKE_UDP_SOCKET, 1, -EMFILE);
	expect_opens_later(CLOSE_CONNECT_FAILED);
}

static void without_the_capability_a_flow_fails(void **state)
{
	(void)state;
	fake_udp_fail(&fixture.fake, FAKE_UDP_SET_OPTION, 1, -EPERM);
	expect_opens_later(CLOSE_CONNECT_FAILED);
}

static void without_its_mark_a_flow_fails(void **state)
{
	(void)state;
	fixture.settings.mark = 5;
	fake_udp_fail(&fixture.fake, FAKE_UDP_SET_OPTION, 2, -EPERM);
	expect_opens_later(CLOSE_CONNECT_FAILED);
}

static void an_address_that_this_host_cannot_bind_fails_the_flow(void **state)
{
	(void)state;
	fake_udp_fail(&fixture.fake, FAKE_UDP_BIND, 1, -EADDRNOTAVAIL);
	expect_opens_later(CLOSE_CONNECT_FAILED);
}

static void an_upstream_without_a_route_fails_the_flow(void **state)
{
	(void)state;
	fake_udp_fail(&fixture.fake, FAKE_UDP_CONNECT, 1, -ENETUNREACH);
	expect_opens_later(CLOSE_CONNECT_FAILED);
}

static void a_flow_that_cannot_be_watched_is_closed(void **state)
{
	(void)state;
	fake_udp_fail(&fixture.fake, FAKE_UDP_WATCH, 1, -ENOSPC);
	expect_opens_later(CLOSE_SYSTEM_ERROR);
}

static void what_only_makes_it_faster_may_fail(void **state)
{
	(void)state;
	/* SO_REUSEADDR, SO_RCVBUFFORCE, UDP_GRO. */
	for (unsigned i = 2; i <= 4; i++)
		fake_udp_fail(&fixture.fake, FAKE_UDP_SET_OPTION, i, -EPERM);
	send_as(UDP_CLIENT, "one");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "one|");
}

static void expect_replaced_port(enum counter counter)
{
	send_as(UDP_CLIENT, "one");
	send_as(UDP_CLIENT, "two");
	settle();
	assert_int_equal(flows(), 1);
	assert_null(socket_for(UDP_CLIENT));
	assert_int_equal(count(counter), 1);
	assert_int_equal(fixture.fake.sent_count, 2);
	/* Not bound with SO_REUSEADDR, which might give out a port that another flow has. */
	assert_int_equal(fake_udp_option(fixture.fake.sent[0].socket, SOL_SOCKET, SO_REUSEADDR),
			 -1);
	/* Its end looks for the port that the upstream saw, and does without. */
	fake_udp_fail(&fixture.fake, FAKE_UDP_LOCAL_ADDRESS, 1, -ENOBUFS);
	pass(60050);
	expect_closed(CLOSE_IDLE_TIMEOUT, 1);
	assert_int_equal(fixture.fake.calls[FAKE_UDP_LOCAL_ADDRESS], 1);
}

static void a_port_that_is_taken_is_replaced(void **state)
{
	(void)state;
	fixture.fake.taken_port = 40000;
	expect_replaced_port(COUNTER_PORT_CONFLICTS);
}

static void a_port_that_is_privileged_is_replaced(void **state)
{
	(void)state;
	fixture.fake.privileged_below = 40001;
	expect_replaced_port(COUNTER_CLIENT_PORT_PRIVILEGED);
}

static void a_port_that_a_twin_has_is_replaced(void **state)
{
	(void)state;
	fake_udp_fail(&fixture.fake, FAKE_UDP_CONNECT, 1, -EADDRNOTAVAIL);
	expect_replaced_port(COUNTER_PORT_CONFLICTS);
}

static void a_port_that_is_taken_is_kept_or_nothing(void **state)
{
	(void)state;
	fixture.settings.port_conflict = RELAY_PORT_CONFLICT_REFUSE;
	fixture.fake.taken_port = 40000;
	send_as(UDP_CLIENT, "one");
	settle();
	expect_closed(CLOSE_PORT_CONFLICT, 1);
	assert_int_equal(count(COUNTER_PORT_CONFLICTS), 1);
	fixture.fake.taken_port = 0;
	fixture.fake.privileged_below = 40001;
	send_as(UDP_CLIENT, "two");
	settle();
	assert_int_equal(closed(CLOSE_CLIENT_PORT_PRIVILEGED), 1);
	assert_int_equal(count(COUNTER_CLIENT_PORT_PRIVILEGED), 1);
	assert_int_equal(flows(), 0);
	expect_silence();
}

static void a_replaced_port_that_fails_too_fails_the_flow(void **state)
{
	(void)state;
	fixture.fake.taken_port = 40000;
	fake_udp_fail(&fixture.fake, FAKE_UDP_BIND, 2, -EADDRINUSE);
	send_as(UDP_CLIENT, "one");
	settle();
	expect_closed(CLOSE_PORT_CONFLICT, 1);
	assert_int_equal(flows(), 0);
}

/* The first of two datagrams of different lengths is not sent, for this reason. */
static void expect_dropped(int error, enum counter counter)
{
	uint64_t before = count(counter);

	fake_udp_fail(&fixture.fake, FAKE_UDP_SENDMMSG, 1, error);
	/* Once, it might be about an earlier one. */
	if (error == -EMSGSIZE)
		fake_udp_fail(&fixture.fake, FAKE_UDP_SENDMMSG, 2, error);
	send_as(UDP_CLIENT, "x");
	send_as(UDP_CLIENT, "two");
	settle();
	EXPECT_HEARD(UDP_CLIENT, "two|");
	assert_int_equal(count(counter), before + 1);
}

static void what_the_kernel_does_not_send_is_counted_by_its_cause(void **state)
{
	(void)state;
	expect_dropped(-EAGAIN, COUNTER_DATAGRAMS_DROPPED_FULL);
	expect_dropped(-ENOBUFS, COUNTER_DATAGRAMS_DROPPED_FULL);
	expect_dropped(-ENOMEM, COUNTER_DATAGRAMS_DROPPED_FULL);
	expect_dropped(-EMSGSIZE, COUNTER_DATAGRAMS_DROPPED_TOO_LARGE);
	expect_dropped(-EPERM, COUNTER_DATAGRAMS_DROPPED_ERROR);
	expect_dropped(-EINVAL, COUNTER_DATAGRAMS_DROPPED_ERROR);
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_CLIENT), 6);
	assert_int_equal(count(COUNTER_BYTES_FROM_CLIENT), 18);
	assert_int_equal(flows(), 1);
}

static void expect_reply_dropped(int error, enum counter counter)
{
	uint64_t before = count(counter);

	fake_udp_fail(&fixture.fake, FAKE_UDP_SENDMMSG, 1, error);
	answer(UDP_CLIENT, "x");
	answer(UDP_CLIENT, "two");
	settle();
	EXPECT_REPLIES(UDP_BALANCER, "two|");
	assert_int_equal(count(counter), before + 1);
}

static void answers_that_the_kernel_does_not_send_are_counted_by_their_cause(void **state)
{
	(void)state;
	send_as(UDP_CLIENT, "hello");
	settle();
	expect_reply_dropped(-EAGAIN, COUNTER_REPLIES_DROPPED_FULL);
	expect_reply_dropped(-EMSGSIZE, COUNTER_REPLIES_DROPPED_TOO_LARGE);
	expect_reply_dropped(-ECONNREFUSED, COUNTER_REPLIES_DROPPED_ERROR);
	expect_reply_dropped(-EPERM, COUNTER_REPLIES_DROPPED_ERROR);
	assert_int_equal(count(COUNTER_DATAGRAMS_FROM_UPSTREAM), 4);
	assert_int_equal(count(COUNTER_UPSTREAM_ICMP_ERRORS), 0);
}

/* The kernel's own errors at a socket that waits; what has come stays there. */
static void a_failed_receive_loses_nothing(void **state)
{
	static const int errors[] = {-EINTR, -EAGAIN, -ENOMEM, -ENOBUFS, -EIO, -ECONNREFUSED};

	(void)state;
	send_as(UDP_CLIENT, "hello");
	settle();
	for (unsigned i = 0; i < 6; i++) {
		fake_udp_fail(&fixture.fake, FAKE_UDP_RECVMMSG, 1, errors[i]);
		send_as(UDP_CLIENT, "x");
		settle();
		fake_udp_fail(&fixture.fake, FAKE_UDP_RECVMMSG, 1, errors[i]);
		answer(UDP_CLIENT, "y");
		settle();
	}
	EXPECT_HEARD(UDP_CLIENT, "hello|x|x|x|x|x|x|");
	EXPECT_REPLIES(UDP_BALANCER, "y|y|y|y|y|y|");
	/* To a balancer that is gone an answer may have been refused: no flow's business. */
	assert_int_equal(count(COUNTER_UPSTREAM_ICMP_ERRORS), 1);
}

static int start_one_of_two(void **state)
{
	(void)state;
	send_to = NULL;
	udp_fixture_start(&fixture, UDP_FRAMING_EVERY, 1000, 2);
	return 0;
}

/* Its notices can't, or its socket. */
static void a_listener_that_cannot_be_watched_is_not_made(void **state)
{
	struct fake_udp_socket *listening;
	unsigned holders = atomic_load(&fixture.owner.holders), open = fixture.fake.open;

	(void)state;
	for (unsigned in = 1; in <= 2; in++) {
		fake_udp_fail(&fixture.fake, FAKE_UDP_WATCH, in, -ENOMEM);
		assert_null(udp_fixture_listen(&fixture, &listening));
		assert_int_equal(fixture.fake.open, open);
		assert_int_equal(atomic_load(&fixture.owner.holders), holders);
	}
}

/* The conversation: how much was said, and what has become of it. */
static unsigned said, answered;

static void expect_accounts(const char *what)
{
	uint64_t lost = 0, delivered = count(COUNTER_DATAGRAMS_FROM_CLIENT);
	uint64_t replies = count(COUNTER_DATAGRAMS_FROM_UPSTREAM) +
			   count(COUNTER_REPLIES_DROPPED_FULL) +
			   count(COUNTER_REPLIES_DROPPED_TOO_LARGE) +
			   count(COUNTER_REPLIES_DROPPED_ERROR) + fixture.fake.unread;

	for (unsigned i = 0; i < CLOSE_REASON_COUNT; i++) {
		if (close_reason_kind((enum close_reason)i) == CLOSE_KIND_FAIL)
			lost += closed((enum close_reason)i);
	}
	lost += count(COUNTER_DATAGRAMS_DROPPED_FULL) + count(COUNTER_DATAGRAMS_DROPPED_TOO_LARGE) +
		count(COUNTER_DATAGRAMS_DROPPED_ERROR);
	if (delivered + lost != said)
		fail_msg("%s: %u datagrams were said, %u delivered, %u counted as lost", what, said,
			 (unsigned)delivered, (unsigned)lost);
	if (replies != answered)
		fail_msg("%s: %u answers were given, %u are accounted for", what, answered,
			 (unsigned)replies);
	if (fixture.fake.sent_count != delivered + count(COUNTER_DATAGRAMS_FROM_UPSTREAM))
		fail_msg("%s: more or less was sent than was counted", what);
}

/* Each says its numbers in order. */
static void expect_rising_numbers(const char *what)
{
	for (size_t i = 0; i < fixture.fake.sent_count; i++) {
		const struct fake_udp_sent *sent = &fixture.fake.sent[i];

		for (size_t j = 0; j < i; j++) {
			const struct fake_udp_sent *before = &fixture.fake.sent[j];

			if (before->socket->dialled == sent->socket->dialled &&
			    before->bytes[0] == sent->bytes[0] &&
			    before->bytes[1] >= sent->bytes[1])
				fail_msg("%s: doubled or out of order", what);
		}
	}
}

static void converse(void)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < CLIENTS * EACH; i++, said++) {
			const char text[4] = {(char)('A' + i % CLIENTS),
					      (char)('a' + round * EACH + i / CLIENTS),
					      i % CLIENTS == round ? 'x' : '\0'};

			send_as(client_name(i % CLIENTS), text);
		}
		settle();
		for (unsigned i = 0; i < CLIENTS * EACH; i++) {
			const char text[3] = {(char)('A' + i % CLIENTS),
					      (char)('a' + round * EACH + i / CLIENTS), '\0'};

			if (socket_for(client_name(i % CLIENTS)) == NULL)
				continue;
			answer(client_name(i % CLIENTS), text);
			answered++;
		}
		settle();
		pass(25000 * round);
	}
	pass(100000);
}

/* With the `in`th call of this kind failing. Returns how many calls of the kind there were. */
static unsigned converse_with(enum fake_udp_call call, unsigned in, int error)
{
	char what[64];
	unsigned calls;

	snprintf(what, sizeof(what), "call kind %d, number %u, error %d", (int)call, in, error);
	said = answered = 0;
	talk_start(UDP_FRAMING_EVERY, 3);
	calls = fixture.fake.calls[call];
	if (in > 0)
		fake_udp_fail(&fixture.fake, call, in, error);
	converse();
	assert_int_equal(flows(), 0);
	expect_accounts(what);
	expect_rising_numbers(what);
	calls = fixture.fake.calls[call] - calls;
	udp_fixture_stop(&fixture);
	return calls;
}

#define FAIL_EACH(call, ...)                                                                       \
	do {                                                                                       \
		const int errors[] = {__VA_ARGS__};                                                \
                                                                                                   \
		fail_each(call, errors, sizeof(errors) / sizeof(errors[0]));                       \
	} while (0)

static void fail_each(enum fake_udp_call call, const int *errors, size_t errors_count)
{
	unsigned calls = converse_with(call, 0, 0);
	unsigned step = 1 + calls / FAILURES_MAX;

	assert_true(calls > 0);
	for (size_t i = 0; i < errors_count; i++) {
		for (unsigned in = 1; in <= calls + 1; in += step)
			converse_with(call, in, errors[i]);
	}
}

static void any_call_of_a_dial_may_fail_once(void **state)
{
	(void)state;
	FAIL_EACH(FAKE_UDP_SOCKET, -EMFILE, -ENOBUFS);
	FAIL_EACH(FAKE_UDP_SET_OPTION, -EPERM, -ENOPROTOOPT);
	FAIL_EACH(FAKE_UDP_BIND, -EADDRINUSE, -EACCES, -EADDRNOTAVAIL);
	FAIL_EACH(FAKE_UDP_CONNECT, -ENETUNREACH, -EADDRNOTAVAIL, -ECONNREFUSED);
	FAIL_EACH(FAKE_UDP_WATCH, -ENOSPC, -ENOMEM);
}

static void any_receive_may_fail_once(void **state)
{
	(void)state;
	FAIL_EACH(FAKE_UDP_RECVMMSG, -EINTR, -EAGAIN, -ECONNREFUSED, -ENOMEM);
}

static void any_send_may_fail_once(void **state)
{
	(void)state;
	FAIL_EACH(FAKE_UDP_SENDMMSG, -EINTR, -EAGAIN, -ECONNREFUSED, -EMSGSIZE, -EINVAL, -EIO,
		  -EPERM, -ENOBUFS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_every, stop)
	const struct CMUnitTest tests[] = {
		TEST(no_socket_for_a_flow_fails_it),
		TEST(without_the_capability_a_flow_fails),
		TEST(without_its_mark_a_flow_fails),
		TEST(an_address_that_this_host_cannot_bind_fails_the_flow),
		TEST(an_upstream_without_a_route_fails_the_flow),
		TEST(a_flow_that_cannot_be_watched_is_closed),
		TEST(what_only_makes_it_faster_may_fail),
		TEST(a_port_that_is_taken_is_replaced),
		TEST(a_port_that_is_privileged_is_replaced),
		TEST(a_port_that_a_twin_has_is_replaced),
		TEST(a_port_that_is_taken_is_kept_or_nothing),
		TEST(a_replaced_port_that_fails_too_fails_the_flow),
		TEST(what_the_kernel_does_not_send_is_counted_by_its_cause),
		TEST(answers_that_the_kernel_does_not_send_are_counted_by_their_cause),
		TEST(a_failed_receive_loses_nothing),
		cmocka_unit_test_setup_teardown(a_listener_that_cannot_be_watched_is_not_made,
						start_one_of_two, stop),
		cmocka_unit_test(any_call_of_a_dial_may_fail_once),
		cmocka_unit_test(any_receive_may_fail_once),
		cmocka_unit_test(any_send_may_fail_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
