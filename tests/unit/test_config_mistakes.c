/* SPDX-License-Identifier: MIT */
/* The one line that each mistake in a configuration file is worth. "F" is the file's name. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config_fixture.h"
#include "scratch.h"

#define FORWARD "forward = { ipv4 = \"127.0.0.1:443\"; };"
#define MINIMAL "name = \"web\"; listen = \"*:80\"; " FORWARD " subnets = \"any\";"

static void refuses(const char *text, const char *wanted)
{
	refuse_config(scratch_write("F", text), wanted);
}

/* The setting goes onto line 2 of a listener that is good without it. */
static void listener_refuses(const char *setting, const char *wanted)
{
	char text[1024], line[1200];

	snprintf(text, sizeof(text), "listeners = ( { " MINIMAL "\n%s } );", setting);
	snprintf(line, sizeof(line), "F:2: listeners[0].%s", wanted);
	refuses(text, line);
}

static void top_refuses(const char *setting, const char *wanted)
{
	char text[1024], line[1200];

	snprintf(text, sizeof(text), "listeners = ( { " MINIMAL " } );\n%s", setting);
	snprintf(line, sizeof(line), "F:2: %s", wanted);
	refuses(text, line);
}

static void an_unknown_setting_is_told_what_was_meant(void **state)
{
	(void)state;
	top_refuses("worker = 1;", "worker: unknown setting; did you mean \"workers\"?");
	top_refuses("mark = 1;", "mark: unknown setting; it stands in a listener");
	top_refuses("colour = 1;",
		    "colour: unknown setting; mmproxy.conf(5) lists those there are");
	top_refuses("log = { levle = \"info\"; };",
		    "log.levle: unknown setting; did you mean \"level\"?");
	listener_refuses("header-timeout = 1;",
			 "header-timeout: unknown setting; did you mean \"header_timeout\"?");
	listener_refuses("ipv4 = \"\";",
			 "ipv4: unknown setting; it stands in a listener's forward = { }");
	listener_refuses("framing = \"every\";",
			 "framing: unknown setting; it stands in a listener's udp = { }");
	listener_refuses("udp = { max_flow = 1; };",
			 "udp.max_flow: unknown setting; did you mean \"max_flows\"?");
}

static void a_misspelt_setting_is_not_also_missing(void **state)
{
	(void)state;
	refuses("listener = ( { " MINIMAL " } );",
		"F:1: listener: unknown setting; did you mean \"listeners\"?");
	refuses("listeners = ( { name = \"a\"; listen = \"*:80\"; subnets = \"any\";\n"
		"forward = { ipv5 = \"127.0.0.1:443\"; }; } );",
		"F:2: listeners[0].forward.ipv5: unknown setting; did you mean \"ipv4\"?");
}

static void a_value_of_the_wrong_type_is_told_the_right_one(void **state)
{
	(void)state;
	top_refuses("workers = \"2\";",
		    "workers: wrong type, this is a text; write a whole number");
	top_refuses("workers = 2.5;",
		    "workers: wrong type, this is a number with a point; write a whole number");
	top_refuses("user = 1;",
		    "user: wrong type, this is a whole number; write a text in double quotes");
	top_refuses("drain_timeout = true;",
		    "drain_timeout: wrong type, this is true or false; write a number of seconds");
	top_refuses("log = \"debug\";", "log: wrong type; write log = { level = \"info\"; }");
	listener_refuses("freebind = 1;",
			 "freebind: wrong type, this is a whole number; write true or false");
	listener_refuses(
		"permit_sources = \"10.0.0.0/8\";",
		"permit_sources: wrong type, this is a text; write a list of texts, such as "
		"[ \"...\", \"...\" ]");
	listener_refuses("permit_sources = ( \"10.0.0.0/8\", 8 );",
			 "permit_sources[1]: wrong type, this is a whole number; write a text in "
			 "double quotes");
	listener_refuses("udp = \"spp\";", "udp: wrong type; write udp = { framing = \"every\"; }");
	listener_refuses("udp = { framing = 1; };", "udp.framing: wrong type, this is a whole "
						    "number; write a text in double quotes");
	listener_refuses("udp = { max_flows = \"many\"; };",
			 "udp.max_flows: wrong type, this is a text; write a whole number");
	refuses("listeners = { };",
		"F:1: listeners: wrong type; write a list of groups, listeners = ( { ... } );");
	refuses("listeners = ( { " MINIMAL " },\n \"x\" );",
		"F:2: listeners[1]: wrong type; write a group { name = ...; }");
}

