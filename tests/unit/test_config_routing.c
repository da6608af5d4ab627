/* SPDX-License-Identifier: MIT */
/*
 * The group `routing`: what it becomes, which marks follow from it, which upstreams it cannot help,
 * and the plan of what a whole file needs. A build that lacks a library refuses what needs it.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config_fixture.h"
#include "scratch.h"

/* The group stands on line 1, the listener on line 2, its forward on line 3. */
static const char *file_of(const char *routing, const char *forward, const char *more)
{
	static char text[1024];

	snprintf(text, sizeof(text),
		 "%s\nlisteners = ( { name = \"web\"; listen = \"*:80\"; subnets = \"any\"; %s\n"
		 "forward = { %s }; } );\n",
		 routing, more, forward);
	return text;
}

#define LOOPBACK  "ipv4 = \"127.0.0.1:443\";"
#define ELSEWHERE "ipv4 = \"192.0.2.7:443\";"

static void refuses(const char *text, const char *wanted)
{
	refuse_config(scratch_write("F", text), wanted);
}

static void every_setting_of_routing_is_read(void **state)
{
	(void)state;
	load_config(file_of("routing = { mode = \"off\"; table = 7; method = \"mark\"; };",
			    LOOPBACK, ""));
	assert_int_equal(config.routing.mode, ROUTING_MODE_OFF);
	assert_int_equal(config.routing.table, 7);
	assert_int_equal(config.routing.method, ROUTING_METHOD_MARK);
	assert_string_equal(without_folder(config.routing_where), "F:1");
	load_config(file_of("routing = { table = 0xFFFFFFFFL; };", LOOPBACK, ""));
	assert_int_equal(config.routing.table, UINT32_MAX);
	assert_int_equal(config.routing.mode, ROUTING_MODE_CHECK);
	assert_int_equal(config.routing.method, ROUTING_METHOD_LOOPBACK);
}

static void a_table_of_the_kernels_own_is_refused(void **state)
{
	char routing[64], wanted[256];

	(void)state;
	for (unsigned table = 253; table <= 255; table++) {
		snprintf(routing, sizeof(routing), "routing = { table = %u; };", table);
		snprintf(wanted, sizeof(wanted),
			 "F:1: routing.table: table %u is one of the kernel's own (default, main, "
			 "local), where a local default would keep all traffic on this host; write "
			 "another, such as 123",
			 table);
		refuses(file_of(routing, LOOPBACK, ""), wanted);
	}
	load_config(file_of("routing = { table = 252; };", LOOPBACK, ""));
	load_config(file_of("routing = { table = 256; };", LOOPBACK, ""));
	refuses(file_of("routing = { table = 0; };", LOOPBACK, ""),
		"F:1: routing.table: 0 is out of range; write 1 to 4294967295");
}

static void what_is_no_setting_of_routing_is_told_so(void **state)
{
	(void)state;
	refuses(file_of("routing = \"manage\";", LOOPBACK, ""),
		"F:1: routing: wrong type; write routing = { mode = \"manage\"; }");
	refuses(file_of("routing = { mod = \"off\"; };", LOOPBACK, ""),
		"F:1: routing.mod: unknown setting; did you mean \"mode\"?");
	refuses(file_of("table = 5;", LOOPBACK, ""),
		"F:1: table: unknown setting; it stands in routing = { }");
}

static void by_mark_a_listener_without_one_has_the_tables_number(void **state)
{
	(void)state;
	load_config(file_of("routing = { method = \"mark\"; table = 9; };", LOOPBACK, ""));
	assert_int_equal(config.listeners[0].relay.mark, 9);
	load_config(file_of("routing = { method = \"mark\"; };", LOOPBACK, "mark = 5;"));
	assert_int_equal(config.listeners[0].relay.mark, 5);
	load_config(file_of("routing = { table = 9; };", LOOPBACK, ""));
	assert_int_equal(config.listeners[0].relay.mark, 0);
}

/* `routing` may stand behind the listeners that follow from it. */
static void the_order_of_the_file_does_not_matter(void **state)
{
	(void)state;
	load_config("listeners = ( { name = \"web\"; listen = \"*:80\"; subnets = \"any\"; "
		    "forward = { ipv6 = \"[::1]:443\"; }; } );\n"
		    "routing = { method = \"mark\"; };\n");
	assert_int_equal(config.listeners[0].relay.mark, 123);
	assert_string_equal(without_folder(config.routing_where), "F:2");
}

#ifdef HAVE_LIBMNL

