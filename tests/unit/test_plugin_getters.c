/* SPDX-License-Identifier: MIT */
/*
 * A plugin's settings, as it reads them: what each getter takes, what it leaves alone, and what
 * stands in the file's terms about whatever is wrong.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/report.h"
#include "host/plugin_config.h"
#include "host/plugin_getters.h"

static struct mmproxy_config *tree;
static struct report mistakes, warnings;

static int start(void **state)
{
	(void)state;
	report_init(&mistakes);
	report_init(&warnings);
	tree = plugin_config_create("m.conf:3: plugins[0].config", "/etc/mmproxy/");
	if (tree == NULL)
		return -1;
	plugin_config_begin(tree, &mistakes, &warnings);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	plugin_config_destroy(tree);
	report_finish(&mistakes);
	report_finish(&warnings);
	return 0;
}

/* ---- A tree, as the loader of the configuration makes it ---- */

/* `name` is NULL in a list. Where it stands is "<parent>.name", or "<parent>[]". */
static struct mmproxy_config *add(struct mmproxy_config *to, const char *name,
				  enum plugin_config_type type)
{
	char where[128];
	struct mmproxy_config *setting;

	if (name != NULL)
		snprintf(where, sizeof(where), "%s.%s", to->where, name);
	else
		snprintf(where, sizeof(where), "%s[]", to->where);
	setting = plugin_config_add(to, name, where, type);
	assert_non_null(setting);
	return setting;
}

static void add_text(struct mmproxy_config *to, const char *name, const char *text)
{
	add(to, name, PLUGIN_CONFIG_TEXT)->text = strdup(text);
}

static void add_integer(struct mmproxy_config *to, const char *name, int64_t value)
{
	add(to, name, PLUGIN_CONFIG_INTEGER)->integer = value;
}

static void add_float(const char *name, double value)
{
	add(tree, name, PLUGIN_CONFIG_FLOAT)->real = value;
}

static void add_bool(const char *name, bool value)
{
	add(tree, name, PLUGIN_CONFIG_BOOLEAN)->boolean = value;
}

static void expect_lines(struct report *report, const char *due)
{
	char text[2048] = "";

	for (size_t i = 0; i < report->count; i++) {
		strcat(text, report->lines[i]);
		strcat(text, "\n");
	}
	assert_string_equal(text, due);
	report_finish(report);
}

/* Since the test asked last: each mistake on a line of its own. */
static void expect_mistakes(const char *due)
{
	expect_lines(&mistakes, due);
}

static void expect_warnings(const char *due)
{
	expect_lines(&warnings, due);
}

/* ---- Single settings ---- */

static void each_type_is_read(void **state)
{
	const char *text = NULL;
	int64_t integer = 0;
	double real = 0;
	int truth = 0;

	(void)state;
	add_text(tree, "text", "hello");
	add_integer(tree, "integer", INT64_MIN);
	add_float("real", -2.5);
	add_bool("truth", true);
	assert_int_equal(plugin_get_text(tree, "text", &text), 1);
	assert_string_equal(text, "hello");
	assert_int_equal(plugin_get_int(tree, "integer", INT64_MIN, INT64_MAX, &integer), 1);
	assert_true(integer == INT64_MIN);
	assert_int_equal(plugin_get_float(tree, "real", -10, 10, &real), 1);
	assert_true(real == -2.5);
	assert_int_equal(plugin_get_bool(tree, "truth", &truth), 1);
	assert_int_equal(truth, 1);
	expect_mistakes("");
}

static void false_and_the_empty_text_are_values(void **state)
{
	const char *text = "default";
	int truth = 1;

	(void)state;
	add_text(tree, "text", "");
	add_bool("truth", false);
	assert_int_equal(plugin_get_text(tree, "text", &text), 1);
	assert_string_equal(text, "");
	assert_int_equal(plugin_get_bool(tree, "truth", &truth), 1);
	assert_int_equal(truth, 0);
}