static void a_number_out_of_range_is_told_the_range(void **state)
{
	(void)state;
	top_refuses("workers = 257;", "workers: 257 is out of range; write 0 to 256");
	top_refuses("workers = -1;", "workers: -1 is out of range; write 0 to 256");
	top_refuses("workers = 4294967297L;",
		    "workers: 4294967297 is out of range; write 0 to 256");
	top_refuses("drain_timeout = -0.5;",
		    "drain_timeout: -0.5 is out of range; write 0 or 0.001 to 604800 seconds");
	listener_refuses("header_timeout = 0;",
			 "header_timeout: 0 is out of range; write 0.001 to 604800 seconds");
	listener_refuses("connect_timeout = 604801;",
			 "connect_timeout: 604801 is out of range; write 0.001 to 604800 seconds");
	listener_refuses(
		"idle_timeout = 0.0001;",
		"idle_timeout: 0.0001 is out of range; write 0 or 0.001 to 604800 seconds");
	listener_refuses("idle_timeout = 1e999;",
			 "idle_timeout: inf is out of range; write 0 or 0.001 to 604800 seconds");
	listener_refuses("keepalive = 0.5;",
			 "keepalive: 0.5 is out of range; write 0 or 1 to 32767 seconds");
	listener_refuses("max_header = 106;",
			 "max_header: 106 is out of range; write 107 to 65551");
	listener_refuses("backlog = 0;", "backlog: 0 is out of range; write 1 to 65535");
	listener_refuses("mark = 4294967296L;",
			 "mark: 4294967296 is out of range; write 0 to 4294967295");
	listener_refuses("udp = { max_flows = 0; };",
			 "udp.max_flows: 0 is out of range; write 1 to 1048576");
	listener_refuses("udp = { max_flows = 1048577; };",
			 "udp.max_flows: 1048577 is out of range; write 1 to 1048576");
	listener_refuses(
		"udp = { idle_timeout = -1; };",
		"udp.idle_timeout: -1 is out of range; write 0 or 0.001 to 604800 seconds");
	listener_refuses(
		"udp = { idle_timeout = 604801.0; };",
		"udp.idle_timeout: 604801 is out of range; write 0 or 0.001 to 604800 seconds");
}

static void a_number_that_libconfig_would_cut_is_refused(void **state)
{
	(void)state;
	listener_refuses("mark = 4294967295;",
			 "mark: a number past 32 bits takes an L behind it; write 4294967295L");
	listener_refuses("mark = 0xFFFFFFFF;",
			 "mark: a number past 32 bits takes an L behind it; write 0xFFFFFFFFL");
	listener_refuses("max_sessions = 5000000000;",
			 "max_sessions: 5000000000 is out of range; write 0 to 2147483647");
	listener_refuses("mark = 18446744073709551617L;",
			 "mark: this number is out of range; write 0 to 4294967295");
}

static void a_choice_is_told_what_there_is(void **state)
{
	(void)state;
	top_refuses(
		"log = { level = \"loud\"; };",
		"log.level: \"loud\" is not known; write \"error\" or \"warning\" or \"info\" or "
		"\"debug\"");
	top_refuses("log = { target = \"syslog\"; };",
		    "log.target: \"syslog\" is not known; write \"stderr\" or \"journal\"");
	listener_refuses("port_conflict = \"any\";",
			 "port_conflict: \"any\" is not known; write \"any-port\" or \"refuse\"");
	listener_refuses("protocol = \"sctp\";",
			 "protocol: \"sctp\" is not known; write \"tcp\" or \"udp\"");
	listener_refuses(
		"udp = { framing = \"each\"; };",
		"udp.framing: \"each\" is not known; write \"every\" or \"first\" or \"spp\"");
}

