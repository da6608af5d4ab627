/* SPDX-License-Identifier: MIT */
/*
 * What is legal in a configuration file, but does nothing or less than it seems to: the one line
 * that each such thing is worth. "F" is the file's name.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config_address.h"
#include "config_fixture.h"
#include "daemon/generation.h"
#include "scratch.h"

#define MINIMAL                                                                                    \
	"name = \"web\"; listen = \"*:80\"; forward = { ipv4 = \"127.0.0.1:443\"; }; "             \
	"subnets_files = [ \"list\" ];"

/* The setting goes onto line 2 of a listener whose allow list has one prefix. */
static void load(const char *setting)
{
	char text[1024];

	scratch_write("list", "192.0.2.0/24\n");
	snprintf(text, sizeof(text), "listeners = ( { " MINIMAL "\n%s } );", setting);
	load_config(text);
}

static void says_nothing_about(const char *setting)
{
	load(setting);
	if (config.remarks.count > 0)
		fail_msg("%s: %s", setting, config.remarks.lines[0]);
}

static void remarks(const char *setting, const char *wanted)
{
	char line[1200];

	load(setting);
	snprintf(line, sizeof(line), "F:2: listeners[0].%s", wanted);
	expect_line(&config.remarks, line);
}

static void udp_has_no_use_for_what_is_of_connections(void **state)
{
	(void)state;
	remarks("protocol = \"udp\"; header_timeout = 1;",
		"header_timeout: it has no effect with protocol = \"udp\"; remove it");
	remarks("protocol = \"udp\"; connect_timeout = 1;",
		"connect_timeout: it has no effect with protocol = \"udp\"; remove it");
	remarks("protocol = \"udp\"; user_timeout = 1;",
		"user_timeout: it has no effect with protocol = \"udp\"; remove it");
	remarks("protocol = \"udp\"; keepalive = 1;",
		"keepalive: it has no effect with protocol = \"udp\"; remove it");
	remarks("protocol = \"udp\"; max_waiting_headers = 1;",
		"max_waiting_headers: it has no effect with protocol = \"udp\"; remove it");
	remarks("protocol = \"udp\"; backlog = 1;",
		"backlog: it has no effect with protocol = \"udp\"; remove it");
}

static void udp_has_its_own_in_place_of_two(void **state)
{
	(void)state;
	remarks("protocol = \"udp\"; idle_timeout = 1;",
		"idle_timeout: it has no effect with protocol = \"udp\"; write udp = { "
		"idle_timeout = ...; }");
	remarks("protocol = \"udp\"; max_sessions = 1;",
		"max_sessions: it has no effect with protocol = \"udp\"; write udp = { max_flows = "
		"...; }");
}

static void tcp_has_no_use_for_the_udp_group(void **state)
{
	static const char wanted[] = "udp: it has no effect with protocol = \"tcp\"; remove it, or "
				     "write protocol = \"udp\"";

	(void)state;
	remarks("udp = { framing = \"spp\"; };", wanted);
	remarks("protocol = \"tcp\"; udp = { };", wanted);
}

static void the_protocol_may_stand_behind_what_it_has_no_use_for(void **state)
{
	(void)state;
	remarks("keepalive = 1; protocol = \"udp\";",
		"keepalive: it has no effect with protocol = \"udp\"; remove it");
}

static void what_has_an_effect_is_not_remarked(void **state)
{
	(void)state;
	says_nothing_about("");
	says_nothing_about("header_timeout = 1; connect_timeout = 1; idle_timeout = 1; "
			   "user_timeout = 1; keepalive = 1; max_sessions = 1; backlog = 1; "
			   "max_sessions_per_client = 1; max_waiting_headers = 1;");
	says_nothing_about("protocol = \"udp\"; udp = { framing = \"first\"; idle_timeout = 1; "
			   "max_flows = 1; }; mark = 1; port_conflict = \"refuse\"; max_header = "
			   "200; max_sessions_per_client = 1; freebind = true; device = "
			   "\"eth0\";");
	says_nothing_about("subnets = [ \"10.0.0.0/8\", \"0.0.0.0/0\", \"10.0.0.1\", "
			   "\"10.0.0.1/32\", \"2001:db8::/32\", \"::1/128\", \"::1\", "
			   "\"::ffff:10.0.0.0/104\" ];");
}

static void a_prefix_with_host_bits_is_told_what_it_is_taken_as(void **state)
{
	(void)state;
	remarks("subnets = [ \"10.0.0.0/8\", \"10.0.0.1/8\" ];",
		"subnets[1]: \"10.0.0.1/8\": it is taken as 10.0.0.0/8; write that, or 10.0.0.1 "
		"for the one address");
	remarks("subnets = ( \"2001:db8::1/32\" );",
		"subnets[0]: \"2001:db8::1/32\": it is taken as 2001:db8::/32; write that, or "
		"2001:db8::1 for the one address");
	remarks("subnets = ( \"::ffff:10.0.0.1/104\" );",
		"subnets[0]: \"::ffff:10.0.0.1/104\": it is taken as 10.0.0.0/8; write that, or "
		"10.0.0.1 for the one address");
	remarks("subnets = ( \"192.0.2.1/0\" );",
		"subnets[0]: \"192.0.2.1/0\": it is taken as 0.0.0.0/0; write that, or 192.0.2.1 "
		"for the one address");
	remarks("permit_sources = [ \"127.0.0.1/8\" ];",
		"permit_sources[0]: \"127.0.0.1/8\": it is taken as 127.0.0.0/8; write that, or "
		"127.0.0.1 for the one address");
}

