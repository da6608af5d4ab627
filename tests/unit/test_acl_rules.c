/* SPDX-License-Identifier: MIT */
/*
 * The lists of the plugin acl, read from a configuration and files of the test's own: what decides
 * about whom, and what is reported about lists that are no good.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rules.h"
#include "scratch.h"

#define VALUES 8
#define LINES  8

/* mmproxy's side: four settings with their values, and what has been reported. */
struct mmproxy_config {
	const char *keys[4];
	const char *values[4][VALUES];
	unsigned mistakes, warnings;
	char mistake[LINES][1200], warning[LINES][1200];
};

static struct mmproxy_config config;

/* Adds a value to a setting. */
static void set(const char *key, const char *value)
{
	unsigned setting = 0, place = 0;

	while (config.keys[setting] != NULL && strcmp(config.keys[setting], key) != 0)
		setting++;
	config.keys[setting] = key;
	while (config.values[setting][place] != NULL)
		place++;
	config.values[setting][place] = value;
}

static const char *value_of(const struct mmproxy_config *of, const char *key, unsigned index)
{
	for (unsigned setting = 0; setting < 4; setting++)
		if (of->keys[setting] != NULL && strcmp(of->keys[setting], key) == 0)
			return index < VALUES ? of->values[setting][index] : NULL;
	return NULL;
}

static int config_count(const struct mmproxy_config *of, const char *key)
{
	int count = 0;

	while (value_of(of, key, (unsigned)count) != NULL)
		count++;
	return count;
}

/* A value that begins with '!' stands for one of the wrong type. */
static int config_item(const struct mmproxy_config *of, const char *key, unsigned index,
		       const char **value)
{
	const char *found = value_of(of, key, index);

	if (found == NULL)
		return 0;
	if (found[0] == '!')
		return -EINVAL;
	*value = found;
	return 1;
}

static void config_mistake(const struct mmproxy_config *of, const char *key, const char *message)
{
	assert_ptr_equal(of, &config);
	assert_true(config.mistakes < LINES);
	snprintf(config.mistake[config.mistakes++], sizeof(config.mistake[0]), "%s: %s", key,
		 message);
}

static void config_warning(const struct mmproxy_config *of, const char *key, const char *message)
{
	assert_ptr_equal(of, &config);
	assert_true(config.warnings < LINES);
	snprintf(config.warning[config.warnings++], sizeof(config.warning[0]), "%s: %s", key,
		 message);
}

static const struct mmproxy_host host = {
	.size = sizeof(host),
	.config_count = config_count,
	.config_item = config_item,
	.config_path = config_item,
	.config_mistake = config_mistake,
	.config_warning = config_warning,
};

static int begin(void **state)
{
	memset(&config, 0, sizeof(config));
	return scratch_begin(state);
}

/* Reads good lists, without a warning. */
static struct acl_rules read_rules(void)
{
	struct acl_rules rules;

	if (acl_rules_read(&rules, &host, &config) != 0 || config.warnings > 0)
		fail_msg("%s%s", config.mistake[0], config.warning[0]);
	return rules;
}

/* Reads lists of which one is no good, and expects this to be all there is to say. */
static void expect_mistake(const char *file, const char *message)
{
	char expected[1200];
	struct acl_rules rules;

	snprintf(expected, sizeof(expected), "%s%s%s", file != NULL ? "deny_files: " : "",
		 file != NULL ? scratch_path(file) : "", message);
	assert_int_equal(acl_rules_read(&rules, &host, &config), -EINVAL);
	assert_string_equal(config.mistake[0], expected);
	assert_int_equal(config.mistakes, 1);
}

/* Why a client is allowed ("+...") or denied ("-..."); "" when nothing decides. */
static const char *why(const struct acl_rules *rules, const char *client)
{
	static char text[ACL_RULES_WHY_SIZE + 1];
	struct mmproxy_address address = {.family = AF_INET, .port = 41000};
	const struct acl_entry *entry;

	if (inet_pton(AF_INET, client, address.ip) != 1) {
		address.family = AF_INET6;
		assert_int_equal(inet_pton(AF_INET6, client, address.ip), 1);
	}
	entry = acl_rules_find(rules, &address);
	if (entry == NULL)
		return "";
	text[0] = rules->sources[entry->source].allow ? '+' : '-';
	acl_rules_explain(rules, entry, text + 1);
	return text;
}

static void no_list_decides_nothing(void **state)
{
	struct acl_rules rules = read_rules();

	(void)state;
	assert_string_equal(why(&rules, "192.0.2.1"), "");
	assert_string_equal(why(&rules, "::1"), "");
	assert_false(acl_rules_has(&rules, true));
	assert_false(acl_rules_has(&rules, false));
	acl_rules_finish(&rules);
}

