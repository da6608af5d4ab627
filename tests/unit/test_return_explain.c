/* SPDX-License-Identifier: MIT */
/*
 * Why answers do not come back: for each state of a host, the rule and the route that are named.
 * The host is made of what the kernel would list, and of how its lookup would end.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "routing/return_explain.h"

#define RULES_MAX 8

static struct return_plan plan;
static struct kernel_rule rules[RULES_MAX];
static uint32_t locals[RULES_MAX];
static struct return_facts facts;
static struct return_verdict verdict;

static const struct routing_settings settings = {.table = 123};

/* A host with a default route, and nothing for us. */
static int begin(void **state)
{
	(void)state;
	return_plan_init(&plan);
	facts = (struct return_facts){
		.rules = {rules, 0},
		.locals = {locals, 0},
		.lookup = {.family = ADDRESS_IPV4, .type = RTN_UNICAST, .table = RT_TABLE_MAIN},
		.interface = "eth0",
	};
	return 0;
}

static int end(void **state)
{
	(void)state;
	return_plan_finish(&plan);
	return 0;
}

/* `from` and `iif` may be NULL. */
static struct kernel_rule *rule(uint32_t priority, const char *from, const char *iif, uint32_t mark,
				uint32_t table)
{
	struct kernel_rule *added = &rules[facts.rules.count++];

	*added = (struct kernel_rule){
		.priority = priority,
		.from = {{.family = ADDRESS_IPV4}, 0},
		.to = {{.family = ADDRESS_IPV4}, 0},
		.mark = mark,
		.mask = mark != 0 ? UINT32_MAX : 0,
		.table = table,
		.action = FR_ACT_TO_TBL,
		.family = ADDRESS_IPV4,
	};
	if (from != NULL)
		assert_int_equal(prefix_parse(from, &added->from), 0);
	if (iif != NULL)
		snprintf(added->iif, sizeof(added->iif), "%s", iif);
	return added;
}

static void main_rule(void)
{
	rule(32766, NULL, NULL, 0, RT_TABLE_MAIN);
}

static void local_default(uint32_t table)
{
	locals[facts.locals.count++] = table;
}

static void explain(const char *upstream, uint32_t mark)
{
	struct address address;

	assert_int_equal(address_parse_ip(upstream, &address), 0);
	assert_int_equal(return_plan_add(&plan, &settings, &address, mark, false), 0);
	return_explain(&plan, &plan.paths[0], &facts, &verdict);
}

static void expect(enum return_rule_fault rule_fault, const char *rule_evidence,
		   enum return_route_fault route_fault, const char *route_evidence)
{
	assert_false(verdict.sound);
	assert_string_equal(verdict.rule_evidence, rule_evidence);
	assert_int_equal(verdict.rule, rule_fault);
	assert_string_equal(verdict.route_evidence, route_evidence);
	assert_int_equal(verdict.route, route_fault);
}

#define NO_LOCAL "table 123 has no local default"

static void an_answer_that_stays_here_is_sound_whatever_the_rules_are(void **state)
{
	(void)state;
	facts.lookup.type = RTN_LOCAL;
	main_rule();
	explain("127.0.0.1", 0);
	assert_true(verdict.sound);
	assert_int_equal(verdict.rule, RETURN_RULE_SOUND);
	assert_int_equal(verdict.route, RETURN_ROUTE_SOUND);
}

static void rule_and_route_missing_are_both_said(void **state)
{
	(void)state;
	main_rule();
	explain("127.0.0.1", 0);
	expect(RETURN_RULE_MISSING, "no rule applies: the main table sends an answer out by eth0",
	       RETURN_ROUTE_MISSING, NO_LOCAL);
	assert_int_equal(verdict.table, 123);
}

static void without_any_route_the_answer_is_dropped(void **state)
{
	(void)state;
	facts.lookup_error = -ENETUNREACH;
	main_rule();
	local_default(123);
	explain("127.0.0.1", 0);
	expect(RETURN_RULE_MISSING, "no rule applies: an answer finds no route and is dropped",
	       RETURN_ROUTE_SOUND, "");
}

