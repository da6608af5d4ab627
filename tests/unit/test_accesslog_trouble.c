/* SPDX-License-Identifier: MIT */
/* What the access log says of lines that it lost: at once, with numbers, and not every second. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <mmproxy/plugin.h>

#include "trouble.h"

#define SILENCE    (-1)
#define BEGIN      1000
#define SOON       (BEGIN + TROUBLE_PAUSE_MS)
#define LATER      (BEGIN + TROUBLE_INTERVAL_MS)
#define MUCH_LATER (LATER + TROUBLE_INTERVAL_MS)

static const struct queue_outcome good = {.written = 10};
static const struct queue_outcome no_space = {.failed = 3, .error = -ENOSPC};
static const struct queue_outcome some_refused = {.written = 10, .refused = 2};
static const struct queue_outcome nothing = {0};

static void expect(struct trouble *trouble, const struct queue_outcome *outcome, uint64_t now,
		   int level, const char *due)
{
	char text[TROUBLE_TEXT_SIZE] = "";

	assert_int_equal(trouble_note(trouble, outcome, now, false, text), level);
	assert_string_equal(text, due);
}

static void a_log_that_works_says_nothing(void **state)
{
	struct trouble trouble = {.target = "/log"};
	char text[TROUBLE_TEXT_SIZE] = "";

	(void)state;
	expect(&trouble, &good, BEGIN, SILENCE, "");
	assert_int_equal(trouble_note(&trouble, &nothing, BEGIN, true, text), SILENCE);
}

static void a_full_disk_is_told_at_once_and_then_once_a_minute(void **state)
{
	struct trouble trouble = {.target = "/log"};

	(void)state;
	expect(&trouble, &no_space, BEGIN, MMPROXY_LOG_ERROR,
	       "cannot write to /log: No space left on device; 3 lines dropped, and more until it "
	       "can");
	expect(&trouble, &no_space, BEGIN + 1, SILENCE, "");
	expect(&trouble, &no_space, LATER - 1, SILENCE, "");
	expect(&trouble, &no_space, LATER, MMPROXY_LOG_ERROR,
	       "cannot write to /log: No space left on device; 9 lines dropped, and more until it "
	       "can");
}

static void the_recovery_is_told_with_what_was_lost_meanwhile(void **state)
{
	struct trouble trouble = {.target = "/log"};

	(void)state;
	expect(&trouble, &no_space, BEGIN, MMPROXY_LOG_ERROR,
	       "cannot write to /log: No space left on device; 3 lines dropped, and more until it "
	       "can");
	expect(&trouble, &no_space, BEGIN + 1, SILENCE, "");
	expect(&trouble, &good, BEGIN + 2, MMPROXY_LOG_INFO,
	       "writing to /log again; 3 more lines were dropped");
	expect(&trouble, &good, BEGIN + 3, SILENCE, "");
}

static void a_disk_that_fails_now_and_then_does_not_fill_the_log(void **state)
{
	struct trouble trouble = {.target = "/log"};

	(void)state;
	expect(&trouble, &no_space, BEGIN, MMPROXY_LOG_ERROR,
	       "cannot write to /log: No space left on device; 3 lines dropped, and more until it "
	       "can");
	expect(&trouble, &good, BEGIN, MMPROXY_LOG_INFO,
	       "writing to /log again; 0 more lines were dropped");
	for (unsigned i = 1; i <= 100; i++) {
		expect(&trouble, &no_space, BEGIN + i, SILENCE, "");
		expect(&trouble, &good, BEGIN + i, SILENCE, "");
	}
	expect(&trouble, &good, SOON, MMPROXY_LOG_WARNING,
	       "300 lines dropped: could not write to /log: No space left on device");
}

/* For an hour, ten times a second. */
static void a_disk_that_goes_on_so_is_told_twice_in_ten_seconds_at_most(void **state)
{
	static const struct queue_outcome *const outcomes[] = {&no_space, &good, &some_refused};
	struct trouble trouble = {.target = "/log"};
	unsigned told = 0;

	(void)state;
	for (unsigned i = 0; i < 36000; i++) {
		char text[TROUBLE_TEXT_SIZE];
		uint64_t now = BEGIN + (uint64_t)i * 100;

		told += trouble_note(&trouble, outcomes[i % 3], now, false, text) != SILENCE;
	}
	assert_in_range(told, 360, 720);
}

