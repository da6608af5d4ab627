/* SPDX-License-Identifier: MIT */
/* Which rules, routes and marks a set of upstreams needs, and the commands that a person types. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "routing/return_plan.h"

static struct return_plan plan;

static const struct routing_settings settings = {
	.mode = ROUTING_MODE_CHECK,
	.method = ROUTING_METHOD_LOOPBACK,
	.table = 123,
};

static int begin(void **state)
{
	(void)state;
	return_plan_init(&plan);
	return 0;
}

static int end(void **state)
{
	(void)state;
	return_plan_finish(&plan);
	return 0;
}

static void add(const char *upstream, uint32_t mark, bool udp)
{
	struct address address;

	assert_int_equal(address_parse_endpoint(upstream, &address), 0);
	assert_int_equal(return_plan_add(&plan, &settings, &address, mark, udp), 0);
}

static void expect_rule(size_t place, const char *wanted)
{
	char text[RETURN_COMMAND_SIZE];

	assert_true(place < plan.rule_count);
	assert_string_equal(return_rule_command(&plan.rules[place], text), wanted);
}

static void expect_route(size_t place, const char *wanted)
{
	char text[RETURN_COMMAND_SIZE];

	assert_true(place < plan.route_count);
	assert_string_equal(return_route_command(&plan.routes[place], text), wanted);
}

static void one_rule_serves_all_of_loopback(void **state)
{
	(void)state;
	add("127.0.0.1:443", 0, false);
	add("127.0.0.1:25", 0, false);
	add("127.9.9.9:53", 0, true);
	assert_int_equal(plan.path_count, 3);
	assert_int_equal(plan.rule_count, 1);
	assert_int_equal(plan.route_count, 1);
	assert_int_equal(plan.mark_count, 0);
	expect_rule(0, "ip rule add from 127.0.0.0/8 iif lo table 123");
	expect_route(0, "ip route add local default dev lo table 123");
}

static void each_family_has_its_own(void **state)
{
	(void)state;
	add("[::1]:443", 0, false);
	add("127.0.0.1:443", 0, false);
	assert_int_equal(plan.rule_count, 2);
	expect_rule(0, "ip -6 rule add from ::1/128 iif lo table 123");
	expect_rule(1, "ip rule add from 127.0.0.0/8 iif lo table 123");
	expect_route(0, "ip -6 route add local default dev lo table 123");
	expect_route(1, "ip route add local default dev lo table 123");
}

static void loopback_needs_no_mark_even_where_one_is_set(void **state)
{
	(void)state;
	add("127.0.0.1:443", 7, false);
	assert_int_equal(plan.paths[0].mark, 7);
	assert_int_equal(plan.mark_count, 0);
	expect_rule(0, "ip rule add from 127.0.0.0/8 iif lo table 123");
}

static void an_upstream_elsewhere_is_told_by_its_mark(void **state)
{
	(void)state;
	add("192.0.2.7:443", 5, false);
	add("192.0.2.7:53", 5, true);
	add("[2001:db8::7]:443", 5, false);
	assert_int_equal(plan.rule_count, 2);
	expect_rule(0, "ip rule add from 192.0.2.7/32 fwmark 5 table 123");
	expect_rule(1, "ip -6 rule add from 2001:db8::7/128 fwmark 5 table 123");
	assert_int_equal(plan.mark_count, 1);
	assert_int_equal(plan.marks[0], 5);
}

static void without_a_mark_it_has_no_rule(void **state)
{
	(void)state;
	add("192.0.2.7:443", 0, false);
	assert_int_equal(plan.path_count, 1);
	assert_true(plan.paths[0].rule == RETURN_PATH_NO_RULE);
	assert_int_equal(plan.rule_count + plan.route_count + plan.mark_count, 0);
}

static void one_upstream_of_two_listeners_is_one_path(void **state)
{
	(void)state;
	add("127.0.0.1:53", 0, true);
	add("127.0.0.1:53", 0, false);
	assert_int_equal(plan.path_count, 1);
	assert_true(plan.paths[0].tcp && plan.paths[0].udp);
}

static void loopback_is_all_of_127_and_one_address_of_ipv6(void **state)
{
	static const struct {
		const char *text;
		bool loopback;
	} cases[] = {
		{"127.0.0.0", true},
		{"127.255.255.255", true},
		{"126.255.255.255", false},
		{"128.0.0.0", false},
		{"::1", true},
		{"::2", false},
		{"2001:db8::1", false},
	};
	struct address address;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(address_parse_ip(cases[i].text, &address), 0);
		assert_int_equal(return_path_is_loopback(&address), cases[i].loopback);
	}
}

static void the_longest_texts_fit(void **state)
{
	const struct routing_settings big = {.table = UINT32_MAX};
	char command[RETURN_COMMAND_SIZE], ruleset[RETURN_MARK_RULESET_SIZE];
	char name[RETURN_MARK_TABLE_SIZE];
	struct address address;

	(void)state;
	assert_int_equal(address_parse_ip("2001:db8:1111:2222:3333:4444:5555:6666", &address), 0);
	assert_int_equal(return_plan_add(&plan, &big, &address, UINT32_MAX, false), 0);
	assert_string_equal(return_rule_command(&plan.rules[0], command),
			    "ip -6 rule add from 2001:db8:1111:2222:3333:4444:5555:6666/128 fwmark "
			    "4294967295 table 4294967295");
	assert_string_equal(return_mark_table(UINT32_MAX, name), "mmproxy_4294967295");
	return_mark_ruleset(UINT32_MAX, ruleset);
	assert_string_equal(ruleset + strlen(ruleset) - 4, "}\n}\n");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_rule_serves_all_of_loopback),
		TEST(each_family_has_its_own),
		TEST(loopback_needs_no_mark_even_where_one_is_set),
		TEST(an_upstream_elsewhere_is_told_by_its_mark),
		TEST(without_a_mark_it_has_no_rule),
		TEST(one_upstream_of_two_listeners_is_one_path),
		TEST(loopback_is_all_of_127_and_one_address_of_ipv6),
		TEST(the_longest_texts_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
