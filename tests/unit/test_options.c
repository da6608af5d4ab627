/* SPDX-License-Identifier: MIT */
/*
 * The command line: the short form that users of mmproxy-rs and go-mmproxy know, the configuration
 * file, and the one line that a mistake is worth.
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

#include "config_fixture.h"
#include "daemon/options.h"
#include "full_report.h"
#include "scratch.h"

static struct options options;

/* The arguments behind the program's name, up to NULL. */
static int parse(const char *const *arguments)
{
	char *argv[32] = {(char *)"mmproxy"};
	int argc = 1;

	for (; *arguments != NULL; arguments++)
		argv[argc++] = (char *)*arguments;
	forget_config();
	return options_parse(argc, argv, &options, &config, &report);
}

#define ARGUMENTS(...) ((const char *const[]){__VA_ARGS__, NULL})

#define accepts(...)                                                                               \
	do {                                                                                       \
		if (parse(ARGUMENTS(__VA_ARGS__)) != 0)                                            \
			fail_msg("%s", report.count > 0 ? report.lines[0] : "refused");            \
	} while (0)

#define refuses(wanted, ...)                                                                       \
	do {                                                                                       \
		assert_int_equal(parse(ARGUMENTS(__VA_ARGS__)), -EINVAL);                          \
		assert_null(config.listeners);                                                     \
		assert_int_equal(report.count, 1);                                                 \
		assert_string_equal(report.lines[0], wanted);                                      \
	} while (0)

/* The short form. */

static void what_is_not_said_is_as_in_the_older_programs(void **state)
{
	const struct config_listener *listener;

	(void)state;
	accepts("-m", "0");
	assert_int_equal(options.action, OPTIONS_RUN);
	assert_false(options.verbose);
	assert_null(options.config_file);
	assert_int_equal(config.workers, config_count_cpus());
	assert_string_equal(config.user, "nobody");
	assert_int_equal(config.listener_count, 1);
	listener = &config.listeners[0];
	assert_string_equal(listener->name, "default");
	assert_string_equal(listener->where, "command line");
	assert_int_equal(listener->listen_count, 1);
	expect_address(&listener->listen[0].address, "0.0.0.0:8443");
	assert_false(listener->listen[0].both_families);
	expect_address(&listener->relay.forward_ipv4, "127.0.0.1:443");
	expect_address(&listener->relay.forward_ipv6, "[::1]:443");
	assert_null(listener->relay.subnets);
	assert_true(listener->any_by_default);
	assert_null(listener->relay.permit_sources);
	assert_int_equal(listener->relay.mark, 0);
	assert_int_equal(listener->relay.header_timeout, 5000);
	assert_int_equal(listener->relay.protocol, RELAY_PROTOCOL_TCP);
	assert_int_equal(listener->relay.udp.framing, UDP_FRAMING_EVERY);
	assert_int_equal(listener->relay.udp.idle_timeout, 60000);
	assert_int_equal(config.remarks.count, 0);
	assert_string_equal(listener->relay.listener_name, "default");
}

static void every_option_is_read(void **state)
{
	const char *list = scratch_write("list", "# ours\n\n10.0.0.0/8\n::1/128 # this host\n");
	const struct config_listener *listener;

	(void)state;
	accepts("-l", "[2001:db8::1]:80", "-4", "192.0.2.1:81", "-6", "[2001:db8::2]:82", "-a",
		list, "-p", "tcp", "-m", "0xFFFFFFFF", "--listeners", "3", "-c", "0",
		"--permit-source", "127.0.0.0/8", "--permit-source", "::1", "-v");
	assert_true(options.verbose);
	assert_int_equal(config.workers, 3);
	listener = &config.listeners[0];
	expect_address(&listener->listen[0].address, "[2001:db8::1]:80");
	assert_false(listener->listen[0].both_families);
	expect_address(&listener->relay.forward_ipv4, "192.0.2.1:81");
	expect_address(&listener->relay.forward_ipv6, "[2001:db8::2]:82");
	assert_false(listener->any_by_default);
	assert_true(allows(listener->relay.subnets, "10.1.2.3"));
	assert_true(allows(listener->relay.subnets, "::1"));
	assert_false(allows(listener->relay.subnets, "11.1.2.3"));
	assert_int_equal(listener->relay.mark, 0xffffffff);
	assert_true(allows(listener->relay.permit_sources, "127.1.2.3"));
	assert_true(allows(listener->relay.permit_sources, "::1"));
}