static void the_most_specific_prefix_of_all_lists_decides(void **state)
{
	struct acl_rules rules;

	(void)state;
	set("deny", "10.0.0.0/8");
	set("deny", "10.1.2.3");
	set("allow", "10.1.0.0/16");
	set("deny_files", scratch_write("bad.txt", "# bad\n\n10.1.7.0/24\n2001:db8::/32"));
	set("allow_files", scratch_write("good.txt", "2001:db8:1::/48\r\n"));
	rules = read_rules();
	assert_string_equal(why(&rules, "10.2.0.1"), "-10.0.0.0/8 in deny");
	assert_string_equal(why(&rules, "10.1.0.1"), "+10.1.0.0/16 in allow");
	assert_string_equal(why(&rules, "10.1.2.3"), "-10.1.2.3/32 in deny");
	assert_string_equal(why(&rules, "10.1.7.255"), "-10.1.7.0/24 in bad.txt:3");
	assert_string_equal(why(&rules, "2001:db8:2::1"), "-2001:db8::/32 in bad.txt:4");
	assert_string_equal(why(&rules, "2001:db8:1::1"), "+2001:db8:1::/48 in good.txt:1");
	assert_string_equal(why(&rules, "11.0.0.1"), "");
	assert_true(acl_rules_has(&rules, true));
	assert_true(acl_rules_has(&rules, false));
	assert_int_equal(acl_table_count(rules.table), 6);
	acl_rules_finish(&rules);
}

static void nothing_decides_about_no_address(void **state)
{
	const struct mmproxy_address none = {0};
	struct acl_rules rules;

	(void)state;
	set("deny", "0.0.0.0/0");
	set("deny", "::/0");
	rules = read_rules();
	assert_null(acl_rules_find(&rules, &none));
	acl_rules_finish(&rules);
}

static void comments_and_white_space_in_a_file_mean_nothing(void **state)
{
	struct acl_rules rules;

	(void)state;
	set("deny_files", scratch_write("bad", "#1.0.0.0/8\n \t \r\n\t10.0.0.0/8\t # ten\n"
					       "   11.0.0.0/8#eleven\n\n\v\f\n#"));
	rules = read_rules();
	assert_string_equal(why(&rules, "1.0.0.1"), "");
	assert_string_equal(why(&rules, "10.0.0.1"), "-10.0.0.0/8 in bad:3");
	assert_string_equal(why(&rules, "11.0.0.1"), "-11.0.0.0/8 in bad:4");
	acl_rules_finish(&rules);
}

static void the_same_prefix_twice_in_lists_of_one_kind_is_fine(void **state)
{
	struct acl_rules rules;

	(void)state;
	set("deny", "10.0.0.0/8");
	set("deny", "10.0.0.0/8");
	set("deny_files", scratch_write("bad", "10.0.0.0/8\n"));
	rules = read_rules();
	assert_string_equal(why(&rules, "10.0.0.1"), "-10.0.0.0/8 in deny");
	acl_rules_finish(&rules);
}

static void a_prefix_that_is_allowed_and_denied_is_denied_with_a_warning(void **state)
{
	struct acl_rules rules;
	const char *path;

	(void)state;
	set("allow", "10.0.0.0/8");
	set("allow_files", scratch_write("good", "\n11.0.0.0/8\n"));
	path = scratch_write("bad", "11.0.0.0/8\n10.0.0.0/8\n");
	set("deny_files", path);
	assert_int_equal(acl_rules_read(&rules, &host, &config), 0);
	assert_string_equal(why(&rules, "10.0.0.1"), "-10.0.0.0/8 in bad:2");
	assert_string_equal(why(&rules, "11.0.0.1"), "-11.0.0.0/8 in bad:1");
	assert_int_equal(config.warnings, 2);
	assert_non_null(strstr(config.warning[0], path));
	assert_non_null(strstr(config.warning[0],
			       "bad:1: \"11.0.0.0/8\": good:2 has it, too; it is denied"));
	assert_non_null(strstr(config.warning[1],
			       "bad:2: \"10.0.0.0/8\": allow has it, too; it is denied"));
	acl_rules_finish(&rules);
}

static void host_bits_are_warned_about_and_not_used(void **state)
{
	struct acl_rules rules;

	(void)state;
	set("deny", "10.1.2.3/8");
	assert_int_equal(acl_rules_read(&rules, &host, &config), 0);
	assert_string_equal(why(&rules, "10.9.9.9"), "-10.0.0.0/8 in deny");
	assert_int_equal(config.warnings, 1);
	assert_string_equal(config.warning[0],
			    "deny: \"10.1.2.3/8\": it is taken as 10.0.0.0/8; write that, or "
			    "10.1.2.3 for the one address");
	acl_rules_finish(&rules);
}

static void a_mistake_in_the_configuration_is_quoted(void **state)
{
	(void)state;
	set("allow", "10.0.0.0/8");
	set("allow", "10.0.0.0/33");
	expect_mistake(NULL, "allow: \"10.0.0.0/33\": the prefix length is out of range; write /0 "
			     "to /32 for IPv4, /0 to /128 for IPv6");
}