static void what_is_not_there_leaves_the_default(void **state)
{
	const char *text = "default";
	int64_t integer = 42;
	double real = 4.2;
	int truth = -1;

	(void)state;
	assert_int_equal(plugin_get_text(tree, "x", &text), 0);
	assert_int_equal(plugin_get_item(tree, "x", 0, &text), 0);
	assert_int_equal(plugin_get_path(tree, "x", 0, &text), 0);
	assert_int_equal(plugin_get_int(tree, "x", 1, 2, &integer), 0);
	assert_int_equal(plugin_get_float(tree, "x", 1, 2, &real), 0);
	assert_int_equal(plugin_get_bool(tree, "x", &truth), 0);
	assert_int_equal(plugin_get_count(tree, "x"), 0);
	assert_null(plugin_get_group(tree, "x", 0));
	assert_string_equal(text, "default");
	assert_int_equal(integer, 42);
	assert_true(real == 4.2);
	assert_int_equal(truth, -1);
	expect_mistakes("");
}

static void the_bounds_are_allowed_and_what_is_beyond_is_not(void **state)
{
	int64_t value = 0;

	(void)state;
	add_integer(tree, "n", 10);
	assert_int_equal(plugin_get_int(tree, "n", 10, 20, &value), 1);
	assert_int_equal(plugin_get_int(tree, "n", -5, 10, &value), 1);
	assert_int_equal(value, 10);
	expect_mistakes("");
	value = 7;
	assert_int_equal(plugin_get_int(tree, "n", 11, 20, &value), -EINVAL);
	assert_int_equal(plugin_get_int(tree, "n", -20, 9, &value), -EINVAL);
	assert_int_equal(value, 7);
	expect_mistakes("m.conf:3: plugins[0].config.n: 10 is out of range; write 11 to 20\n"
			"m.conf:3: plugins[0].config.n: 10 is out of range; write -20 to 9\n");
}

static void the_largest_numbers_are_told_whole(void **state)
{
	int64_t value = 7;

	(void)state;
	add_integer(tree, "n", INT64_MIN);
	assert_int_equal(plugin_get_int(tree, "n", INT64_MIN + 1, INT64_MAX, &value), -EINVAL);
	expect_mistakes("m.conf:3: plugins[0].config.n: -9223372036854775808 is out of range; "
			"write -9223372036854775807 to 9223372036854775807\n");
}

static void a_number_with_a_point_has_bounds_and_may_be_whole(void **state)
{
	double value = 0;

	(void)state;
	add_float("f", 0.25);
	add_integer(tree, "n", 3);
	assert_int_equal(plugin_get_float(tree, "f", 0.25, 1, &value), 1);
	assert_int_equal(plugin_get_float(tree, "f", 0, 0.25, &value), 1);
	assert_true(value == 0.25);
	assert_int_equal(plugin_get_float(tree, "n", 0, 3, &value), 1);
	assert_true(value == 3);
	expect_mistakes("");
	assert_int_equal(plugin_get_float(tree, "f", 0.5, 1, &value), -EINVAL);
	assert_int_equal(plugin_get_float(tree, "n", 0, 2.5, &value), -EINVAL);
	assert_true(value == 3);
	expect_mistakes("m.conf:3: plugins[0].config.f: 0.25 is out of range; write 0.5 to 1\n"
			"m.conf:3: plugins[0].config.n: 3 is out of range; write 0 to 2.5\n");
}

static void what_is_no_number_is_out_of_every_range(void **state)
{
	double value = 1;

	(void)state;
	add_float("nan", (double)NAN);
	add_float("inf", (double)INFINITY);
	assert_int_equal(plugin_get_float(tree, "nan", 0, 10, &value), -EINVAL);
	assert_int_equal(plugin_get_float(tree, "nan", -(double)INFINITY, (double)INFINITY, &value),
			 -EINVAL);
	assert_int_equal(plugin_get_float(tree, "inf", 0, 10, &value), -EINVAL);
	assert_true(value == 1);
	expect_mistakes("m.conf:3: plugins[0].config.nan: nan is out of range; write 0 to 10\n"
			"m.conf:3: plugins[0].config.nan: nan is out of range; write -inf to inf\n"
			"m.conf:3: plugins[0].config.inf: inf is out of range; write 0 to 10\n");
	assert_int_equal(plugin_get_float(tree, "inf", 0, (double)INFINITY, &value), 1);
}