static void json_is_there_when_it_was_built_in(void **state)
{
	const char *text = "listeners = ( { " MINIMAL " } );\nlog = { format = \"json\"; };";

	(void)state;
	if (log_format_supported(LOG_FORMAT_JSON)) {
		load_config(text);
		assert_int_equal(config.log.format, LOG_FORMAT_JSON);
	} else {
		refuses(text,
			"F:2: log.format: \"json\" needs jansson, which this program was built "
			"without; write \"text\"");
	}
}

static void a_listener_says_what_it_lacks(void **state)
{
	(void)state;
	refuses("workers = 1;",
		"F:1: listeners: it is missing; write at least one, listeners = ( { ... } );");
	refuses("\nlisteners = ( );", "F:2: listeners: the list is empty; write at least one, "
				      "listeners = ( { ... } );");
	refuses("listeners = (\n{ listen = \"*:1\"; " FORWARD " subnets = \"any\"; } );",
		"F:2: listeners[0].name: it is missing; write one for the logs, such as name = "
		"\"web\"");
	refuses("listeners = (\n{ name = \"a\"; listen = \"*:1\"; subnets = \"any\"; } );",
		"F:2: listeners[0].forward: it is missing; write where to connect, such as forward "
		"= "
		"{ ipv4 = \"127.0.0.1:443\"; }");
	refuses("listeners = (\n{ name = \"a\"; listen = \"*:1\"; " FORWARD " } );",
		"F:2: listeners[0].subnets: it is missing; list the balancers' prefixes, or say "
		"subnets = \"any\" to take any balancer");
	refuses("listeners = ( { name = \"a\"; listen = \"*:1\"; subnets = \"any\";\nforward = { "
		"}; } );",
		"F:2: listeners[0].forward: it names no upstream; write ipv4 = \"127.0.0.1:443\" "
		"or "
		"ipv6 = \"[::1]:443\" or both");
	refuses("listeners = ( { name = \"a\"; " FORWARD " subnets = \"any\";\nlisten = [ ]; } );",
		"F:2: listeners[0].listen: the list is empty; write at least one address such as "
		"*:8443");
}

static void an_empty_allow_list_is_not_anybody(void **state)
{
	static const char start[] = "listeners = ( { name = \"a\"; listen = \"*:1\"; " FORWARD "\n";
	static const char wanted[] = "it holds no prefix, so nobody could connect; list the "
				     "balancers, or say subnets = \"any\" to take any balancer";
	static const char *const settings[][2] = {
		{"subnets = [ ];", "subnets"},
		{"subnets = ( );", "subnets"},
		{"subnets_files = [ ];", "subnets_files"},
		{"subnets = [ ]; subnets_files = ( );", "subnets"},
	};
	char text[1024], line[1200];

	(void)state;
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		snprintf(text, sizeof(text), "%s%s } );", start, settings[i][0]);
		snprintf(line, sizeof(line), "F:2: listeners[0].%s: %s", settings[i][1], wanted);
		refuses(text, line);
	}
	scratch_write("list", "10.0.0.0/8\n");
	listener_refuses(
		"subnets_files = [ \"list\" ];",
		"subnets_files: it has no effect beside subnets = \"any\"; remove one of the "
		"two");
}

static void names_are_plain_and_unique(void **state)
{
	(void)state;
	refuses("listeners = ( { name = \"a b\"; listen = \"*:1\"; " FORWARD
		" subnets = \"any\"; } );",
		"F:1: listeners[0].name: \"a b\" is no name for a listener; write 1 to 64 letters, "
		"digits, '.', '_' and '-'");
	assert_int_equal(read_config(scratch_write("F", "listeners = (\n{ " MINIMAL " },\n{ name = "
							"\"web\"; listen = \"*:81\"; " FORWARD
							" subnets = \"any\"; } );")),
			 -EINVAL);
	assert_int_equal(report.count, 1);
	assert_non_null(strstr(report.lines[0], "F:3: listeners[1].name: \"web\" is the name of"));
	assert_non_null(strstr(report.lines[0], "F:2 already; write another"));
}