static void a_value_that_mmproxy_has_reported_is_not_reported_again(void **state)
{
	struct acl_rules rules;

	(void)state;
	set("deny", "!");
	assert_int_equal(acl_rules_read(&rules, &host, &config), -EINVAL);
	assert_int_equal(config.mistakes, 0);
}

static void a_path_that_mmproxy_has_reported_is_not_reported_again(void **state)
{
	struct acl_rules rules;

	(void)state;
	set("allow_files", "!");
	assert_int_equal(acl_rules_read(&rules, &host, &config), -EINVAL);
	assert_int_equal(config.mistakes, 0);
}

static void a_mistake_in_a_file_names_its_line(void **state)
{
	(void)state;
	set("deny_files", scratch_write("bad", "# bad\n10.0.0.0/8\nexample.com # no\n"));
	expect_mistake("bad", ":3: \"example.com\": not a prefix; write one such as 192.0.2.0/24 "
			      "or 2001:db8::/32, or an address alone");
}

static void all_mistakes_of_all_lists_are_reported(void **state)
{
	struct acl_rules rules;

	(void)state;
	set("allow", "a");
	set("deny", "b");
	set("allow_files", scratch_write("good", "c\n10.0.0.0/8\nd\n"));
	set("deny_files", scratch_path("missing"));
	set("deny_files", scratch_write("bad", "e"));
	assert_int_equal(acl_rules_read(&rules, &host, &config), -EINVAL);
	assert_int_equal(config.mistakes, 6);
	assert_non_null(strstr(config.mistake[0], "allow: \"a\": "));
	assert_non_null(strstr(config.mistake[1], "good:1: \"c\": "));
	assert_non_null(strstr(config.mistake[2], "good:3: \"d\": "));
	assert_non_null(strstr(config.mistake[3], "deny: \"b\": "));
	assert_non_null(strstr(config.mistake[4], "No such file"));
	assert_non_null(strstr(config.mistake[5], "bad:1: \"e\": "));
}

static void a_file_without_a_prefix_is_a_mistake(void **state)
{
	static const char *const contents[] = {"", "\n", "# nobody\n\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
		memset(&config, 0, sizeof(config));
		set("deny_files", scratch_write("bad", contents[i]));
		expect_mistake("bad", ":1: the file holds no prefix; write one a line, such as "
				      "192.0.2.0/24");
	}
}

static void a_file_that_is_not_there_is_a_mistake(void **state)
{
	char expected[700];

	(void)state;
	snprintf(expected, sizeof(expected),
		 "deny_files: cannot read \"%s\": No such file or directory",
		 scratch_path("missing"));
	set("deny_files", scratch_path("missing"));
	expect_mistake(NULL, expected);
}

static void a_file_with_a_nul_is_no_list(void **state)
{
	static const char bytes[] = "10.0.0.0/8\n11.0.0.0/8\0\n";

	(void)state;
	set("deny_files", scratch_write_bytes("bad", bytes, sizeof(bytes) - 1));
	expect_mistake("bad", ":2: a NUL byte; this is not a text file");
}

static void a_long_name_is_cut_before_the_line_is(void **state)
{
	char name[201];
	struct acl_rules rules;
	const char *text;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	set("deny_files", scratch_write(name, "\n2001:db8:1111:2222:3333:4444:5555:6666\n"));
	rules = read_rules();
	text = why(&rules, "2001:db8:1111:2222:3333:4444:5555:6666");
	assert_string_equal(text + strlen(text) - 4, "xx:2");
	acl_rules_finish(&rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_list_decides_nothing, begin, scratch_end),
		cmocka_unit_test_setup_teardown(the_most_specific_prefix_of_all_lists_decides,
						begin, scratch_end),
		cmocka_unit_test_setup_teardown(nothing_decides_about_no_address, begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(comments_and_white_space_in_a_file_mean_nothing,
						begin, scratch_end),
		cmocka_unit_test_setup_teardown(the_same_prefix_twice_in_lists_of_one_kind_is_fine,
						begin, scratch_end),
		cmocka_unit_test_setup_teardown(
			a_prefix_that_is_allowed_and_denied_is_denied_with_a_warning, begin,
			scratch_end),
		cmocka_unit_test_setup_teardown(host_bits_are_warned_about_and_not_used, begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(a_mistake_in_the_configuration_is_quoted, begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(
			a_value_that_mmproxy_has_reported_is_not_reported_again, begin,
			scratch_end),
		cmocka_unit_test_setup_teardown(
			a_path_that_mmproxy_has_reported_is_not_reported_again, begin, scratch_end),
		cmocka_unit_test_setup_teardown(a_mistake_in_a_file_names_its_line, begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(all_mistakes_of_all_lists_are_reported, begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(a_file_without_a_prefix_is_a_mistake, begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(a_file_that_is_not_there_is_a_mistake, begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(a_file_with_a_nul_is_no_list, begin, scratch_end),
		cmocka_unit_test_setup_teardown(a_long_name_is_cut_before_the_line_is, begin,
						scratch_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