static void the_wrong_type_is_told_with_the_right_one(void **state)
{
	const char *text = "default";
	int64_t integer = 42;
	double real = 4.2;
	int truth = -1;

	(void)state;
	add_text(tree, "t", "hello");
	add_integer(tree, "n", 1);
	add_float("f", 1.0);
	add_bool("b", true);
	add(tree, "l", PLUGIN_CONFIG_LIST);
	add(tree, "g", PLUGIN_CONFIG_GROUP);
	assert_int_equal(plugin_get_text(tree, "n", &text), -EINVAL);
	assert_int_equal(plugin_get_text(tree, "l", &text), -EINVAL);
	assert_int_equal(plugin_get_int(tree, "f", 0, 9, &integer), -EINVAL);
	assert_int_equal(plugin_get_int(tree, "t", 0, 9, &integer), -EINVAL);
	assert_int_equal(plugin_get_float(tree, "b", 0, 9, &real), -EINVAL);
	assert_int_equal(plugin_get_bool(tree, "n", &truth), -EINVAL);
	assert_int_equal(plugin_get_bool(tree, "g", &truth), -EINVAL);
	assert_string_equal(text, "default");
	assert_int_equal(integer, 42);
	assert_true(real == 4.2);
	assert_int_equal(truth, -1);
	expect_mistakes(
		"m.conf:3: plugins[0].config.n: wrong type, this is a whole number; write a text "
		"in double quotes\n"
		"m.conf:3: plugins[0].config.l: wrong type, this is a list; write a text in double "
		"quotes\n"
		"m.conf:3: plugins[0].config.f: wrong type, this is a number with a point; write a "
		"whole number\n"
		"m.conf:3: plugins[0].config.t: wrong type, this is a text; write a whole number\n"
		"m.conf:3: plugins[0].config.b: wrong type, this is true or false; write a number\n"
		"m.conf:3: plugins[0].config.n: wrong type, this is a whole number; write true or "
		"false\n"
		"m.conf:3: plugins[0].config.g: wrong type, this is a group { }; write true or "
		"false\n");
}

/* ---- Lists and groups ---- */

static void a_single_value_is_a_list_of_one(void **state)
{
	const char *text = NULL;

	(void)state;
	add_text(tree, "one", "alone");
	assert_int_equal(plugin_get_count(tree, "one"), 1);
	assert_int_equal(plugin_get_item(tree, "one", 0, &text), 1);
	assert_string_equal(text, "alone");
	assert_int_equal(plugin_get_item(tree, "one", 1, &text), 0);
	assert_string_equal(text, "alone");
}

static void a_list_is_read_by_index(void **state)
{
	struct mmproxy_config *list = add(tree, "list", PLUGIN_CONFIG_LIST);
	const char *text = NULL;

	(void)state;
	add_text(list, NULL, "first");
	add_text(list, NULL, "second");
	add_integer(list, NULL, 3);
	assert_int_equal(plugin_get_count(tree, "list"), 3);
	assert_int_equal(plugin_get_item(tree, "list", 0, &text), 1);
	assert_string_equal(text, "first");
	assert_int_equal(plugin_get_item(tree, "list", 1, &text), 1);
	assert_string_equal(text, "second");
	assert_int_equal(plugin_get_item(tree, "list", 2, &text), -EINVAL);
	assert_int_equal(plugin_get_item(tree, "list", 3, &text), 0);
	assert_int_equal(plugin_get_item(tree, "list", UINT32_MAX, &text), 0);
	assert_string_equal(text, "second");
	expect_mistakes("m.conf:3: plugins[0].config.list[]: wrong type, this is a whole number; "
			"write a text in double quotes\n");
}

static void an_empty_list_has_nothing_in_it(void **state)
{
	const char *text = "default";

	(void)state;
	add(tree, "list", PLUGIN_CONFIG_LIST);
	assert_int_equal(plugin_get_count(tree, "list"), 0);
	assert_int_equal(plugin_get_item(tree, "list", 0, &text), 0);
	assert_null(plugin_get_group(tree, "list", 0));
	assert_string_equal(text, "default");
	expect_mistakes("");
}

static void groups_are_read_alone_or_from_a_list(void **state)
{
	struct mmproxy_config *alone = add(tree, "alone", PLUGIN_CONFIG_GROUP);
	struct mmproxy_config *list = add(tree, "list", PLUGIN_CONFIG_LIST);
	struct mmproxy_config *first = add(list, NULL, PLUGIN_CONFIG_GROUP);
	struct mmproxy_config *second = add(list, NULL, PLUGIN_CONFIG_GROUP);
	int64_t value = 0;

	(void)state;
	add_integer(alone, "n", 1);
	add_integer(first, "n", 2);
	add_integer(second, "n", 3);
	add_text(list, NULL, "no group");
	assert_ptr_equal(plugin_get_group(tree, "alone", 0), alone);
	assert_null(plugin_get_group(tree, "alone", 1));
	assert_ptr_equal(plugin_get_group(tree, "list", 0), first);
	assert_ptr_equal(plugin_get_group(tree, "list", 1), second);
	assert_int_equal(plugin_get_int(second, "n", 0, 9, &value), 1);
	assert_int_equal(value, 3);
	assert_null(plugin_get_group(tree, "list", 3));
	expect_mistakes("");
	assert_null(plugin_get_group(tree, "list", 2));
	assert_int_equal(plugin_get_int(first, "n", 5, 9, &value), -EINVAL);
	expect_mistakes(
		"m.conf:3: plugins[0].config.list[]: wrong type, this is a text; write a group { "
		"}\n"
		"m.conf:3: plugins[0].config.list[].n: 2 is out of range; write 5 to 9\n");
}

