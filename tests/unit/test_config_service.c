/* SPDX-License-Identifier: MIT */
/*
 * How a running mmproxy can be asked: what `control`, `metrics` and log.target become, and what
 * their mistakes are told. "F" is the file's name. A build that lacks a library refuses its group.
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

#include "config/setting.h"
#include "config_fixture.h"
#include "scratch.h"

#define MINIMAL                                                                                    \
	"listeners = ( { name = \"web\"; listen = \"*:80\"; "                                      \
	"forward = { ipv4 = \"127.0.0.1:443\"; }; subnets = \"any\"; } );\n"

/* The setting stands on line 2. */
static const char *with_listener(const char *setting)
{
	static char text[1024];

	snprintf(text, sizeof(text), MINIMAL "%s", setting);
	return text;
}

static void load(const char *setting)
{
	load_config(with_listener(setting));
}

static void refuses(const char *setting, const char *wanted)
{
	char line[1024];

	config_finish(&config);
	snprintf(line, sizeof(line), "F:2: %s", wanted);
	refuse_config(scratch_write("F", with_listener(setting)), line);
}

static void log_target_is_kept(void **state)
{
	const struct setting *target = &setting_table[SETTING_log_target];

	(void)state;
	assert_int_equal(setting_choice(target, "stderr"), LOG_TARGET_STDERR);
	assert_int_equal(setting_choice(target, "journal"), LOG_TARGET_JOURNAL);
	load("log = { target = \"journal\"; };");
	assert_int_equal(config.log.target, LOG_TARGET_JOURNAL);
	load("log = { target = \"stderr\"; };");
	assert_int_equal(config.log.target, LOG_TARGET_STDERR);
	assert_int_equal(config.remarks.count, 0);
	load("log = { target = \"journal\"; format = \"text\"; };");
	expect_line(&config.remarks,
		    "F:2: log.format: it has no effect with target = \"journal\", which "
		    "has a field for each; remove it");
	load("log = { };");
	assert_int_equal(config.log.target, LOG_TARGET_DEFAULT);
}

#ifdef HAVE_JANSSON

static void every_setting_of_control_is_read(void **state)
{
	(void)state;
	load("control = { socket = \"/a/b.sock\"; mode = \"0606\"; group = \"root\"; };");
	assert_string_equal(config.control.socket, "/a/b.sock");
	assert_int_equal(config.control.mode, 0606);
	assert_string_equal(config.control.group, "root");
	assert_string_equal(without_folder(config.control.where), "F:2");

	load("control = { mode = \"777\"; };");
	assert_null(config.control.socket);
	assert_int_equal(config.control.mode, 0777);
	assert_null(config.control.group);
	assert_non_null(config.control.where);

	load("control = { };");
	assert_int_equal(config.control.mode, 0660);
	assert_non_null(config.control.where);
}

static void a_mode_is_three_or_four_octal_digits_in_quotes(void **state)
{
	static const char *const bad[] = {"",     "66",   "06600", "0680",  "1777",
					  "-660", " 660", "0o660", "rw-rw", "0x1b"};
	static const char *const numbers[] = {"0660", "660", "0x1b0", "432", "660L"};
	char setting[128], wanted[256];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(setting, sizeof(setting), "control = { mode = \"%s\"; };", bad[i]);
		snprintf(wanted, sizeof(wanted),
			 "control.mode: \"%s\" is no mode; write three or four octal digits, up to "
			 "0777, such as \"0660\"",
			 bad[i]);
		refuses(setting, wanted);
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		snprintf(setting, sizeof(setting), "control = { mode = %s; };", numbers[i]);
		refuses(setting, "control.mode: a number is decimal here, and a mode is not; write "
				 "it in double quotes, such as \"0660\"");
	}
	refuses("control = { mode = true; };",
		"control.mode: wrong type, this is true or false; write a text in double quotes");
}

