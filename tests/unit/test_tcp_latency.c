/* SPDX-License-Identifier: MIT */
/* What the two histograms of a TCP session take the time of, and what they leave out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tcp_talk.h"

static struct histogram_sum header_latency(void)
{
	struct histogram_sum sum = {0};

	histogram_add_to(&fixture.relay.header_latency, &sum);
	return sum;
}

static struct histogram_sum dial_latency(void)
{
	struct histogram_sum sum = {0};

	histogram_add_to(&fixture.relay.dial_latency, &sum);
	return sum;
}

static void a_header_that_is_there_takes_no_time(void **state)
{
	(void)state;
	SAY(FIXTURE_V1);
	assert_int_equal(header_latency().count, 1);
	assert_int_equal(header_latency().sum, 0);
	assert_int_equal(dial_latency().count, 1);
	assert_int_equal(dial_latency().sum, 0);
}

static void a_headers_time_ends_with_its_last_byte(void **state)
{
	(void)state;
	connect_client();
	fixture_pass(&fixture, 100);
	fake_peer_send(client, FIXTURE_V1, 20);
	fixture_pass(&fixture, 200);
	assert_int_equal(header_latency().count, 0);
	fake_peer_send(client, FIXTURE_V1 + 20, FIXTURE_V1_SIZE - 20);
	fixture_pass(&fixture, 1000);
	assert_int_equal(header_latency().count, 1);
	assert_int_equal(header_latency().sum, 300000);
}

static void a_dials_time_ends_when_the_upstream_has_answered(void **state)
{
	(void)state;
	fixture.fake.hold_connects = true;
	connect_client();
	fixture_pass(&fixture, 100);
	fake_peer_send(client, FIXTURE_V1, FIXTURE_V1_SIZE);
	fixture_pass(&fixture, 400);
	assert_int_equal(dial_latency().count, 0);
	fake_connect_done(fake_dialled(&fixture.fake));
	fixture_pass(&fixture, 1000);
	assert_int_equal(dial_latency().count, 1);
	assert_int_equal(dial_latency().sum, 400000);
	assert_int_equal(header_latency().sum, 100000);
}

static void a_header_that_is_refused_is_not_in_it(void **state)
{
	(void)state;
	SAY("GET / HTTP/1.0\r\n\r\n");
	connect_client();
	fixture_pass(&fixture, 6000);
	assert_int_equal(count(counter_of_close(CLOSE_HEADER_MISSING)), 1);
	assert_int_equal(count(counter_of_close(CLOSE_HEADER_TIMEOUT_EMPTY)), 1);
	assert_int_equal(header_latency().count, 0);
}

static void a_dial_that_fails_is_not_in_it(void **state)
{
	(void)state;
	fake_fail(&fixture.fake, FAKE_CONNECT, 1, -ECONNREFUSED);
	SAY(FIXTURE_V1);
	fixture.fake.hold_connects = true;
	SAY(FIXTURE_V1);
	fixture_pass(&fixture, 11000);
	assert_int_equal(count(counter_of_close(CLOSE_CONNECT_REFUSED)), 1);
	assert_int_equal(count(counter_of_close(CLOSE_CONNECT_TIMEOUT)), 1);
	assert_int_equal(header_latency().count, 2);
	assert_int_equal(dial_latency().count, 0);
}

static void a_session_is_counted_while_it_lives(void **state)
{
	(void)state;
	assert_int_equal(fixture.relay.session_count, 0);
	SAY(FIXTURE_V1);
	assert_int_equal(fixture.relay.session_count, 1);
	fake_peer_reset(client);
	fixture_settle(&fixture);
	assert_int_equal(fixture.relay.session_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_header_that_is_there_takes_no_time),
		TEST(a_headers_time_ends_with_its_last_byte),
		TEST(a_dials_time_ends_when_the_upstream_has_answered),
		TEST(a_header_that_is_refused_is_not_in_it),
		TEST(a_dial_that_fails_is_not_in_it),
		TEST(a_session_is_counted_while_it_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