/* ---- Paths ---- */

static void a_relative_path_starts_at_the_configuration(void **state)
{
	struct mmproxy_config *list = add(tree, "files", PLUGIN_CONFIG_LIST);
	const char *path = NULL, *again = NULL;

	(void)state;
	add_text(list, NULL, "allow/one.txt");
	add_text(list, NULL, "/srv/two.txt");
	add_text(list, NULL, "../three.txt");
	add_text(tree, "file", "four");
	assert_int_equal(plugin_get_path(tree, "files", 0, &path), 1);
	assert_string_equal(path, "/etc/mmproxy/allow/one.txt");
	assert_int_equal(plugin_get_path(tree, "files", 1, &path), 1);
	assert_string_equal(path, "/srv/two.txt");
	assert_int_equal(plugin_get_path(tree, "files", 2, &path), 1);
	assert_string_equal(path, "/etc/mmproxy/../three.txt");
	assert_int_equal(plugin_get_path(tree, "files", 3, &path), 0);
	assert_int_equal(plugin_get_path(tree, "file", 0, &path), 1);
	assert_string_equal(path, "/etc/mmproxy/four");
	/* What it points to is good until the hook returns. */
	assert_int_equal(plugin_get_path(tree, "file", 0, &again), 1);
	assert_ptr_equal(again, path);
	expect_mistakes("");
}

static void an_empty_path_is_a_mistake_and_so_is_a_number(void **state)
{
	const char *path = "default";

	(void)state;
	add_text(tree, "file", "");
	add_integer(tree, "number", 7);
	assert_int_equal(plugin_get_path(tree, "file", 0, &path), -EINVAL);
	assert_int_equal(plugin_get_path(tree, "number", 0, &path), -EINVAL);
	assert_string_equal(path, "default");
	expect_mistakes("m.conf:3: plugins[0].config.file: it is empty; write a path, or leave the "
			"setting out\n"
			"m.conf:3: plugins[0].config.number: wrong type, this is a whole number; "
			"write a text in double quotes\n");
}

/* ---- What nobody asked for ---- */

static void a_setting_that_nobody_asked_for_has_no_effect_and_says_so(void **state)
{
	struct mmproxy_config *list = add(tree, "list", PLUGIN_CONFIG_LIST);
	struct mmproxy_config *group = add(tree, "unknown", PLUGIN_CONFIG_GROUP);
	const struct mmproxy_config *element;
	int64_t value;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct mmproxy_config *child = add(list, NULL, PLUGIN_CONFIG_GROUP);

		add_integer(child, "known", 1);
		add_integer(child, i == 0 ? "typo" : "unread", 1);
	}
	add_integer(group, "inside", 1);
	add_integer(tree, "known", 1);
	plugin_get_int(tree, "known", 0, 9, &value);
	for (unsigned i = 0; (element = plugin_get_group(tree, "list", i)) != NULL; i++)
		plugin_get_int(element, "known", 0, 9, &value);
	plugin_config_end(tree, true);
	expect_mistakes("");
	/* A group that is unknown as a whole is told once. */
	expect_warnings(
		"m.conf:3: plugins[0].config.list[].typo: the plugin has no such setting; "
		"correct its name, or remove it\n"
		"m.conf:3: plugins[0].config.list[].unread: the plugin has no such setting; "
		"correct its name, or remove it\n"
		"m.conf:3: plugins[0].config.unknown: the plugin has no such setting; "
		"correct its name, or remove it\n");
}