static void a_rule_without_its_route(void **state)
{
	(void)state;
	rule(32765, "127.0.0.1/8", "lo", 0, 123);
	main_rule();
	explain("127.0.0.1", 0);
	expect(RETURN_RULE_SOUND, "", RETURN_ROUTE_MISSING, NO_LOCAL);
}

static void a_route_that_went_into_another_table(void **state)
{
	(void)state;
	rule(32765, "127.0.0.0/8", "lo", 0, 123);
	main_rule();
	local_default(124);
	explain("127.0.0.1", 0);
	expect(RETURN_RULE_SOUND, "", RETURN_ROUTE_MISSING, NO_LOCAL "; table 124 has one");
}

static void a_rule_that_looks_in_another_table(void **state)
{
	(void)state;
	rule(32765, "127.0.0.0/8", "lo", 0, 100);
	main_rule();
	local_default(123);
	explain("127.0.0.1", 0);
	expect(RETURN_RULE_WRONG_TABLE,
	       "rule 32765 looks in table 100, which has no local default; table 123 has one",
	       RETURN_ROUTE_SOUND, "");
}

/* Somebody's own numbers: what is missing is missing there. */
static void a_table_of_the_sites_own_choice(void **state)
{
	(void)state;
	rule(32765, "127.0.0.0/8", "lo", 0, 100);
	main_rule();
	explain("127.0.0.1", 0);
	expect(RETURN_RULE_SOUND, "", RETURN_ROUTE_MISSING, "table 100 has no local default");
	assert_int_equal(verdict.table, 100);
}

static void a_rule_behind_the_main_table_is_too_late(void **state)
{
	(void)state;
	main_rule();
	rule(40000, "127.0.0.0/8", "lo", 0, 123);
	local_default(123);
	explain("127.0.0.1", 0);
	expect(RETURN_RULE_TOO_LATE,
	       "rule 32766 decides before rule 40000: the main table sends an answer out by eth0",
	       RETURN_ROUTE_SOUND, "");
}

static void a_vpn_that_takes_all_traffic_comes_first(void **state)
{
	struct kernel_rule *vpn = rule(100, NULL, NULL, 51820, 51820);

	(void)state;
	vpn->inverted = true; /* not fwmark 51820 lookup 51820 */
	rule(32765, "127.0.0.0/8", "lo", 0, 123);
	main_rule();
	local_default(123);
	facts.lookup.table = 51820;
	snprintf(facts.interface, sizeof(facts.interface), "wg0");
	explain("127.0.0.1", 0);
	expect(RETURN_RULE_TOO_LATE,
	       "rule 100 decides before rule 32765: table 51820 sends an answer out by wg0",
	       RETURN_ROUTE_SOUND, "");
}

static void too_late_and_without_its_route(void **state)
{
	(void)state;
	main_rule();
	rule(40000, "127.0.0.0/8", "lo", 0, 123);
	explain("127.0.0.1", 0);
	expect(RETURN_RULE_TOO_LATE,
	       "rule 32766 decides before rule 40000: the main table sends an answer out by eth0",
	       RETURN_ROUTE_MISSING, NO_LOCAL);
}

static void a_rule_that_refuses_comes_first(void **state)
{
	(void)state;
	rule(5, NULL, NULL, 0, 0)->action = FR_ACT_PROHIBIT;
	rule(32765, "127.0.0.0/8", "lo", 0, 123);
	local_default(123);
	facts.lookup_error = -EACCES;
	explain("127.0.0.1", 0);
	expect(RETURN_RULE_TOO_LATE, "rule 5 decides before rule 32765: it refuses the answers",
	       RETURN_ROUTE_SOUND, "");
}

static void a_route_that_refuses_comes_first(void **state)
{
	(void)state;
	rule(32765, "127.0.0.0/8", "lo", 0, 123);
	local_default(123);
	facts.lookup_error = -EHOSTUNREACH;
	explain("127.0.0.1", 0);
	expect(RETURN_RULE_TOO_LATE,
	       "rule 32765 stands, and something before it decides: an answer finds no route and "
	       "is dropped",
	       RETURN_ROUTE_SOUND, "");
}