static void long_options_take_two_dashes_or_the_one_of_go_mmproxy(void **state)
{
	(void)state;
	accepts("--listen-addr", "0.0.0.0:1", "--ipv4=127.0.0.1:2", "--ipv6", "[::1]:3",
		"--protocol=tcp", "--mark", "4", "--close-after", "60", "--verbose");
	assert_int_equal(config.listeners[0].relay.mark, 4);
	accepts("-l", "0.0.0.0:1", "-4", "127.0.0.1:2", "-mark", "5", "-listeners", "2",
		"-close-after=60");
	assert_int_equal(config.listeners[0].relay.mark, 5);
	assert_int_equal(config.workers, 2);
	accepts("-m6", "-l0.0.0.0:1");
	assert_int_equal(config.listeners[0].relay.mark, 6);
}

static void two_colons_listen_on_both_families_as_in_the_older_programs(void **state)
{
	(void)state;
	accepts("-l", "[::]:8443");
	assert_true(config.listeners[0].listen[0].both_families);
	accepts("-l", "*:8443");
	assert_true(config.listeners[0].listen[0].both_families);
	expect_address(&config.listeners[0].listen[0].address, "[::]:8443");
}

static void a_bad_address_is_told_a_good_one(void **state)
{
	(void)state;
	refuses("mmproxy: --listen-addr: \"localhost:80\": host names are not resolved; write an "
		"address such as 0.0.0.0:8443, [::]:8443 or *:8443",
		"-l", "localhost:80");
	refuses("mmproxy: --ipv4: \"[::1]:443\": this is an IPv6 address; write an IPv4 one such "
		"as "
		"127.0.0.1:443",
		"-4", "[::1]:443");
	refuses("mmproxy: --ipv6: \"::1\": an IPv6 address with a port takes brackets; write one "
		"such "
		"as [::1]:443",
		"-6", "::1");
	refuses("mmproxy: --ipv4: \"0.0.0.0:443\": a multicast, broadcast or unspecified address "
		"is no upstream; write one such as 127.0.0.1:443",
		"-4", "0.0.0.0:443");
	refuses("mmproxy: --permit-source: \"10.0.0.0/33\": the prefix length is out of range; "
		"write "
		"/0 to /32 for IPv4, /0 to /128 for IPv6",
		"--permit-source", "10.0.0.0/33");
}

static void a_bad_number_is_told_the_range(void **state)
{
	(void)state;
	refuses("mmproxy: --mark: \"-1\" is not a number from 0 to 4294967295", "-m", "-1");
	refuses("mmproxy: --mark: \"4294967296\" is not a number from 0 to 4294967295", "-m",
		"4294967296");
	refuses("mmproxy: --mark: \"99999999999999999999\" is not a number from 0 to 4294967295",
		"-m", "99999999999999999999");
	refuses("mmproxy: --mark: \"\" is not a number from 0 to 4294967295", "-m", "");
	refuses("mmproxy: --mark: \"0x\" is not a number from 0 to 4294967295", "-m", "0x");
	refuses("mmproxy: --listeners: \"0\" is not a number from 1 to 256", "--listeners", "0");
	refuses("mmproxy: --close-after: \"60s\" is not a number from 0 to 604800", "-c", "60s");
}

static void udp_has_a_header_in_every_datagram(void **state)
{
	const struct relay_settings *relay;

	(void)state;
	accepts("-p", "udp");
	relay = &config.listeners[0].relay;
	assert_int_equal(relay->protocol, RELAY_PROTOCOL_UDP);
	assert_int_equal(relay->udp.framing, UDP_FRAMING_EVERY);
	assert_int_equal(relay->udp.idle_timeout, 60000);
	assert_int_equal(relay->udp.max_flows, 65536);
	refuses("mmproxy: --protocol: \"sctp\" is not known; write tcp or udp", "-p", "sctp");
	refuses("mmproxy: --protocol: \"\" is not known; write tcp or udp", "-p", "");
	refuses("mmproxy: --protocol: \"UDP\" is not known; write tcp or udp", "-p", "UDP");
}

static void close_after_ends_idle_flows_and_may_stand_beside_tcp(void **state)
{
	(void)state;
	accepts("-p", "udp", "-c", "5");
	assert_int_equal(config.listeners[0].relay.udp.idle_timeout, 5000);
	accepts("-p", "udp", "--close-after", "0");
	assert_int_equal(config.listeners[0].relay.udp.idle_timeout, 0);
	accepts("-p", "udp", "--close-after", "604800");
	assert_int_equal(config.listeners[0].relay.udp.idle_timeout, 604800000);
	refuses("mmproxy: --close-after: \"604801\" is not a number from 0 to 604800", "-p", "udp",
		"-c", "604801");
	accepts("-p", "tcp", "-c", "5");
	assert_int_equal(config.listeners[0].relay.idle_timeout, 0);
	assert_int_equal(config.remarks.count, 0);
}