static void a_control_socket_has_a_path_that_fits(void **state)
{
	char setting[256], path[109] = "/";

	(void)state;
	refuses("control = { socket = \"control.sock\"; };",
		"control.socket: \"control.sock\" is no path of a socket; write one that begins "
		"with a slash, such as \"/run/mmproxy/control.sock\"");
	refuses("control = { socket = \"\"; };",
		"control.socket: \"\" is no path of a socket; write one that begins with a slash, "
		"such as \"/run/mmproxy/control.sock\"");
	memset(path + 1, 'x', 106);
	snprintf(setting, sizeof(setting), "control = { socket = \"%s\"; };", path);
	load(setting);
	assert_string_equal(config.control.socket, path);
	path[107] = 'x';
	snprintf(setting, sizeof(setting), "control = { socket = \"%s\"; };", path);
	refuses(setting, "control.socket: this path has 108 bytes; write one of at most 107, which "
			 "is what a socket's address holds");
}

static void the_group_of_the_control_socket_exists(void **state)
{
	(void)state;
	refuses("control = { group = \"no-such-group\"; };",
		"control.group: there is no group \"no-such-group\"; write the name of one, or "
		"leave the setting out");
	refuses("control = { group = \"\"; };", "control.group: it is empty; write the name of a "
						"group, or leave the setting out");
	refuses("control = { group = 0; };", "control.group: wrong type, this is a whole number; "
					     "write a text in double quotes");
}

static void what_is_no_setting_of_control_is_told_so(void **state)
{
	(void)state;
	refuses("control = \"/run/x\";", "control: wrong type; write control = { socket = "
					 "\"/run/mmproxy/control.sock\"; }");
	refuses("control = { sockets = \"/run/x\"; };",
		"control.sockets: unknown setting; did you mean \"socket\"?");
	refuses("control = { listen = \"127.0.0.1:1\"; };",
		"control.listen: unknown setting; it stands in metrics = { }");
}

#else

static void control_needs_jansson(void **state)
{
	(void)state;
	refuses("control = { };", "control: it needs jansson, which this program was built "
				  "without; remove it");
}

#endif

#ifdef HAVE_LIBMICROHTTPD

static void metrics_listen_is_read(void **state)
{
	static const char *const good[] = {"127.0.0.1:9464", "[::1]:1", "127.255.255.254:65535"};
	char setting[128], text[ADDRESS_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(setting, sizeof(setting), "metrics = { listen = \"%s\"; };", good[i]);
		load(setting);
		assert_string_equal(address_format(&config.metrics_listen, text), good[i]);
		assert_string_equal(without_folder(config.metrics_where), "F:2");
	}
}

#define NOT_LOOPBACK                                                                               \
	"anybody who can reach it could read there, and there is no password; write a loopback "   \
	"address such as 127.0.0.1:9464 or [::1]:9464"

static void metrics_are_for_this_host_alone(void **state)
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
		{"0.0.0.0:9464", NOT_LOOPBACK},
		{"[::]:9464", NOT_LOOPBACK},
		{"192.0.2.1:9464", NOT_LOOPBACK},
		{"128.0.0.1:9464", NOT_LOOPBACK},
		{"[::2]:9464", NOT_LOOPBACK},
		{"[2001:db8::1]:9464", NOT_LOOPBACK},
		{"*:9464", "not an address with a port; write an address such as 127.0.0.1:9464 or "
			   "[::1]:9464"},
		{"localhost:9464", "host names are not resolved; write an address such as "
				   "127.0.0.1:9464 or [::1]:9464"},
		{"127.0.0.1",
		 "the port is missing; write an address such as 127.0.0.1:9464 or [::1]:9464"},
		{"127.0.0.1:0", "the port is out of range; write 1 to 65535"},
		{"::1:9464", "an IPv6 address with a port takes brackets; write one such as "
			     "[::1]:9464"},
	};
	char setting[128], wanted[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(setting, sizeof(setting), "metrics = { listen = \"%s\"; };",
			 cases[i].text);
		snprintf(wanted, sizeof(wanted), "metrics.listen: \"%s\": %s", cases[i].text,
			 cases[i].wanted);
		refuses(setting, wanted);
	}
}