static void a_rule_for_less_than_all_answers_does_not_count(void **state)
{
	(void)state;
	rule(32765, "127.0.0.0/8", "lo", 0, 123)->narrow = true; /* a port, a user ... */
	main_rule();
	local_default(123);
	explain("127.0.0.1", 0);
	assert_int_equal(verdict.rule, RETURN_RULE_MISSING);
	assert_int_equal(verdict.route, RETURN_ROUTE_SOUND);
}

static void a_rule_for_another_interface_or_address_does_not_count(void **state)
{
	(void)state;
	rule(32763, "127.0.0.0/8", "eth0", 0, 123);
	rule(32764, "127.0.0.5/32", "lo", 0, 123);
	main_rule();
	local_default(123);
	explain("127.0.0.1", 0);
	assert_int_equal(verdict.rule, RETURN_RULE_MISSING);
}

static void without_a_mark_nothing_tells_an_upstream_elsewhere(void **state)
{
	(void)state;
	main_rule();
	explain("192.0.2.7", 0);
	expect(RETURN_RULE_NO_MARK,
	       "192.0.2.7 is not on loopback, and no mark tells its answers: the main table sends "
	       "an answer out by eth0",
	       RETURN_ROUTE_SOUND, "");
}

/* A host with several uplinks has a rule for each of its addresses. */
static void a_rule_for_the_address_alone_is_not_ours(void **state)
{
	(void)state;
	rule(32700, "192.0.2.7/32", NULL, 0, 200);
	main_rule();
	local_default(123);
	facts.lookup.table = 200;
	explain("192.0.2.7", 5);
	expect(RETURN_RULE_MISSING, "no rule applies: table 200 sends an answer out by eth0",
	       RETURN_ROUTE_SOUND, "");
}

static void a_rule_by_mark_in_another_table(void **state)
{
	(void)state;
	rule(32765, NULL, NULL, 5, 100);
	main_rule();
	local_default(123);
	explain("192.0.2.7", 5);
	assert_int_equal(verdict.rule, RETURN_RULE_WRONG_TABLE);
}

/* The reverse-path filter: the way is there, and what stands on it is for others to find. */
static void what_is_filtered_where_it_comes_in_is_sound(void **state)
{
	(void)state;
	rule(32765, "192.0.2.7/32", NULL, 5, 123);
	main_rule();
	local_default(123);
	facts.filtered = true;
	explain("192.0.2.7", 5);
	assert_true(verdict.sound);
	assert_int_equal(verdict.table, 123);
}

static void what_is_filtered_lacks_what_it_lacks(void **state)
{
	(void)state;
	main_rule();
	rule(40000, "192.0.2.7/32", NULL, 5, 123);
	local_default(123);
	facts.filtered = true;
	explain("192.0.2.7", 5);
	assert_int_equal(verdict.rule, RETURN_RULE_TOO_LATE);
	facts.rules.count = 1;
	return_explain(&plan, &plan.paths[0], &facts, &verdict);
	assert_int_equal(verdict.rule, RETURN_RULE_MISSING);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_answer_that_stays_here_is_sound_whatever_the_rules_are),
		TEST(rule_and_route_missing_are_both_said),
		TEST(without_any_route_the_answer_is_dropped),
		TEST(a_rule_without_its_route),
		TEST(a_route_that_went_into_another_table),
		TEST(a_rule_that_looks_in_another_table),
		TEST(a_table_of_the_sites_own_choice),
		TEST(a_rule_behind_the_main_table_is_too_late),
		TEST(a_vpn_that_takes_all_traffic_comes_first),
		TEST(too_late_and_without_its_route),
		TEST(a_rule_that_refuses_comes_first),
		TEST(a_route_that_refuses_comes_first),
		TEST(a_rule_for_less_than_all_answers_does_not_count),
		TEST(a_rule_for_another_interface_or_address_does_not_count),
		TEST(without_a_mark_nothing_tells_an_upstream_elsewhere),
		TEST(a_rule_for_the_address_alone_is_not_ours),
		TEST(a_rule_by_mark_in_another_table),
		TEST(what_is_filtered_where_it_comes_in_is_sound),
		TEST(what_is_filtered_lacks_what_it_lacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