static void nothing_is_listened_on_twice(void **state)
{
	static const char *const pairs[][2] = {
		{"*:80", "*:80"},
		{"*:80", "0.0.0.0:80"},
		{"[::]:80", "*:80"},
		{"127.0.0.1:80", "127.0.0.1:80"},
		{"[::1]:80", "[0:0::1]:80"},
		{"192.0.2.1:80", "[::ffff:192.0.2.1]:80"},
	};
	char text[1024], wanted[256];

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		snprintf(text, sizeof(text),
			 "listeners = (\n{ name = \"a\"; listen = [ \"*:1\",\n\"%s\" ]; " FORWARD
			 " subnets = \"any\"; },\n"
			 "{ name = \"b\"; listen = \"%s\"; " FORWARD " subnets = \"any\"; } );",
			 pairs[i][0], pairs[i][1]);
		assert_int_equal(read_config(scratch_write("F", text)), -EINVAL);
		assert_int_equal(report.count, 1);
		snprintf(wanted, sizeof(wanted),
			 "F:4: listeners[1].listen: \"%s\" is listened on "
			 "already, see ",
			 pairs[i][1]);
		assert_non_null(strstr(report.lines[0], wanted));
		assert_non_null(strstr(report.lines[0], "F:3; write another address or port"));
	}
}

static void udp_listens_on_nothing_twice_either(void **state)
{
	(void)state;
	assert_int_equal(read_config(scratch_write("F", "listeners = (\n"
							"{ protocol = \"udp\"; " MINIMAL " },\n"
							"{ name = \"b\"; listen = \"[::]:80\";\n"
							"protocol = \"udp\"; " FORWARD
							" subnets = \"any\"; } );")),
			 -EINVAL);
	assert_int_equal(report.count, 1);
	assert_non_null(strstr(report.lines[0], "F:3: listeners[1].listen: \"[::]:80\" is listened "
						"on already, see "));
}

static void a_bad_listen_address_is_told_a_good_one(void **state)
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
		{"localhost:80", "host names are not resolved; write an address such as "
				 "0.0.0.0:8443, [::]:8443 or *:8443"},
		{"localhost", "host names are not resolved; write an address such as 0.0.0.0:8443, "
			      "[::]:8443 or *:8443"},
		{"1.2.3.4", "the port is missing; write an address such as 0.0.0.0:8443, [::]:8443 "
			    "or *:8443"},
		{"[::1]",
		 "the port is missing; write an address such as 0.0.0.0:8443, [::]:8443 or "
		 "*:8443"},
		{"*", "the port is missing; write an address such as 0.0.0.0:8443, [::]:8443 or "
		      "*:8443"},
		{"*:0", "the port is out of range; write 1 to 65535"},
		{"1.2.3.4:65536", "the port is out of range; write 1 to 65535"},
		{"2001:db8::1:80", "an IPv6 address with a port takes brackets; write one such as "
				   "[::]:8443"},
		{"1.2.3:80",
		 "not an address with a port; write one such as 0.0.0.0:8443, [::]:8443 "
		 "or *:8443"},
		{":80", "not an address with a port; write one such as 0.0.0.0:8443, [::]:8443 or "
			"*:8443"},
		{"", "not an address with a port; write one such as 0.0.0.0:8443, [::]:8443 or "
		     "*:8443"},
	};
	char text[1024], wanted[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text),
			 "listeners = ( { name = \"a\"; listen = (\n\"%s\"\n); " FORWARD
			 " subnets = \"any\"; } );",
			 cases[i].text);
		snprintf(wanted, sizeof(wanted), "F:2: listeners[0].listen[0]: \"%s\": %s",
			 cases[i].text, cases[i].wanted);
		refuses(text, wanted);
	}
}