static void what_cannot_be_managed_is_a_mistake(void **state)
{
	(void)state;
	load_config(file_of("routing = { mode = \"manage\"; };", LOOPBACK, ""));
	assert_int_equal(config.routing.mode, ROUTING_MODE_MANAGE);
	refuses(file_of("routing = { mode = \"manage\"; };", ELSEWHERE, ""),
		"F:3: listeners[0].forward.ipv4: 192.0.2.7 is not on loopback, so only a mark "
		"tells its answers; write mark = 123; in this listener, or method = \"mark\"; in "
		"routing");
	refuses(file_of("routing = { mode = \"manage\"; table = 8; };",
			LOOPBACK " ipv6 = \"[2001:db8::7]:443\";", ""),
		"F:3: listeners[0].forward.ipv6: 2001:db8::7 is not on loopback, so only a mark "
		"tells its answers; write mark = 8; in this listener, or method = \"mark\"; in "
		"routing");
	/* To look is not to manage: what cannot be helped is found by the check. */
	load_config(file_of("routing = { mode = \"check\"; };", ELSEWHERE, ""));
	load_config(file_of("", ELSEWHERE, ""));
}

#else

static void management_needs_libmnl(void **state)
{
	(void)state;
	refuses(file_of("routing = { mode = \"manage\"; };", LOOPBACK, ""),
		"F:1: routing.mode: \"manage\" needs libmnl, which this program was built without; "
		"write \"off\", and set the rules and routes yourself");
	load_config(file_of("routing = { mode = \"check\"; };", LOOPBACK, ""));
	expect_line(&config.remarks, "F:1: routing.mode: nothing is checked: that needs libmnl, "
				     "which this program was built without; write \"off\"");
	load_config(file_of("", LOOPBACK, ""));
	assert_int_equal(config.remarks.count, 0);
}

#endif

#if defined(HAVE_LIBMNL) && defined(HAVE_LIBNFTABLES)

static void a_mark_is_managed(void **state)
{
	(void)state;
	load_config(file_of("routing = { mode = \"manage\"; };", ELSEWHERE, "mark = 5;"));
	load_config(file_of("routing = { mode = \"manage\"; method = \"mark\"; };", ELSEWHERE, ""));
	assert_int_equal(config.listeners[0].relay.mark, 123);
}

#elif defined(HAVE_LIBMNL)

static void a_mark_is_managed_with_libnftables_only(void **state)
{
	(void)state;
	refuses(file_of("routing = { mode = \"manage\"; };", ELSEWHERE, "mark = 5;"),
		"F:3: listeners[0].forward.ipv4: 192.0.2.7 is not on loopback, and marking its "
		"answers needs libnftables, which this program was built without; write routing = "
		"{ mode = \"check\"; } and set the rules yourself (mmproxyctl routing show)");
}

#endif

static void the_plan_has_every_upstream_of_the_file(void **state)
{
	struct return_plan plan;

	(void)state;
	load_config("routing = { table = 7; };\n"
		    "listeners = (\n"
		    "{ name = \"a\"; listen = \"*:80\"; subnets = \"any\";\n"
		    "  forward = { ipv4 = \"127.0.0.1:1\"; ipv6 = \"[::1]:1\"; }; },\n"
		    "{ name = \"b\"; protocol = \"udp\"; listen = \"*:80\"; subnets = \"any\";\n"
		    "  forward = { ipv4 = \"127.0.0.1:1\"; }; },\n"
		    "{ name = \"c\"; listen = \"*:81\"; subnets = \"any\"; mark = 3;\n"
		    "  forward = { ipv6 = \"[2001:db8::1]:1\"; }; } );\n");
	return_plan_init(&plan);
	assert_int_equal(config_plan_returns(&config, &plan), 0);
	assert_int_equal(plan.path_count, 3);
	assert_true(plan.paths[0].tcp && plan.paths[0].udp);
	expect_address(&plan.paths[1].upstream, "[::1]:1");
	expect_address(&plan.paths[2].upstream, "[2001:db8::1]:1");
	assert_int_equal(plan.paths[2].mark, 3);
	assert_int_equal(plan.rule_count, 3);
	assert_int_equal(plan.rules[0].table, 7);
	return_plan_finish(&plan);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_begin, end_config)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_setting_of_routing_is_read),
		TEST(a_table_of_the_kernels_own_is_refused),
		TEST(what_is_no_setting_of_routing_is_told_so),
		TEST(by_mark_a_listener_without_one_has_the_tables_number),
		TEST(the_order_of_the_file_does_not_matter),
#ifdef HAVE_LIBMNL
		TEST(what_cannot_be_managed_is_a_mistake),
#else
		TEST(management_needs_libmnl),
#endif
#if defined(HAVE_LIBMNL) && defined(HAVE_LIBNFTABLES)
		TEST(a_mark_is_managed),
#elif defined(HAVE_LIBMNL)
		TEST(a_mark_is_managed_with_libnftables_only),
#endif
		TEST(the_plan_has_every_upstream_of_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
