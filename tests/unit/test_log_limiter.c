/* SPDX-License-Identifier: MIT */
/* The limit on log lines about one peer: a burst, then a line an interval, and nothing forgotten.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/address.h"
#include "base/log_limiter.h"

#define SUBJECT 3
#define START   1000000

static struct log_limiter limiter;
static struct address peer;

static int fresh(void **state)
{
	(void)state;
	limiter = (struct log_limiter){0};
	return address_parse_ip("192.0.2.1", &peer);
}

static bool admit(uint64_t now, uint64_t *suppressed)
{
	return log_limiter_admit(&limiter, &peer, SUBJECT, now, suppressed);
}

/* Lines admitted out of `tries` at one moment. */
static unsigned admitted(unsigned tries, uint64_t now)
{
	unsigned lines = 0;

	for (unsigned i = 0; i < tries; i++) {
		uint64_t suppressed;

		lines += admit(now, &suppressed);
	}
	return lines;
}

static void a_burst_is_admitted_and_no_more(void **state)
{
	(void)state;
	assert_int_equal(admitted(100, START), LOG_LIMITER_BURST);
}

static void nothing_is_reported_as_suppressed_while_nothing_was(void **state)
{
	(void)state;
	for (unsigned i = 0; i < LOG_LIMITER_BURST; i++) {
		uint64_t suppressed = 99;

		assert_true(admit(START, &suppressed));
		assert_int_equal(suppressed, 0);
	}
}

static void after_the_burst_one_line_an_interval_is_admitted(void **state)
{
	(void)state;
	admitted(100, START);
	assert_int_equal(admitted(100, START + LOG_LIMITER_INTERVAL_MS - 1), 0);
	for (unsigned i = 1; i < 20; i++)
		assert_int_equal(admitted(100, START + i * LOG_LIMITER_INTERVAL_MS), 1);
}

static void what_is_left_of_an_interval_counts_for_the_next_line(void **state)
{
	(void)state;
	admitted(100, START);
	assert_int_equal(admitted(100, START + 2 * LOG_LIMITER_INTERVAL_MS - 1), 1);
	assert_int_equal(admitted(100, START + 2 * LOG_LIMITER_INTERVAL_MS), 1);
}

static void the_line_that_is_admitted_again_says_how_many_were_not(void **state)
{
	uint64_t suppressed;

	(void)state;
	admitted(LOG_LIMITER_BURST + 17, START);
	assert_true(admit(START + LOG_LIMITER_INTERVAL_MS, &suppressed));
	assert_int_equal(suppressed, 17);
	admitted(4, START + LOG_LIMITER_INTERVAL_MS);
	assert_true(admit(START + 2 * LOG_LIMITER_INTERVAL_MS, &suppressed));
	assert_int_equal(suppressed, 4);
}

static void a_quiet_peer_gets_its_burst_back_and_not_more(void **state)
{
	(void)state;
	admitted(100, START);
	assert_int_equal(admitted(100, START + 3 * LOG_LIMITER_INTERVAL_MS), 3);
	assert_int_equal(admitted(100, START + 1000 * LOG_LIMITER_INTERVAL_MS), LOG_LIMITER_BURST);
}

static void in_any_stretch_of_time_no_more_than_a_burst_and_a_line_an_interval(void **state)
{
	enum { SECONDS = 3600 };
	static uint64_t when[SECONDS];
	unsigned lines = 0;

	(void)state;
	for (uint64_t second = 0; second < SECONDS; second++) {
		/* Busy and silent spells of different lengths. */
		if (second / 97 % 3 == 1)
			continue;
		for (unsigned i = admitted(3, START + second * 1000); i > 0; i--)
			when[lines++] = second * 1000;
	}
	for (unsigned first = 0; first < lines; first++) {
		for (unsigned last = first; last < lines; last++) {
			uint64_t span = when[last] - when[first];

			/* Both ends of the stretch may cut into an interval. */
			assert_true(last - first + 1 <=
				    LOG_LIMITER_BURST + span / LOG_LIMITER_INTERVAL_MS + 1);
		}
	}
	assert_true(lines > SECONDS / 20);
}