#define NO_HOST4                                                                                   \
	"a multicast, broadcast or unspecified address is no upstream; write one such as "         \
	"127.0.0.1:443"
#define NO_HOST6 "a multicast or unspecified address is no upstream; write one such as [::1]:443"

static void a_bad_upstream_is_told_a_good_one(void **state)
{
	static const struct {
		const char *setting, *text, *wanted;
	} cases[] = {
		{"ipv4", "[::1]:443",
		 "this is an IPv6 address; write an IPv4 one such as 127.0.0.1:443"},
		{"ipv6", "127.0.0.1:443",
		 "this is an IPv4 address; write an IPv6 one such as [::1]:443"},
		{"ipv6", "[::ffff:127.0.0.1]:443",
		 "this is an IPv4 address; write an IPv6 one such as [::1]:443"},
		{"ipv4", "localhost:443",
		 "host names are not resolved; write an address such as 127.0.0.1:443"},
		{"ipv6", "ip6-localhost:443",
		 "host names are not resolved; write an address such as [::1]:443"},
		{"ipv4", "127.0.0.1:0", "the port is out of range; write 1 to 65535"},
		{"ipv4",
		 "127.0.0.1:", "not an IPv4 address with a port; write one such as 127.0.0.1:443"},
		{"ipv6", "::1:443",
		 "an IPv6 address with a port takes brackets; write one such as [::1]:443"},
		{"ipv4", "*:443",
		 "not an IPv4 address with a port; write one such as 127.0.0.1:443"},
		{"ipv4", "0.0.0.0:443", NO_HOST4},
		{"ipv4", "0.1.2.3:443", NO_HOST4},
		{"ipv4", "224.0.0.1:443", NO_HOST4},
		{"ipv4", "239.255.255.255:443", NO_HOST4},
		{"ipv4", "255.255.255.255:443", NO_HOST4},
		{"ipv6", "[::]:443", NO_HOST6},
		{"ipv6", "[ff02::1]:443", NO_HOST6},
	};
	char text[1024], wanted[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text),
			 "listeners = ( { name = \"a\"; listen = \"*:1\"; subnets = \"any\";\n"
			 "forward = {\n%s = \"%s\"; }; } );",
			 cases[i].setting, cases[i].text);
		snprintf(wanted, sizeof(wanted), "F:3: listeners[0].forward.%s: \"%s\": %s",
			 cases[i].setting, cases[i].text, cases[i].wanted);
		refuses(text, wanted);
	}
}

static void a_bad_prefix_is_named(void **state)
{
	static const char bad[] =
		"not a prefix; write one such as 192.0.2.0/24 or 2001:db8::/32, or "
		"an address alone";
	static const char range[] = "the prefix length is out of range; write /0 to /32 for IPv4, "
				    "/0 to /128 for IPv6";
	static const char *const cases[][2] = {
		{"10.0.0.0/33", range}, {"::/129", range}, {"10.0.0/8", bad},
		{"any", bad},           {"", bad},         {"10.0.0.0/", bad},
	};
	char setting[256], wanted[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(setting, sizeof(setting), "permit_sources = [ \"%s\" ];", cases[i][0]);
		snprintf(wanted, sizeof(wanted), "permit_sources[0]: \"%s\": %s", cases[i][0],
			 cases[i][1]);
		listener_refuses(setting, wanted);
	}
	refuses("listeners = ( { name = \"a\"; listen = \"*:1\"; " FORWARD
		"\nsubnets = \"10.0.0.0/8\"; } );",
		"F:2: listeners[0].subnets: \"10.0.0.0/8\" stands alone; write a list such as [ "
		"\"192.0.2.0/24\" ], or \"any\" to take any balancer");
}

static void a_bad_device_is_named(void **state)
{
	(void)state;
	listener_refuses(
		"device = \"sixteen-letters!\";",
		"device: \"sixteen-letters!\" is no name of a network interface; write one "
		"of at most 15 characters, such as \"eth0\"");
	listener_refuses("device = \"\";", "device: it is empty; write the name of a network "
					   "interface, or leave the setting out");
}

