/* SPDX-License-Identifier: MIT */
/* mmproxyctl routing show: from a plan and the verdicts on its paths to lines, each told once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/routing_items.h"

#define PATHS_MAX 4

#define FILE_NAME "/etc/m.conf"

static const struct routing_settings settings = {.table = 123};

static struct return_plan plan;
static struct return_verdict verdicts[PATHS_MAX];
static struct routing_items items;

static int begin(void **state)
{
	(void)state;
	return_plan_init(&plan);
	memset(verdicts, 0, sizeof(verdicts));
	return 0;
}

static int end(void **state)
{
	(void)state;
	return_plan_finish(&plan);
	routing_items_finish(&items);
	return 0;
}

/* The verdict on it, which is sound until the test says otherwise. */
static struct return_verdict *upstream(const char *text, uint32_t mark, bool udp)
{
	struct return_verdict *verdict = &verdicts[plan.path_count];
	struct address address;

	assert_int_equal(address_parse_endpoint(text, &address), 0);
	assert_int_equal(return_plan_add(&plan, &settings, &address, mark, udp), 0);
	verdict->sound = true;
	verdict->table = 123;
	return verdict;
}

static void lacks(struct return_verdict *verdict, enum return_rule_fault rule,
		  enum return_route_fault route)
{
	verdict->sound = false;
	verdict->rule = rule;
	verdict->route = route;
	if (rule != RETURN_RULE_SOUND)
		snprintf(verdict->rule_evidence, sizeof(verdict->rule_evidence), "a rule's fault");
	if (route != RETURN_ROUTE_SOUND)
		snprintf(verdict->route_evidence, sizeof(verdict->route_evidence),
			 "a route's fault");
}

/* One answer for the tables of all marks. */
static void make(bool mark_accept, enum routing_state table)
{
	const enum routing_state tables[PATHS_MAX] = {table, table, table, table};
	const struct routing_findings findings = {verdicts, tables, mark_accept, FILE_NAME};

	routing_items_finish(&items);
	routing_items_make(&items, &plan, settings.table, &findings);
}

static void expect(size_t place, enum routing_state state, const char *what, const char *evidence)
{
	assert_true(place < items.count);
	assert_string_equal(items.items[place].what, what);
	assert_int_equal(items.items[place].state, state);
	assert_string_equal(items.items[place].evidence, evidence);
}

#define RULE   "ip rule add from 127.0.0.0/8 iif lo table 123"
#define RULE6  "ip -6 rule add from ::1/128 iif lo table 123"
#define ROUTE  "ip route add local default dev lo table 123"
#define ROUTE6 "ip -6 route add local default dev lo table 123"

static void what_several_upstreams_need_is_told_once(void **state)
{
	(void)state;
	upstream("127.0.0.1:1", 0, false);
	upstream("[::1]:1", 0, false);
	upstream("127.0.0.2:2", 0, true);
	make(false, ROUTING_STATE_UNKNOWN);
	assert_int_equal(items.count, 4);
	expect(0, ROUTING_STATE_THERE, RULE, "");
	expect(1, ROUTING_STATE_THERE, RULE6, "");
	expect(2, ROUTING_STATE_THERE, ROUTE, "");
	expect(3, ROUTING_STATE_THERE, ROUTE6, "");
	assert_int_equal(routing_items_missing(&items), 0);
}

static void what_one_of_them_lacks_is_missing(void **state)
{
	(void)state;
	upstream("127.0.0.1:1", 0, false);
	lacks(upstream("127.0.0.2:1", 0, false), RETURN_RULE_MISSING, RETURN_ROUTE_SOUND);
	upstream("127.0.0.3:1", 0, false);
	make(false, ROUTING_STATE_UNKNOWN);
	expect(0, ROUTING_STATE_MISSING, RULE, "a rule's fault");
	expect(1, ROUTING_STATE_THERE, ROUTE, "");
	assert_int_equal(routing_items_missing(&items), 1);
}

static void rule_and_route_can_both_be_missing(void **state)
{
	(void)state;
	lacks(upstream("127.0.0.1:1", 0, false), RETURN_RULE_MISSING, RETURN_ROUTE_MISSING);
	make(false, ROUTING_STATE_UNKNOWN);
	expect(0, ROUTING_STATE_MISSING, RULE, "a rule's fault");
	expect(1, ROUTING_STATE_MISSING, ROUTE, "a route's fault");
}

static void a_site_may_have_another_table(void **state)
{
	struct return_verdict *verdict = upstream("127.0.0.1:1", 0, false);

	(void)state;
	verdict->table = 77;
	lacks(verdict, RETURN_RULE_SOUND, RETURN_ROUTE_MISSING);
	make(false, ROUTING_STATE_UNKNOWN);
	expect(0, ROUTING_STATE_THERE, "ip rule add from 127.0.0.0/8 iif lo table 77", "");
	expect(1, ROUTING_STATE_MISSING, "ip route add local default dev lo table 77",
	       "a route's fault");
}

