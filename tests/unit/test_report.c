/* SPDX-License-Identifier: MIT */
/* Lines of a report: which of them another try would meet again, and which it may not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/report.h"

static int begin(void **state)
{
	static struct report report;

	report_init(&report);
	*state = &report;
	return 0;
}

static int end(void **state)
{
	report_finish(*state);
	return 0;
}

static void a_mistake_is_one_among_failures(void **state)
{
	struct report *report = *state;

	report_add_failure(report, "out of memory");
	assert_false(report_has_mistake(report));
	report_add(report, "unknown setting");
	report_add_failure(report, "out of memory");
	assert_true(report_has_mistake(report));
	assert_true(report->failed[0]);
	assert_false(report->failed[1]);
	assert_true(report->failed[2]);
}

static void a_mistake_is_left_when_the_failures_behind_it_are_cut(void **state)
{
	struct report *report = *state;

	report_add(report, "unknown setting");
	report_add_failure(report, "out of memory");
	report_cut(report, 1);
	assert_true(report_has_mistake(report));
}

static void a_failure_that_is_excused_hides_no_mistake(void **state)
{
	struct report *report = *state;

	report_add_failure(report, "out of memory");
	report_excuse(report, 0);
	report_add(report, "unknown setting");
	assert_true(report_has_mistake(report));
}

static void what_is_excused_is_no_mistake_and_what_stood_before_stays_one(void **state)
{
	struct report *report = *state;

	report_add(report, "unknown setting");
	report_add(report, "no thread for it");
	report_excuse(report, 1);
	assert_true(report_has_mistake(report));
	report_finish(report);
	report_add(report, "no thread for it");
	report_excuse(report, 0);
	assert_false(report_has_mistake(report));
}

static void memory_and_descriptors_that_have_run_out_are_nobodys_mistake(void **state)
{
	static const int passing[] = {-ENOMEM, -EAGAIN, -EMFILE, -ENFILE};
	struct report *report = *state;

	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		report_add_error(report, passing[i], "cannot read it");
	assert_int_equal(report->count, 4);
	assert_false(report_has_mistake(report));
	report_add_error(report, -ENOENT, "cannot read it");
	assert_true(report_has_mistake(report));
}

static void a_line_has_no_control_characters(void **state)
{
	struct report *report = *state;

	report_add(report, "\"%s\" is unknown", "a\nb\x1b[31m\x7f");
	assert_string_equal(report->lines[0], "\"a\\x0ab\\x1b[31m\\x7f\" is unknown");
}

static void the_last_line_says_that_there_are_more(void **state)
{
	struct report *report = *state;

	for (unsigned i = 0; i < REPORT_LINES_MAX; i++)
		report_add(report, "mistake %u", i);
	assert_false(report->lost);
	assert_int_equal(report->count, REPORT_LINES_MAX);
	assert_string_equal(report->lines[REPORT_LINES_MAX - 1],
			    "there are more of them; they are shown once these are gone");
	report_add(report, "one too many");
	assert_true(report->lost);
	assert_int_equal(report->count, REPORT_LINES_MAX);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(a_mistake_is_one_among_failures),
		TEST(a_mistake_is_left_when_the_failures_behind_it_are_cut),
		TEST(a_failure_that_is_excused_hides_no_mistake),
		TEST(what_is_excused_is_no_mistake_and_what_stood_before_stays_one),
		TEST(memory_and_descriptors_that_have_run_out_are_nobodys_mistake),
		TEST(a_line_has_no_control_characters),
		TEST(the_last_line_says_that_there_are_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