static void a_setting_that_was_asked_for_in_vain_was_asked_for(void **state)
{
	const char *text;

	(void)state;
	add_integer(tree, "wrong", 1);
	add(tree, "counted", PLUGIN_CONFIG_LIST);
	add_text(tree, "judged", "x");
	plugin_get_text(tree, "wrong", &text);
	plugin_get_count(tree, "counted");
	plugin_report_warning(tree, "judged", "an x is not much");
	report_finish(&warnings);
	plugin_config_end(tree, true);
	expect_warnings("");
}

static void what_a_hook_that_gave_up_did_not_read_is_not_told(void **state)
{
	(void)state;
	add_integer(tree, "unread", 1);
	plugin_config_end(tree, false);
	expect_warnings("");
}

static void a_second_hook_has_to_ask_again(void **state)
{
	const char *path = NULL;
	int64_t value;

	(void)state;
	add_integer(tree, "n", 1);
	add_text(tree, "file", "one");
	plugin_get_int(tree, "n", 0, 9, &value);
	plugin_get_path(tree, "file", 0, &path);
	plugin_config_end(tree, true);
	expect_warnings("");

	plugin_config_begin(tree, &mistakes, &warnings);
	assert_int_equal(plugin_get_path(tree, "file", 0, &path), 1);
	assert_string_equal(path, "/etc/mmproxy/one");
	plugin_config_end(tree, true);
	expect_warnings("m.conf:3: plugins[0].config.n: the plugin has no such setting; correct "
			"its name, or remove it\n");
}

/* ---- What a plugin finds itself ---- */

static void a_finding_stands_at_its_setting_or_at_its_group(void **state)
{
	struct mmproxy_config *group = add(tree, "group", PLUGIN_CONFIG_GROUP);

	(void)state;
	add_integer(group, "n", 1);
	plugin_report_mistake(group, "n", "1 is odd; write 2");
	plugin_report_mistake(group, "m", "it is missing; write one");
	plugin_report_mistake(group, NULL, "n and m exclude each other; drop one");
	plugin_report_warning(tree, NULL, "nobody is denied; is that meant?");
	expect_mistakes(
		"m.conf:3: plugins[0].config.group.n: 1 is odd; write 2\n"
		"m.conf:3: plugins[0].config.group.m: it is missing; write one\n"
		"m.conf:3: plugins[0].config.group: n and m exclude each other; drop one\n");
	expect_warnings("m.conf:3: plugins[0].config: nobody is denied; is that meant?\n");
}

static void what_the_plugin_says_is_no_format_and_has_no_control_characters(void **state)
{
	(void)state;
	plugin_report_mistake(tree, NULL, "100%s and\n\x1b[31mred");
	expect_mistakes("m.conf:3: plugins[0].config: 100%s and\\x0a\\x1b[31mred\n");
}

static void outside_a_hook_nothing_is_reported(void **state)
{
	int64_t value = 7;

	(void)state;
	add_text(tree, "n", "x");
	plugin_config_end(tree, false);
	assert_int_equal(plugin_get_int(tree, "n", 0, 9, &value), -EINVAL);
	plugin_report_mistake(tree, "n", "no");
	plugin_report_warning(tree, NULL, "no");
	assert_int_equal(value, 7);
	expect_mistakes("");
	expect_warnings("");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(each_type_is_read),
		TEST(false_and_the_empty_text_are_values),
		TEST(what_is_not_there_leaves_the_default),
		TEST(the_bounds_are_allowed_and_what_is_beyond_is_not),
		TEST(the_largest_numbers_are_told_whole),
		TEST(a_number_with_a_point_has_bounds_and_may_be_whole),
		TEST(what_is_no_number_is_out_of_every_range),
		TEST(the_wrong_type_is_told_with_the_right_one),
		TEST(a_single_value_is_a_list_of_one),
		TEST(a_list_is_read_by_index),
		TEST(an_empty_list_has_nothing_in_it),
		TEST(groups_are_read_alone_or_from_a_list),
		TEST(a_relative_path_starts_at_the_configuration),
		TEST(an_empty_path_is_a_mistake_and_so_is_a_number),
		TEST(a_setting_that_nobody_asked_for_has_no_effect_and_says_so),
		TEST(a_setting_that_was_asked_for_in_vain_was_asked_for),
		TEST(what_a_hook_that_gave_up_did_not_read_is_not_told),
		TEST(a_second_hook_has_to_ask_again),
		TEST(a_finding_stands_at_its_setting_or_at_its_group),
		TEST(what_the_plugin_says_is_no_format_and_has_no_control_characters),
		TEST(outside_a_hook_nothing_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
