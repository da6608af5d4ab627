/* SPDX-License-Identifier: MIT */
/* The dial: what becomes of one that fails, or is slow, and of clients that do not wait for it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "relay/dial_timeouts.h"
#include "tcp_talk.h"

#define HELLO FIXTURE_V1 "hello"

static void no_socket_for_the_dial_fails_the_session(void **state)
{
	(void)state;
	fake_fail(&fixture.fake, FAKE_SOCKET, 1, -EMFILE);
	SAY(FIXTURE_V1);
	expect_failure(CLOSE_CONNECT_FAILED);
}

static void without_the_capability_the_session_fails(void **state)
{
	(void)state;
	fake_fail(&fixture.fake, FAKE_SET_OPTION, 1, -EPERM);
	SAY(FIXTURE_V1);
	expect_failure(CLOSE_CONNECT_FAILED);
}

static void an_address_that_this_host_cannot_bind_fails_the_session(void **state)
{
	(void)state;
	fake_fail(&fixture.fake, FAKE_BIND, 1, -EADDRNOTAVAIL);
	SAY(FIXTURE_V1);
	expect_failure(CLOSE_CONNECT_FAILED);
}

static void an_upstream_that_refuses_at_once_is_passed_on_as_a_reset(void **state)
{
	(void)state;
	fake_fail(&fixture.fake, FAKE_CONNECT, 1, -ECONNREFUSED);
	SAY(HELLO);
	expect_failure(CLOSE_CONNECT_REFUSED);
}

static void expect_connect_error(int error, enum close_reason reason)
{
	fixture.fake.hold_connects = true;
	SAY(HELLO);
	assert_int_equal(client->closed, FAKE_OPEN);
	fake_connect_failed(upstream, error);
	fixture_settle(&fixture);
	expect_failure(reason);
	assert_int_equal(count(COUNTER_SESSIONS_RELAYED), 0);
}

static void an_upstream_that_refuses_is_passed_on_as_a_reset(void **state)
{
	(void)state;
	expect_connect_error(-ECONNREFUSED, CLOSE_CONNECT_REFUSED);
}

static void an_upstream_that_the_kernel_gives_up_on_counts_as_a_timeout(void **state)
{
	(void)state;
	expect_connect_error(-ETIMEDOUT, CLOSE_CONNECT_TIMEOUT);
}

static void an_upstream_that_cannot_be_reached_fails_the_session(void **state)
{
	(void)state;
	expect_connect_error(-EHOSTUNREACH, CLOSE_CONNECT_FAILED);
}

/* On the same host a refusal is there before connect() has returned. */
static void a_refusal_that_the_first_write_meets_is_a_refusal(void **state)
{
	(void)state;
	fake_fail(&fixture.fake, FAKE_SEND, 1, -ECONNREFUSED);
	SAY(HELLO);
	expect_failure(CLOSE_CONNECT_REFUSED);
}

/* Whoever looks into it is woken by the first, and by the next one after he has looked. */
static void timeouts_are_told_until_somebody_knows(void **state)
{
	struct dial_timeouts timeouts = {.wake = eventfd(0, EFD_NONBLOCK)};
	eventfd_t told;

	(void)state;
	fixture.settings.dial_timeouts = &timeouts;
	expect_connect_error(-ETIMEDOUT, CLOSE_CONNECT_TIMEOUT);
	assert_int_equal(eventfd_read(timeouts.wake, &told), 0);
	assert_int_equal(told, 1);
	assert_true(dial_timeouts_told(&timeouts, ADDRESS_IPV4));
	assert_false(dial_timeouts_told(&timeouts, ADDRESS_IPV6));
	dial_timeouts_tell(&timeouts, ADDRESS_IPV4);
	assert_int_equal(eventfd_read(timeouts.wake, &told), -1);
	dial_timeouts_forget(&timeouts, ADDRESS_IPV4);
	assert_false(dial_timeouts_told(&timeouts, ADDRESS_IPV4));
	dial_timeouts_tell(&timeouts, ADDRESS_IPV4);
	assert_int_equal(eventfd_read(timeouts.wake, &told), 0);
	close(timeouts.wake);
}

static void a_refusal_is_no_timeout(void **state)
{
	struct dial_timeouts timeouts = {.wake = -1};

	(void)state;
	fixture.settings.dial_timeouts = &timeouts;
	expect_connect_error(-ECONNREFUSED, CLOSE_CONNECT_REFUSED);
	assert_false(dial_timeouts_told(&timeouts, ADDRESS_IPV4));
}

static void an_upstream_that_does_not_answer_is_given_up_at_the_timeout(void **state)
{
	(void)state;
	fixture.fake.hold_connects = true;
	SAY(HELLO);
	fixture_pass(&fixture, fixture.settings.connect_timeout - 1);
	assert_int_equal(client->closed, FAKE_OPEN);
	fixture_pass(&fixture, 50);
	expect_failure(CLOSE_CONNECT_TIMEOUT);
}

static void payload_waits_for_a_slow_connect(void **state)
{
	(void)state;
	fixture.fake.hold_connects = true;
	SAY(FIXTURE_V1 "hel");
	fixture_pass(&fixture, 3000);
	fake_peer_send(client, "lo", 2);
	fixture_pass(&fixture, 3000);
	assert_int_equal(upstream->out.length, 0);
	fake_connect_done(upstream);
	fixture_settle(&fixture);
	expect_echo();
	/* The dial's deadline is lifted. */
	fixture_pass(&fixture, 60000);
	assert_non_null(fixture_session(&fixture));
}

