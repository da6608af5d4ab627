/* SPDX-License-Identifier: MIT */
/* "Did you mean": how far apart two words are, and which of many was meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/suggest.h"

static void distances_count_letters(void **state)
{
	(void)state;
	assert_int_equal(suggest_distance("", ""), 0);
	assert_int_equal(suggest_distance("abc", ""), 3);
	assert_int_equal(suggest_distance("drain", "drain"), 0);
	assert_int_equal(suggest_distance("drian", "drain"), 1);
	assert_int_equal(suggest_distance("dran", "drain"), 1);
	assert_int_equal(suggest_distance("drainn", "drain"), 1);
	assert_int_equal(suggest_distance("train", "drain"), 1);
	assert_int_equal(suggest_distance("kitten", "sitting"), 3);
}

#define COUNT(names) (sizeof(names) / sizeof((names)[0]))

static void the_nearest_name_is_meant(void **state)
{
	static const char *const names[] = {"drain", "train", "header_timeout", "user"};

	(void)state;
	assert_string_equal(suggest_nearest("drian", names, COUNT(names)), "drain");
	assert_string_equal(suggest_nearest("trin", names, COUNT(names)), "train");
	assert_string_equal(suggest_nearest("usr", names, COUNT(names)), "user");
	assert_string_equal(suggest_nearest("haeder-timout", names, COUNT(names)),
			    "header_timeout");
	assert_null(suggest_nearest("us", names, COUNT(names) - 1));
	assert_null(suggest_nearest("brake", names, COUNT(names)));
	assert_null(suggest_nearest("", names, COUNT(names)));
	assert_null(suggest_nearest("a-word-that-is-longer-than-any-name", names, COUNT(names)));
}

static void a_beginning_is_enough_when_it_is_of_one_name(void **state)
{
	static const char *const names[] = {"max_header", "max_sessions", "backlog"};

	(void)state;
	assert_string_equal(suggest_nearest("max_s", names, COUNT(names)), "max_sessions");
	assert_null(suggest_nearest("max_", names, COUNT(names)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(distances_count_letters),
		cmocka_unit_test(the_nearest_name_is_meant),
		cmocka_unit_test(a_beginning_is_enough_when_it_is_of_one_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