static void a_bad_prefix_file_is_named_with_its_own_lines(void **state)
{
	static const char text[] = "listeners = ( { name = \"a\"; listen = \"*:1\"; " FORWARD
				   "\nsubnets_files = [ \"list\" ]; } );";
	char wanted[600];

	(void)state;
	snprintf(
		wanted, sizeof(wanted),
		"F:2: listeners[0].subnets_files[0]: cannot read \"%s\": No such file or directory",
		scratch_path("list"));
	refuses(text, wanted);
	scratch_write("list", "# nobody\n\n");
	refuses(text, "list:1: the file holds no prefix; write one a line, such as 192.0.2.0/24");
	scratch_write("list", "10.0.0.0/8\n\n10.0.0.0/8 ::1\n");
	refuses(text, "list:3: \"10.0.0.0/8 ::1\": not a prefix; write one such as 192.0.2.0/24 or "
		      "2001:db8::/32, or an address alone");
	scratch_write_bytes("list", "10.0.0.0/8\n\0\n", 13);
	refuses(text, "list:2: a NUL byte; this is not a text file");
}

/* With lists of plugins above the listener, in it, and below. The mistake is `beginning`, the
 * file's path, `rest`. */
static void plugins_refuse(const char *upper, const char *own, const char *lower,
			   const char *beginning, const char *rest)
{
	char text[1024], wanted[1200];

	snprintf(text, sizeof(text), "%s\nlisteners = ( { " MINIMAL " %s } );\n%s", upper, own,
		 lower);
	scratch_write("F", text);
	snprintf(wanted, sizeof(wanted), "%s%s%s", beginning, scratch_path("F"), rest);
	refuses(text, wanted);
}

static void plugins_that_would_count_as_one_are_named(void **state)
{
	(void)state;
	plugins_refuse("plugins = ( { name = \"a\"; }, { name = \"a\"; } );", "", "",
		       "F:1: plugins[1].name: \"a\" is the name of the plugin at ",
		       ":1: plugins[0] "
		       "already; write another, and the file's name as path");
	plugins_refuse("plugins = ( { name = \"a-b\"; }, { name = \"a_b\"; } );", "", "",
		       "F:1: plugins[1].name: \"a_b\" and \"a-b\", the plugin at ",
		       ":1: plugins[0], "
		       "would have the same counters, as '-' is '_' there; write another name");
	/* In whatever order the lists stand. */
	plugins_refuse(
		"", "plugins = ( { name = \"a_b-c\"; } );", "plugins = ( { name = \"a-b-c\"; } );",
		"F:3: plugins[0].name: \"a-b-c\" and \"a_b-c\", the plugin at ",
		":2: "
		"listeners[0].plugins[0], would have the same counters, as '-' is '_' there; "
		"write another name");
	/* One name in several lists is one counter, as it is meant to be. */
	load_config("plugins = ( { name = \"a-b\"; }, { name = \"a-bc\"; } );\n"
		    "listeners = ( { " MINIMAL " plugins = ( { name = \"a-b\"; } ); } );");
}

static void a_setting_that_is_there_twice_is_named(void **state)
{
	(void)state;
	top_refuses("user = \"a\"; user = \"b\";",
		    "user: it is set twice in the same group; keep one");
	refuses("listeners = ( { mark = 1;\n mark = 1; } );",
		"F:2: mark: it is set twice in the same group; keep one");
}

static void an_array_of_mixed_values_is_named(void **state)
{
	(void)state;
	refuses("listeners = ( { subnets = [ \"10.0.0.0/8\",\n 8 ]; } );",
		"F:2: subnets: an array [ ] holds values of one type only; write them all alike");
}

