/* SPDX-License-Identifier: MIT */
/* mmproxyctl: figures for people, durations read, and texts that a terminal may be given. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "ctl/format.h"

static void bytes_have_three_digits_at_most(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *due;
	} rows[] = {
		{0, "0 B"},
		{999, "999 B"},
		{1000, "1.0 KiB"},
		{1024, "1.0 KiB"},
		{1536, "1.5 KiB"},
		{10188, "9.9 KiB"},
		{10189, "10 KiB"},
		{1023487, "999 KiB"},
		{1023488, "1.0 MiB"},
		{UINT64_C(5) << 30, "5.0 GiB"},
		{UINT64_C(234) << 40, "234 TiB"},
		{UINT64_MAX, "16 EiB"},
	};
	char text[FORMAT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(format_bytes(rows[i].bytes, text), rows[i].due);
}

static void durations_have_two_units_at_most(void **state)
{
	static const struct {
		double seconds;
		const char *due;
	} rows[] = {
		{0, "0.0s"},       {0.44, "0.4s"},          {9.94, "9.9s"},
		{9.96, "9s"},      {59.9, "59s"},           {60, "1m00s"},
		{785, "13m05s"},   {3599, "59m59s"},        {3600, "1h00m"},
		{7980, "2h13m"},   {86399, "23h59m"},       {86400, "1d00h"},
		{273600, "3d04h"}, {8639999, "99d23h"},     {8640000, "100d"},
		{-1, "-"},         {(double)INFINITY, "-"}, {(double)NAN, "-"},
	};
	char text[FORMAT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(format_duration(rows[i].seconds, text), rows[i].due);
}

static void rates_are_short_and_an_unknown_one_is_a_dash(void **state)
{
	static const struct {
		double rate;
		const char *due;
	} rows[] = {
		{0, "0"},
		{0.04, "0.0"},
		{0.5, "0.5"},
		{9.94, "9.9"},
		{9.96, "10"},
		{999.4, "999"},
		{999.6, "1.0k"},
		{12345, "12.3k"},
		{123456, "123k"},
		{1234567, "1.2M"},
		{-1, "-"},
		{(double)NAN, "-"},
		{(double)INFINITY, "-"},
	};
	char text[FORMAT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(format_rate(rows[i].rate, text), rows[i].due);
	assert_string_equal(format_byte_rate(1536, text), "1.5 KiB/s");
	assert_string_equal(format_byte_rate(0, text), "0 B/s");
	assert_string_equal(format_byte_rate(-1, text), "-");
	assert_string_equal(format_byte_rate((double)INFINITY, text), "-");
}

static void a_time_is_local_and_none_is_a_dash(void **state)
{
	char text[FORMAT_SIZE];

	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	assert_string_equal(format_time(1700000000.9, text), "2023-11-14 22:13:20");
	assert_string_equal(format_time(0, text), "-");
	assert_string_equal(format_time(-5, text), "-");
	assert_string_equal(format_time(1e18, text), "-");
}

static void durations_are_read_with_their_units(void **state)
{
	(void)state;
	assert_true(format_parse_duration("90") == 90);
	assert_true(format_parse_duration("90s") == 90);
	assert_true(format_parse_duration("5m") == 300);
	assert_true(format_parse_duration("1.5h") == 5400);
	assert_true(format_parse_duration("2d") == 172800);
	assert_true(format_parse_duration("1h30m") == 5400);
	assert_true(format_parse_duration("0") == 0);
	assert_true(format_parse_duration("0.5") == 0.5);
	assert_true(format_parse_duration("10000d") == 864e6);
}

static void what_is_no_duration_is_refused(void **state)
{
	static const char *const texts[] = {"",
					    "s",
					    "-5",
					    "5 m",
					    "5x",
					    "1h30",
					    "inf",
					    "1e9",
					    "0x10",
					    ".",
					    "1..5",
					    "10001d",
					    "9999999999999",
					    "11111111111111111111111111111111111111s"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_true(format_parse_duration(texts[i]) < 0);
}

static void nothing_steers_the_terminal(void **state)
{
	char text[64];

	(void)state;
	assert_int_equal(format_printable(text, sizeof(text), "\x1b]0;owned\x07"), 16);
	assert_string_equal(text, "\\x1b]0;owned\\x07");
	format_printable(text, sizeof(text),
			 "a\nb\x7f\x9b"
			 "c\"\\");
	assert_string_equal(text, "a\\x0ab\\x7f\\x9bc\"\\");
}

static void what_does_not_fit_is_cut_whole(void **state)
{
	/* A block that ends where it should, for AddressSanitizer. */
	char *text = malloc(6);

	(void)state;
	assert_non_null(text);
	assert_int_equal(format_printable(text, 6,
					  "ab\x1b"
					  "c"),
			 2);
	assert_string_equal(text, "ab");
	assert_int_equal(format_printable(text, 6,
					  "a\x1b"
					  "c"),
			 5);
	assert_string_equal(text, "a\\x1b");
	assert_int_equal(format_printable(text, 1, "abc"), 0);
	assert_string_equal(text, "");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_have_three_digits_at_most),
		cmocka_unit_test(durations_have_two_units_at_most),
		cmocka_unit_test(rates_are_short_and_an_unknown_one_is_a_dash),
		cmocka_unit_test(a_time_is_local_and_none_is_a_dash),
		cmocka_unit_test(durations_are_read_with_their_units),
		cmocka_unit_test(what_is_no_duration_is_refused),
		cmocka_unit_test(nothing_steers_the_terminal),
		cmocka_unit_test(what_does_not_fit_is_cut_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