static void what_a_prefix_does_other_than_it_seems_to_is_remarked(void **state)
{
	char wanted[600];

	(void)state;
	accepts("-a", scratch_write("list", "10.0.0.0/8\n10.0.0.1/8\n"), "--permit-source",
		"127.0.0.0/8", "--permit-source", "127.0.0.1/8", "--permit-source", "224.0.0.1");
	assert_int_equal(config.remarks.count, 3);
	snprintf(wanted, sizeof(wanted),
		 "%s:2: \"10.0.0.1/8\": it is taken as 10.0.0.0/8; write that, or 10.0.0.1 for the "
		 "one address",
		 scratch_path("list"));
	assert_string_equal(config.remarks.lines[0], wanted);
	assert_string_equal(
		config.remarks.lines[1],
		"mmproxy: --permit-source: \"127.0.0.1/8\": it is taken as 127.0.0.0/8; "
		"write that, or 127.0.0.1 for the one address");
	assert_string_equal(config.remarks.lines[2],
			    "mmproxy: --permit-source: \"224.0.0.1\": no socket can send from "
			    "there, so it opens nothing; remove it");
}

static void a_bad_allow_list_is_named(void **state)
{
	const char *list = scratch_write("list", "10.0.0.0/8\nten\n");
	char wanted[600];

	(void)state;
	snprintf(wanted, sizeof(wanted),
		 "%s:2: \"ten\": not a prefix; write one such as 192.0.2.0/24 or 2001:db8::/32, or "
		 "an "
		 "address alone",
		 list);
	refuses(wanted, "-a", list);
	snprintf(wanted, sizeof(wanted),
		 "mmproxy: --allowed-subnets: cannot read \"%s\": No such file or directory",
		 scratch_path("none"));
	refuses(wanted, "-a", scratch_path("none"));
	snprintf(wanted, sizeof(wanted),
		 "mmproxy: --allowed-subnets: cannot read \"%s\": it is a directory; name a file",
		 scratch_path("."));
	refuses(wanted, "-a", scratch_path("."));
}

static void every_mistake_is_reported_not_just_the_first(void **state)
{
	(void)state;
	assert_int_equal(parse(ARGUMENTS("-l", "x", "-4", "y", "-6", "z", "-m", "w")), -EINVAL);
	assert_int_equal(report.count, 4);
	assert_int_equal(parse(ARGUMENTS("--what", "-x", "rest")), -EINVAL);
	assert_int_equal(report.count, 3);
}

/* The configuration file. */

static const char *good_file(void)
{
	return scratch_write("good.conf",
			     "workers = 2; listeners = ( { name = \"web\"; listen = \"*:80\";\n"
			     "forward = { ipv4 = \"127.0.0.1:443\"; }; subnets = \"any\"; } );");
}

static void a_file_is_loaded(void **state)
{
	const char *path = good_file();

	(void)state;
	accepts("--config", path);
	assert_int_equal(options.action, OPTIONS_RUN);
	assert_string_equal(options.config_file, path);
	assert_string_equal(config.listeners[0].name, "web");
	assert_int_equal(config.workers, 2);
}

static void check_is_for_files_and_for_the_short_form(void **state)
{
	(void)state;
	accepts("--check", "--config", good_file());
	assert_int_equal(options.action, OPTIONS_CHECK);
	accepts("--check", "-l", "0.0.0.0:80");
	assert_int_equal(options.action, OPTIONS_CHECK);
	assert_int_equal(parse(ARGUMENTS("--check", "-l", "80")), -EINVAL);
}

static void a_bad_files_lines_begin_with_its_name(void **state)
{
	char wanted[600];

	(void)state;
	snprintf(wanted, sizeof(wanted),
		 "%s: cannot read the configuration: No such file or directory",
		 scratch_path("none"));
	refuses(wanted, "--config", scratch_path("none"));
}

static void a_file_and_the_short_form_do_not_mix(void **state)
{
	(void)state;
	refuses("mmproxy: -m cannot stand beside --config; write its setting into the file",
		"--config", good_file(), "-m", "1");
	refuses("mmproxy: --mark=1 cannot stand beside --config; write its setting into the file",
		"--mark=1", "--config", good_file());
	accepts("--config", good_file(), "-v");
	assert_true(options.verbose);
}

/* The rest. */

static void help_and_version_answer_whatever_else_is_there(void **state)
{
	(void)state;
	accepts("-h");
	assert_int_equal(options.action, OPTIONS_HELP);
	assert_int_equal(config.listener_count, 0);
	accepts("--what", "--version", "-l");
	assert_int_equal(options.action, OPTIONS_VERSION);
	assert_int_equal(report.count, 0);
	accepts("--config", "/nowhere", "--help");
	assert_int_equal(options.action, OPTIONS_HELP);
}