static void the_longest_remark_about_a_prefix_is_whole(void **state)
{
	static const char text[] = "1111:2222:3333:4444:5555:6666:7777:8889/127";
	char room[CONFIG_PREFIX_REMARK_SIZE];
	struct prefix prefix;

	(void)state;
	assert_null(config_parse_prefix(text, &prefix));
	assert_string_equal(config_prefix_remark(text, &prefix, room),
			    "it is taken as 1111:2222:3333:4444:5555:6666:7777:8888/127; write "
			    "that, or 1111:2222:3333:4444:5555:6666:7777:8889 for the one address");
}

static void a_file_of_prefixes_is_remarked_with_its_own_lines(void **state)
{
	(void)state;
	scratch_write("more", "# ours\n10.0.0.0/8\n\n10.0.0.1/8 # and more\n");
	scratch_write("list", "192.0.2.0/24\n");
	load_config("listeners = ( { name = \"a\"; listen = \"*:1\"; forward "
		    "= { ipv4 = \"127.0.0.1:443\"; };\n"
		    "subnets_files = [ \"list\", \"more\" ]; } );");
	expect_line(&config.remarks,
		    "more:4: \"10.0.0.1/8\": it is taken as 10.0.0.0/8; write that, or "
		    "10.0.0.1 for the one address");
}

static void a_permit_that_opens_nothing_is_named(void **state)
{
	static const char *const prefixes[] = {
		"0.0.0.0",
		"0.0.0.0/8",
		"0.1.2.0/24",
		"224.0.0.0/4",
		"239.1.2.3",
		"224.0.0.1/4",
		"255.255.255.255",
		"255.255.255.255/32",
		"::",
		"::/128",
		"ff00::/8",
		"ff02::1",
		"::ffff:224.0.0.0/100",
	};
	char setting[256], wanted[256];

	(void)state;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		snprintf(setting, sizeof(setting), "permit_sources = [ \"%s\" ];", prefixes[i]);
		snprintf(wanted, sizeof(wanted),
			 "permit_sources[0]: \"%s\": no socket can send from there, so it opens "
			 "nothing; remove it",
			 prefixes[i]);
		remarks(setting, wanted);
	}
}

static void a_permit_that_opens_something_is_not_named(void **state)
{
	static const char *const prefixes[] = {
		"0.0.0.0/0",   "0.0.0.0/7",   "224.0.0.0/3",        "240.0.0.0/4",
		"127.0.0.0/8", "254.0.0.0/7", "255.255.255.254/31", "::/0",
		"::/127",      "::1",         "fe80::/10",          "fe00::/7",
	};
	char setting[256];

	(void)state;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		snprintf(setting, sizeof(setting), "permit_sources = [ \"%s\" ];", prefixes[i]);
		says_nothing_about(setting);
	}
	/* Whoever is allowed to connect is another question than who can be a client. */
	says_nothing_about("subnets = [ \"224.0.0.0/4\" ];");
}

static void a_file_with_mistakes_has_no_remarks(void **state)
{
	(void)state;
	scratch_write("list", "10.0.0.1/8\n");
	assert_int_equal(read_config(scratch_write("F", "listeners = ( { " MINIMAL
							" udp = { }; mark = -1; } );")),
			 -EINVAL);
	assert_int_equal(report.count, 1);
	assert_int_equal(config.remarks.count, 0);
	assert_null(config.remarks.lines);
}

static void remarks_live_as_long_as_the_generation(void **state)
{
	struct generation *generation;

	(void)state;
	load("udp = { };");
	generation = generation_create(&config, 1, NULL);
	assert_non_null(generation);
	assert_int_equal(config.remarks.count, 0);
	assert_int_equal(generation->config.remarks.count, 1);
	generation_drop(generation);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_begin, end_config)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(udp_has_no_use_for_what_is_of_connections),
		TEST(udp_has_its_own_in_place_of_two),
		TEST(tcp_has_no_use_for_the_udp_group),
		TEST(the_protocol_may_stand_behind_what_it_has_no_use_for),
		TEST(what_has_an_effect_is_not_remarked),
		TEST(a_prefix_with_host_bits_is_told_what_it_is_taken_as),
		TEST(the_longest_remark_about_a_prefix_is_whole),
		TEST(a_file_of_prefixes_is_remarked_with_its_own_lines),
		TEST(a_permit_that_opens_nothing_is_named),
		TEST(a_permit_that_opens_something_is_not_named),
		TEST(a_file_with_mistakes_has_no_remarks),
		TEST(remarks_live_as_long_as_the_generation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