static void metrics_say_where(void **state)
{
	(void)state;
	refuses("metrics = { };", "metrics.listen: it is missing; write where, such as listen = "
				  "\"127.0.0.1:9464\"");
	refuses("metrics = \"127.0.0.1:9464\";",
		"metrics: wrong type; write metrics = { listen = \"127.0.0.1:9464\"; }");
	refuses("metrics = { liste = \"127.0.0.1:9464\"; };",
		"metrics.liste: unknown setting; did you mean \"listen\"?");
}

/* The listener stands on line 1, the metrics on line 2. */
static void metrics_share_no_port_with_a_listener(void **state)
{
	static const struct {
		const char *listener, *metrics;
		bool clash;
	} cases[] = {
		{"listen = \"127.0.0.1:9464\";", "127.0.0.1:9464", true},
		{"listen = \"[::1]:9464\";", "[::1]:9464", true},
		{"listen = \"0.0.0.0:9464\";", "127.0.0.1:9464", true},
		{"listen = \"[::]:9464\";", "[::1]:9464", true},
		{"listen = \"*:9464\";", "127.0.0.1:9464", true},
		{"listen = \"*:9464\";", "[::1]:9464", true},
		{"listen = [\"*:1\", \"*:9464\"];", "[::1]:9464", true},
		{"listen = \"0.0.0.0:9464\"; device = \"eth0\";", "127.0.0.1:9464", true},
		{"listen = \"127.0.0.1:9465\";", "127.0.0.1:9464", false},
		{"listen = \"127.0.0.2:9464\";", "127.0.0.1:9464", false},
		{"listen = \"[::]:9464\";", "127.0.0.1:9464", false},
		{"listen = \"0.0.0.0:9464\";", "[::1]:9464", false},
		{"listen = \"*:9464\"; protocol = \"udp\";", "127.0.0.1:9464", false},
	};
	char text[512], wanted[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text),
			 "listeners = ( { name = \"web\"; %s subnets = \"any\"; forward = { ipv4 = "
			 "\"127.0.0.1:443\"; }; } );\nmetrics = { listen = \"%s\"; };",
			 cases[i].listener, cases[i].metrics);
		snprintf(wanted, sizeof(wanted),
			 "F:2: metrics.listen: \"%s\" is listened on already, see ",
			 cases[i].metrics);
		config_finish(&config);
		report_finish(&report);
		config_load_file(scratch_write("F", text), &config, &report);
		if (cases[i].clash) {
			assert_int_equal(report.count, 1);
			assert_memory_equal(without_folder(report.lines[0]), wanted,
					    strlen(wanted));
			assert_non_null(
				strstr(report.lines[0], "/F:1; write another address or port"));
		} else if (report.count > 0) {
			fail_msg("%s", report.lines[0]);
		}
	}
}

#else

static void metrics_need_libmicrohttpd(void **state)
{
	(void)state;
	refuses("metrics = { listen = \"127.0.0.1:9464\"; };",
		"metrics: it needs libmicrohttpd, which this program was built without; remove it");
}

#endif

#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_begin, end_config)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(log_target_is_kept),
#ifdef HAVE_JANSSON
		TEST(every_setting_of_control_is_read),
		TEST(a_mode_is_three_or_four_octal_digits_in_quotes),
		TEST(a_control_socket_has_a_path_that_fits),
		TEST(the_group_of_the_control_socket_exists),
		TEST(what_is_no_setting_of_control_is_told_so),
#else
		TEST(control_needs_jansson),
#endif
#ifdef HAVE_LIBMICROHTTPD
		TEST(metrics_listen_is_read),
		TEST(metrics_are_for_this_host_alone),
		TEST(metrics_say_where),
		TEST(metrics_share_no_port_with_a_listener),
#else
		TEST(metrics_need_libmicrohttpd),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