static void every_mistake_is_reported_not_just_the_first(void **state)
{
	static const char *const wanted[] = {
		"F:1: workers: ",
		"inc:2: usr: ",
		"F:4: listeners[0].mark: ",
		"F:5: listeners[0].forward.ipv4: ",
		"F:6: listeners[0].listen[0]: ",
		"F:6: listeners[0].listen[1]: ",
		"list:1: ",
		"list:3: ",
		"F:4: listeners[0].name: ",
		"F:8: listeners[1].name: ",
		"F:8: listeners[1].forward: ",
		"F:8: listeners[1].subnets: ",
	};

	(void)state;
	scratch_write("inc", "\nusr = \"x\";\n");
	scratch_write("list", "x\n10.0.0.0/8\ny\n");
	assert_int_equal(read_config(scratch_write("F", "workers = -1;\n"
							"@include \"inc\"\n"
							"listeners = (\n"
							"{ mark = -1;\n"
							"forward = { ipv4 = \"x\"; };\n"
							"listen = [ \"y\", \"z\" ];\n"
							"subnets_files = [ \"list\" ]; },\n"
							"{ } );\n")),
			 -EINVAL);
	for (size_t i = 0; i < report.count && i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		const char *line = without_folder(report.lines[i]);

		if (strncmp(line, wanted[i], strlen(wanted[i])) != 0)
			fail_msg("%s does not begin with %s", line, wanted[i]);
	}
	assert_int_equal(report.count, sizeof(wanted) / sizeof(wanted[0]));
}

static void a_message_escapes_what_it_quotes_and_has_an_end(void **state)
{
	char text[9000] = "user = \"a\";\nlisteners = ( { " MINIMAL "\nport_conflict = \"";
	size_t length = strlen(text);

	(void)state;
	listener_refuses("port_conflict = \"\\x1b[2J\";",
			 "port_conflict: \"\\x1b[2J\" is not known; write \"any-port\" or "
			 "\"refuse\"");
	memset(text + length, 'x', 8000);
	strcpy(text + length + 8000, "\"; } );");
	assert_int_equal(read_config(scratch_write("F", text)), -EINVAL);
	assert_true(strlen(report.lines[0]) < 300);
}

static void mistakes_without_number_are_cut_at_two_hundred_lines(void **state)
{
	char *list = malloc(20001);
	struct prefix_set *set = prefix_set_create();

	(void)state;
	for (size_t i = 0; i < 10000; i++)
		memcpy(list + 2 * i, "x\n", 3);
	assert_int_equal(config_read_prefix_file(scratch_write("list", list), "test", set, &report,
						 &config.remarks),
			 -EINVAL);
	assert_int_equal(report.count, 200);
	assert_string_equal(report.lines[199],
			    "there are more of them; they are shown once these are gone");
	prefix_set_destroy(set);
	free(list);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_begin, end_config)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_unknown_setting_is_told_what_was_meant),
		TEST(a_misspelt_setting_is_not_also_missing),
		TEST(a_value_of_the_wrong_type_is_told_the_right_one),
		TEST(a_number_out_of_range_is_told_the_range),
		TEST(a_number_that_libconfig_would_cut_is_refused),
		TEST(a_choice_is_told_what_there_is),
		TEST(json_is_there_when_it_was_built_in),
		TEST(a_listener_says_what_it_lacks),
		TEST(an_empty_allow_list_is_not_anybody),
		TEST(names_are_plain_and_unique),
		TEST(nothing_is_listened_on_twice),
		TEST(udp_listens_on_nothing_twice_either),
		TEST(a_bad_listen_address_is_told_a_good_one),
		TEST(a_bad_upstream_is_told_a_good_one),
		TEST(a_bad_prefix_is_named),
		TEST(a_bad_device_is_named),
		TEST(a_bad_prefix_file_is_named_with_its_own_lines),
		TEST(plugins_that_would_count_as_one_are_named),
		TEST(a_setting_that_is_there_twice_is_named),
		TEST(an_array_of_mixed_values_is_named),
		TEST(every_mistake_is_reported_not_just_the_first),
		TEST(a_message_escapes_what_it_quotes_and_has_an_end),
		TEST(mistakes_without_number_are_cut_at_two_hundred_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