static void a_client_that_sends_on_while_dialling_is_not_read_without_bound(void **state)
{
	(void)state;
	fixture.fake.hold_connects = true;
	SAY(HELLO);
	fixture_send(client, 1 << 20);
	fixture_settle(&fixture);
	assert_true(client->in_read <= FIXTURE_V1_SIZE + 5 + RELAY_HOT_SIZE);
	fake_connect_done(upstream);
	fixture_settle(&fixture);
	expect_all(upstream, client, FIXTURE_V1_SIZE);
}

static void a_client_that_resets_while_dialling_ends_the_dial(void **state)
{
	(void)state;
	fixture.fake.hold_connects = true;
	SAY(HELLO);
	fake_peer_reset(client);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_CLIENT_LEFT);
	assert_int_not_equal(upstream->closed, FAKE_OPEN);
}

static void a_client_that_reset_behind_its_header_is_not_dialled_for_in_vain(void **state)
{
	(void)state;
	fixture.fake.hold_connects = true;
	client = fake_incoming(fixture.listening, FIXTURE_BALANCER);
	fake_peer_send(client, FIXTURE_V1, FIXTURE_V1_SIZE);
	fake_peer_reset(client);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_CLIENT_LEFT);
}

static void a_check_that_resets_behind_its_header_is_no_failure(void **state)
{
	(void)state;
	fixture.fake.hold_connects = true;
	client = fake_incoming(fixture.listening, FIXTURE_BALANCER);
	fake_peer_send(client, "PROXY UNKNOWN\r\n", 15);
	fake_peer_reset(client);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_CHECK_LEFT);
}

static void a_client_that_finishes_while_dialling_still_gets_its_answer(void **state)
{
	(void)state;
	fixture.fake.hold_connects = true;
	SAY(HELLO);
	fake_peer_finish(client);
	fixture_settle(&fixture);
	assert_int_equal(client->closed, FAKE_OPEN);
	fake_connect_done(upstream);
	fixture_settle(&fixture);
	assert_true(upstream->fin_delivered);
	expect_echo();
	fake_peer_finish(upstream);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_FINISHED);
}

static void an_upstream_that_speaks_first_is_heard(void **state)
{
	static const char banner[] = "220 ready\r\n";

	(void)state;
	fixture.fake.hold_connects = true;
	SAY(FIXTURE_V1);
	fake_connect_done(upstream);
	fake_peer_send(upstream, banner, strlen(banner));
	fixture_settle(&fixture);
	assert_int_equal(client->out_delivered, strlen(banner));
}

static void an_upstream_that_accepts_and_resets_is_passed_on_as_a_reset(void **state)
{
	(void)state;
	fixture.fake.hold_connects = true;
	SAY(HELLO);
	fake_connect_done(upstream);
	fake_peer_reset(upstream);
	fixture_settle(&fixture);
	assert_null(fixture_session(&fixture));
	expect_end(client, FAKE_CLOSED_RESET);
}

static void a_header_in_the_first_read_of_a_full_buffer_loses_nothing(void **state)
{
	(void)state;
	client = fake_incoming(fixture.listening, FIXTURE_BALANCER);
	fake_peer_send(client, FIXTURE_V1, FIXTURE_V1_SIZE);
	fixture_send(client, 3 * RELAY_HOT_SIZE);
	fake_peer_finish(client);
	fixture.fake.send_limit = 10000;
	fixture_settle(&fixture);
	upstream = fake_dialled(&fixture.fake);
	expect_all(upstream, client, FIXTURE_V1_SIZE);
	assert_true(upstream->fin_delivered);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_socket_for_the_dial_fails_the_session),
		TEST(without_the_capability_the_session_fails),
		TEST(an_address_that_this_host_cannot_bind_fails_the_session),
		TEST(an_upstream_that_refuses_at_once_is_passed_on_as_a_reset),
		TEST(an_upstream_that_refuses_is_passed_on_as_a_reset),
		TEST(an_upstream_that_the_kernel_gives_up_on_counts_as_a_timeout),
		TEST(an_upstream_that_cannot_be_reached_fails_the_session),
		TEST(a_refusal_that_the_first_write_meets_is_a_refusal),
		TEST(timeouts_are_told_until_somebody_knows),
		TEST(a_refusal_is_no_timeout),
		TEST(an_upstream_that_does_not_answer_is_given_up_at_the_timeout),
		TEST(payload_waits_for_a_slow_connect),
		TEST(a_client_that_sends_on_while_dialling_is_not_read_without_bound),
		TEST(a_client_that_resets_while_dialling_ends_the_dial),
		TEST(a_client_that_reset_behind_its_header_is_not_dialled_for_in_vain),
		TEST(a_check_that_resets_behind_its_header_is_no_failure),
		TEST(a_client_that_finishes_while_dialling_still_gets_its_answer),
		TEST(an_upstream_that_speaks_first_is_heard),
		TEST(an_upstream_that_accepts_and_resets_is_passed_on_as_a_reset),
		TEST(a_header_in_the_first_read_of_a_full_buffer_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