static void a_disk_that_is_full_again_is_told_at_once_again(void **state)
{
	struct trouble trouble = {.target = "/log"};

	(void)state;
	expect(&trouble, &no_space, BEGIN - 2, MMPROXY_LOG_ERROR,
	       "cannot write to /log: No space left on device; 3 lines dropped, and more until it "
	       "can");
	expect(&trouble, &good, BEGIN, MMPROXY_LOG_INFO,
	       "writing to /log again; 0 more lines were dropped");
	expect(&trouble, &no_space, SOON, MMPROXY_LOG_ERROR,
	       "cannot write to /log: No space left on device; 3 lines dropped, and more until it "
	       "can");
	expect(&trouble, &no_space, SOON + TROUBLE_PAUSE_MS, SILENCE, "");
	expect(&trouble, &good, SOON + TROUBLE_PAUSE_MS, MMPROXY_LOG_INFO,
	       "writing to /log again; 3 more lines were dropped");
}

static void a_disk_that_is_full_again_too_soon_is_told_a_little_later(void **state)
{
	struct trouble trouble = {.target = "/log"};

	(void)state;
	expect(&trouble, &no_space, BEGIN, MMPROXY_LOG_ERROR,
	       "cannot write to /log: No space left on device; 3 lines dropped, and more until it "
	       "can");
	expect(&trouble, &good, BEGIN, MMPROXY_LOG_INFO,
	       "writing to /log again; 0 more lines were dropped");
	expect(&trouble, &no_space, BEGIN + 1, SILENCE, "");
	expect(&trouble, &no_space, SOON - 1, SILENCE, "");
	expect(&trouble, &no_space, SOON, MMPROXY_LOG_ERROR,
	       "cannot write to /log: No space left on device; 9 lines dropped, and more until it "
	       "can");
}

static void a_full_buffer_and_a_full_disk_are_each_told_at_once(void **state)
{
	struct trouble trouble = {.target = "/log"};

	(void)state;
	expect(&trouble, &some_refused, BEGIN, MMPROXY_LOG_WARNING,
	       "2 lines dropped: /log did not take them in time");
	expect(&trouble, &no_space, SOON, MMPROXY_LOG_ERROR,
	       "cannot write to /log: No space left on device; 3 lines dropped, and more until it "
	       "can");
	expect(&trouble, &good, SOON, MMPROXY_LOG_INFO,
	       "writing to /log again; 0 more lines were dropped");
	expect(&trouble, &some_refused, SOON + TROUBLE_PAUSE_MS, MMPROXY_LOG_WARNING,
	       "2 lines dropped: /log did not take them in time");
}

static void a_full_buffer_is_told_once_a_minute(void **state)
{
	struct trouble trouble = {.target = "the journal"};

	(void)state;
	expect(&trouble, &some_refused, BEGIN, MMPROXY_LOG_WARNING,
	       "2 lines dropped: the journal did not take them in time");
	expect(&trouble, &some_refused, BEGIN + 1, SILENCE, "");
	expect(&trouble, &some_refused, LATER, MMPROXY_LOG_WARNING,
	       "4 lines dropped: the journal did not take them in time");
	expect(&trouble, &good, MUCH_LATER, SILENCE, "");
}

static void what_was_held_back_is_said_at_the_end(void **state)
{
	struct trouble trouble = {.target = "/log"};
	char text[TROUBLE_TEXT_SIZE];

	(void)state;
	expect(&trouble, &some_refused, BEGIN, MMPROXY_LOG_WARNING,
	       "2 lines dropped: /log did not take them in time");
	expect(&trouble, &no_space, BEGIN + 1, SILENCE, "");
	assert_int_equal(trouble_note(&trouble, &nothing, BEGIN + 2, true, text),
			 MMPROXY_LOG_WARNING);
	assert_string_equal(text,
			    "3 lines dropped: could not write to /log: No space left on device");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_log_that_works_says_nothing),
		cmocka_unit_test(a_full_disk_is_told_at_once_and_then_once_a_minute),
		cmocka_unit_test(the_recovery_is_told_with_what_was_lost_meanwhile),
		cmocka_unit_test(a_disk_that_fails_now_and_then_does_not_fill_the_log),
		cmocka_unit_test(a_disk_that_goes_on_so_is_told_twice_in_ten_seconds_at_most),
		cmocka_unit_test(a_disk_that_is_full_again_is_told_at_once_again),
		cmocka_unit_test(a_disk_that_is_full_again_too_soon_is_told_a_little_later),
		cmocka_unit_test(a_full_buffer_and_a_full_disk_are_each_told_at_once),
		cmocka_unit_test(a_full_buffer_is_told_once_a_minute),
		cmocka_unit_test(what_was_held_back_is_said_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