static void a_host_without_ipv6_lacks_nothing(void **state)
{
	(void)state;
	*upstream("[::1]:1", 0, false) = (struct return_verdict){.no_family = true};
	make(false, ROUTING_STATE_UNKNOWN);
	expect(0, ROUTING_STATE_UNKNOWN, RULE6, "this host has no IPv6, or has it switched off");
	expect(1, ROUTING_STATE_UNKNOWN, ROUTE6, "this host has no IPv6, or has it switched off");
	assert_int_equal(routing_items_missing(&items), 0);
}

static void without_a_mark_a_setting_is_missing(void **state)
{
	(void)state;
	lacks(upstream("192.0.2.7:443", 0, false), RETURN_RULE_NO_MARK, RETURN_ROUTE_SOUND);
	make(false, ROUTING_STATE_UNKNOWN);
	assert_int_equal(items.count, 1);
	expect(0, ROUTING_STATE_MISSING,
	       "mark = 123; in the listener that forwards to 192.0.2.7:443", "a rule's fault");
}

#define NFT    "mmproxyctl routing show --nft --config " FILE_NAME " | nft -f -"
#define ACCEPT "sysctl -w net.ipv4.tcp_fwmark_accept=1"

static void tcp_gets_its_mark_back_by_a_sysctl_or_by_nftables(void **state)
{
	(void)state;
	upstream("192.0.2.7:443", 5, false);
	make(true, ROUTING_STATE_MISSING);
	assert_int_equal(items.count, 3);
	expect(2, ROUTING_STATE_THERE, ACCEPT, "");
	make(false, ROUTING_STATE_THERE);
	expect(2, ROUTING_STATE_THERE, NFT, "");
	make(false, ROUTING_STATE_MISSING);
	expect(2, ROUTING_STATE_MISSING, ACCEPT,
	       "this, or the table that --nft prints, for the answers to carry mark 5: table inet "
	       "mmproxy_5 of "
	       "nftables is not there");
	make(false, ROUTING_STATE_UNKNOWN);
	expect(2, ROUTING_STATE_UNKNOWN, ACCEPT,
	       "this, or the table that --nft prints, for the answers to carry mark 5: table inet "
	       "mmproxy_5 of "
	       "nftables was not asked about");
	assert_int_equal(routing_items_missing(&items), 0);
}

static void udp_gets_its_mark_back_by_nftables_alone(void **state)
{
	(void)state;
	upstream("192.0.2.7:443", 5, false);
	upstream("192.0.2.7:53", 5, true);
	make(true, ROUTING_STATE_MISSING);
	expect(2, ROUTING_STATE_MISSING, NFT,
	       "for the answers to carry mark 5: table inet mmproxy_5 of nftables is not there");
	make(true, ROUTING_STATE_THERE);
	expect(2, ROUTING_STATE_THERE, NFT, "");
}

/* The connection is accepted in a container, where no packet has the mark. */
static void an_upstream_elsewhere_gets_its_mark_back_by_nftables_alone(void **state)
{
	(void)state;
	upstream("192.0.2.7:443", 5, false)->elsewhere = true;
	make(true, ROUTING_STATE_MISSING);
	expect(2, ROUTING_STATE_MISSING, NFT,
	       "for the answers to carry mark 5: table inet mmproxy_5 of nftables is not there");
}

/* What a shell would take apart is not put into a command. */
static void a_file_that_is_no_plain_word_is_left_to_the_reader(void **state)
{
	char command[RETURN_MARK_COMMAND_SIZE], path[RETURN_MARK_COMMAND_SIZE];

	(void)state;
	assert_string_equal(return_mark_command(FILE_NAME, command), NFT);
	assert_string_equal(return_mark_command("/etc/my; file", command),
			    "mmproxyctl routing show --nft --config FILE | nft -f -");
	assert_string_equal(return_mark_command(NULL, command),
			    "mmproxyctl routing show --nft --config FILE | nft -f -");
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_string_equal(return_mark_command(path, command),
			    "mmproxyctl routing show --nft --config FILE | nft -f -");
}

static void who_cannot_ask_knows_nothing(void **state)
{
	const struct routing_findings nothing = {0};

	(void)state;
	upstream("127.0.0.1:1", 0, false);
	upstream("192.0.2.7:1", 0, false);
	routing_items_make(&items, &plan, settings.table, &nothing);
	assert_int_equal(items.count, 3);
	expect(0, ROUTING_STATE_UNKNOWN, "mark = 123; in the listener that forwards to 192.0.2.7:1",
	       "the upstream is not on loopback, and no mark tells its answers");
	expect(1, ROUTING_STATE_UNKNOWN, RULE, "");
	expect(2, ROUTING_STATE_UNKNOWN, ROUTE, "");
	assert_int_equal(routing_items_missing(&items), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_several_upstreams_need_is_told_once),
		TEST(what_one_of_them_lacks_is_missing),
		TEST(rule_and_route_can_both_be_missing),
		TEST(a_site_may_have_another_table),
		TEST(a_host_without_ipv6_lacks_nothing),
		TEST(without_a_mark_a_setting_is_missing),
		TEST(tcp_gets_its_mark_back_by_a_sysctl_or_by_nftables),
		TEST(udp_gets_its_mark_back_by_nftables_alone),
		TEST(an_upstream_elsewhere_gets_its_mark_back_by_nftables_alone),
		TEST(a_file_that_is_no_plain_word_is_left_to_the_reader),
		TEST(who_cannot_ask_knows_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
