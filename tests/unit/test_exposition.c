/* SPDX-License-Identifier: MIT */
/* Prometheus' text format, as it reaches the reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/histogram.h"
#include "daemon/metrics/exposition.h"

static struct exposition exposition;

static int begin(void **state)
{
	(void)state;
	return exposition_begin(&exposition);
}

/* Ends it: this is the whole text. */
static void expect_text(const char *due)
{
	char *text = exposition_end(&exposition);

	assert_non_null(text);
	assert_string_equal(text, due);
	free(text);
}

static void nothing_is_an_empty_text(void **state)
{
	(void)state;
	expect_text("");
}

static void a_family_is_announced_with_its_help_and_its_type(void **state)
{
	(void)state;
	exposition_family(&exposition, "a_total", EXPOSITION_COUNTER, "What \"a\" is.");
	exposition_number(&exposition, "a_total", NULL, 7);
	exposition_family(&exposition, "b", EXPOSITION_GAUGE, "One\nand \\ two.");
	expect_text("# HELP a_total What \"a\" is.\n# TYPE a_total counter\na_total 7\n"
		    "# HELP b One\\nand \\\\ two.\n# TYPE b gauge\n");
}

static void labels_stand_in_their_order(void **state)
{
	(void)state;
	exposition_number(&exposition, "a",
			  EXPOSITION_LABELS({"one", "1"}, {"two", ""}, {"three", "3"}), 0);
	expect_text("a{one=\"1\",two=\"\",three=\"3\"} 0\n");
}

static void a_list_of_no_labels_has_no_braces(void **state)
{
	(void)state;
	exposition_number(&exposition, "a", EXPOSITION_LABELS({NULL, NULL}), 1);
	expect_text("a 1\n");
}

static void a_labels_value_may_be_any_text(void **state)
{
	(void)state;
	exposition_number(&exposition, "a",
			  EXPOSITION_LABELS({"v", "quote \" slash \\ end\n{=,} \xc3\xa9"}), 1);
	expect_text("a{v=\"quote \\\" slash \\\\ end\\n{=,} \xc3\xa9\"} 1\n");
}

static void the_largest_number_is_written_whole(void **state)
{
	(void)state;
	exposition_number(&exposition, "a", NULL, UINT64_MAX);
	expect_text("a 18446744073709551615\n");
}

static void seconds_have_all_their_microseconds(void **state)
{
	(void)state;
	exposition_seconds(&exposition, "a", NULL, 12000034);
	exposition_seconds(&exposition, "a", EXPOSITION_LABELS({"of", "b"}), 999999);
	expect_text("a 12.000034\na{of=\"b\"} 0.999999\n");
}

static void a_histograms_buckets_are_cumulative_and_in_seconds(void **state)
{
	struct histogram_sum sum = {.count = 10, .sum = 25000007};

	(void)state;
	sum.buckets[0] = 1;                     /* up to 100 us */
	sum.buckets[3] = 2;                     /* up to 1 ms */
	sum.buckets[12] = 3;                    /* up to 1 s */
	sum.buckets[HISTOGRAM_BUCKETS - 1] = 4; /* past 10 s */
	exposition_histogram(&exposition, "t", &sum);
	expect_text("t_bucket{le=\"0.0001\"} 1\n"
		    "t_bucket{le=\"0.00025\"} 1\n"
		    "t_bucket{le=\"0.0005\"} 1\n"
		    "t_bucket{le=\"0.001\"} 3\n"
		    "t_bucket{le=\"0.0025\"} 3\n"
		    "t_bucket{le=\"0.005\"} 3\n"
		    "t_bucket{le=\"0.01\"} 3\n"
		    "t_bucket{le=\"0.025\"} 3\n"
		    "t_bucket{le=\"0.05\"} 3\n"
		    "t_bucket{le=\"0.1\"} 3\n"
		    "t_bucket{le=\"0.25\"} 3\n"
		    "t_bucket{le=\"0.5\"} 3\n"
		    "t_bucket{le=\"1\"} 6\n"
		    "t_bucket{le=\"2.5\"} 6\n"
		    "t_bucket{le=\"5\"} 6\n"
		    "t_bucket{le=\"10\"} 6\n"
		    "t_bucket{le=\"+Inf\"} 10\n"
		    "t_sum 25.000007\n"
		    "t_count 10\n");
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_an_empty_text),
		TEST(a_family_is_announced_with_its_help_and_its_type),
		TEST(labels_stand_in_their_order),
		TEST(a_list_of_no_labels_has_no_braces),
		TEST(a_labels_value_may_be_any_text),
		TEST(the_largest_number_is_written_whole),
		TEST(seconds_have_all_their_microseconds),
		TEST(a_histograms_buckets_are_cumulative_and_in_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