static void another_subject_of_the_same_peer_has_its_own_burst(void **state)
{
	uint64_t suppressed;

	(void)state;
	admitted(100, START);
	assert_true(log_limiter_admit(&limiter, &peer, SUBJECT + 1, START, &suppressed));
	assert_int_equal(suppressed, 0);
}

/* Two subjects may meet in one place of the table; most do not, and hold each other's peace. */
static void subjects_that_take_turns_are_limited_each(void **state)
{
	unsigned unlimited = 0;

	(void)state;
	for (unsigned subject = 0; subject < 40; subject += 2) {
		unsigned lines = 0;

		limiter = (struct log_limiter){0};
		for (unsigned i = 0; i < 100; i++) {
			uint64_t suppressed;

			lines += log_limiter_admit(&limiter, &peer, subject + i % 2, START,
						   &suppressed);
		}
		unlimited += lines > 2 * LOG_LIMITER_BURST;
	}
	assert_true(unlimited <= 2);
}

static void a_subjects_first_line_is_admitted_whatever_was_suppressed_before(void **state)
{
	(void)state;
	for (unsigned subject = SUBJECT + 1; subject < SUBJECT + 1000; subject++) {
		uint64_t suppressed;

		admitted(100, START);
		assert_true(log_limiter_admit(&limiter, &peer, subject, START, &suppressed));
		assert_int_equal(suppressed, 0);
	}
}

static void another_port_of_the_same_peer_shares_its_burst(void **state)
{
	unsigned lines = 0;

	(void)state;
	for (uint16_t port = 1; port <= 100; port++) {
		uint64_t suppressed;

		peer.port = port;
		lines += admit(START, &suppressed);
	}
	assert_int_equal(lines, LOG_LIMITER_BURST);
}

/* A hundred peers over 256 places: some share one, and may be logged more often; none less. */
static void every_new_peer_is_logged(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		const uint8_t ip[4] = {203, 0, 113, (uint8_t)i};
		uint64_t suppressed;

		peer = address_from_ipv4(ip, 0);
		admitted(1, START);
		for (unsigned line = 1; line < LOG_LIMITER_BURST; line++)
			assert_true(admit(START, &suppressed));
	}
}

static void a_flood_of_peers_takes_no_memory_beyond_the_table(void **state)
{
	uint64_t suppressed;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		const uint8_t ip[4] = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};

		peer = address_from_ipv4(ip, 0);
		assert_true(admit(START, &suppressed));
		assert_int_equal(suppressed, 0);
	}
}

static void nobody_in_particular_is_limited_as_well(void **state)
{
	(void)state;
	peer = (struct address){.family = ADDRESS_NONE};
	assert_int_equal(admitted(100, START), LOG_LIMITER_BURST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_burst_is_admitted_and_no_more, fresh),
		cmocka_unit_test_setup(nothing_is_reported_as_suppressed_while_nothing_was, fresh),
		cmocka_unit_test_setup(after_the_burst_one_line_an_interval_is_admitted, fresh),
		cmocka_unit_test_setup(what_is_left_of_an_interval_counts_for_the_next_line, fresh),
		cmocka_unit_test_setup(subjects_that_take_turns_are_limited_each, fresh),
		cmocka_unit_test_setup(the_line_that_is_admitted_again_says_how_many_were_not,
				       fresh),
		cmocka_unit_test_setup(a_quiet_peer_gets_its_burst_back_and_not_more, fresh),
		cmocka_unit_test_setup(
			in_any_stretch_of_time_no_more_than_a_burst_and_a_line_an_interval, fresh),
		cmocka_unit_test_setup(another_subject_of_the_same_peer_has_its_own_burst, fresh),
		cmocka_unit_test_setup(
			a_subjects_first_line_is_admitted_whatever_was_suppressed_before, fresh),
		cmocka_unit_test_setup(another_port_of_the_same_peer_shares_its_burst, fresh),
		cmocka_unit_test_setup(every_new_peer_is_logged, fresh),
		cmocka_unit_test_setup(a_flood_of_peers_takes_no_memory_beyond_the_table, fresh),
		cmocka_unit_test_setup(nobody_in_particular_is_limited_as_well, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