static void the_help_fits_on_a_screen(void **state)
{
	unsigned lines = 0;

	(void)state;
	for (const char *line = options_help(); *line != '\0'; line = strchr(line, '\n') + 1) {
		assert_true(strcspn(line, "\n") <= 80);
		lines++;
	}
	assert_true(lines <= 23); /* the prompt is the last one */
}

static void no_argument_at_all_is_told_what_is_needed(void **state)
{
	static const char *const none[] = {NULL};

	(void)state;
	assert_int_equal(parse(none), -EINVAL);
	assert_int_equal(report.count, 1);
	assert_string_equal(
		report.lines[0],
		"mmproxy: nothing says what to do; give --config FILE, or for example -l "
		"0.0.0.0:8443 -4 127.0.0.1:443; see mmproxy --help");
}

static void what_is_no_option_is_named(void **state)
{
	(void)state;
	refuses("mmproxy: unknown or ambiguous option --what; see mmproxy --help", "--what", "-m",
		"1");
	refuses("mmproxy: unknown or ambiguous option --listen=x; see mmproxy --help",
		"--listen=x");
	refuses("mmproxy: unknown or ambiguous option -x; see mmproxy --help", "-x", "-m", "1");
	refuses("mmproxy: unknown option -x; see mmproxy --help", "-vx", "-m", "1");
	refuses("mmproxy: \"stray\" is no option, and there are no other arguments; see mmproxy "
		"--help",
		"-m", "1", "stray");
	refuses("mmproxy: -m takes a value; see mmproxy --help", "-m");
	refuses("mmproxy: --config takes a value; see mmproxy --help", "--config");
	refuses("mmproxy: --check=yes: this option takes no value", "--check=yes");
	refuses("mmproxy: --verbose=2: this option takes no value", "--verbose=2");
}

static void an_option_given_twice_is_a_mistake(void **state)
{
	(void)state;
	refuses("mmproxy: --listen-addr is given twice; the short form describes one listener, "
		"--config any number",
		"-l", "*:1", "-l", "*:2");
	refuses("mmproxy: --config is given twice; a file can @include others", "--config", "a",
		"--config", "b");
}

static void a_mistake_whose_line_is_lost_is_one(void **state)
{
	char *argv[] = {(char *)"mmproxy", (char *)"-m", (char *)"x", NULL};

	(void)state;
	forget_config();
	full_report_init(&report);
	assert_int_equal(options_parse(3, argv, &options, &config, &report), -EINVAL);
	assert_null(config.listeners);
	forget_config();
	full_report_init(&report);
	argv[2] = (char *)"7";
	assert_int_equal(options_parse(3, argv, &options, &config, &report), 0);
	assert_int_equal(config.listeners[0].relay.mark, 7);
}

static void a_command_line_can_be_read_again(void **state)
{
	char *argv[] = {(char *)"mmproxy", (char *)"-m",  (char *)"7",
			(char *)"-l",      (char *)"*:1", NULL};

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(options_parse(5, argv, &options, &config, &report), 0);
		assert_int_equal(config.listeners[0].relay.mark, 7);
		config_finish(&config);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_begin, end_config)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_not_said_is_as_in_the_older_programs),
		TEST(every_option_is_read),
		TEST(long_options_take_two_dashes_or_the_one_of_go_mmproxy),
		TEST(two_colons_listen_on_both_families_as_in_the_older_programs),
		TEST(a_bad_address_is_told_a_good_one),
		TEST(a_bad_number_is_told_the_range),
		TEST(udp_has_a_header_in_every_datagram),
		TEST(close_after_ends_idle_flows_and_may_stand_beside_tcp),
		TEST(what_a_prefix_does_other_than_it_seems_to_is_remarked),
		TEST(a_bad_allow_list_is_named),
		TEST(every_mistake_is_reported_not_just_the_first),
		TEST(a_file_is_loaded),
		TEST(check_is_for_files_and_for_the_short_form),
		TEST(a_bad_files_lines_begin_with_its_name),
		TEST(a_file_and_the_short_form_do_not_mix),
		TEST(help_and_version_answer_whatever_else_is_there),
		TEST(the_help_fits_on_a_screen),
		TEST(no_argument_at_all_is_told_what_is_needed),
		TEST(what_is_no_option_is_named),
		TEST(an_option_given_twice_is_a_mistake),
		TEST(a_mistake_whose_line_is_lost_is_one),
		TEST(a_command_line_can_be_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
