/* SPDX-License-Identifier: MIT */
/*
 * What a reload may not change, and what is listened on anew: each mistake is an error of its own,
 * also where its line finds no room in the report.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/report.h"
#include "config/config.h"
#include "config_fixture.h"
#include "daemon/changes.h"
#include "daemon/generation.h"
#include "daemon/listeners.h"
#include "daemon/server_state.h"
#include "full_report.h"
#include "scratch.h"

#define WEB                                                                                        \
	"name = \"web\"; forward = { ipv4 = \"127.0.0.1:443\"; }; subnets = \"any\"; "             \
	"listen = \"127.0.0.1:8443\";"
#define DNS                                                                                        \
	"name = \"dns\"; forward = { ipv4 = \"127.0.0.1:53\"; }; subnets = \"any\"; "              \
	"protocol = \"udp\";"

static struct config old;

/* The configuration in force has this one listener, and this beside it. */
static void run_with(const char *listener, const char *top)
{
	char text[1024];

	config_finish(&old);
	snprintf(text, sizeof(text), "listeners = ( { %s } );\n%s", listener, top);
	assert_int_equal(config_load_file(scratch_write("F", text), &old, &report), 0);
}

/* The next configuration, in `config`. */
static void reload_with(const char *listener, const char *top)
{
	char text[1024];

	snprintf(text, sizeof(text), "listeners = ( { %s } );\n%s", listener, top);
	load_config(text);
}

static void asks_for_a_restart(const char *where, const char *setting)
{
	struct report full;
	char wanted[128];

	assert_int_equal(changes_admit(&old, &config, &report), -EINVAL);
	snprintf(wanted, sizeof(wanted), "%s: %s: changed, and this change needs a restart", where,
		 setting);
	expect_line(&report, wanted);
	full_report_init(&full);
	assert_int_equal(changes_admit(&old, &config, &full), -EINVAL);
	report_finish(&full);
}

static void what_is_decided_at_the_start_asks_for_a_restart(void **state)
{
	static const struct {
		const char *before, *after, *where, *setting;
	} changes[] = {
		{"workers = 2;", "workers = 3;", "configuration", "workers"},
		{"workers = 2;", "", "configuration", "workers"},
		{"user = \"nobody\";", "user = \"daemon\";", "configuration", "user"},
		{"", "group = \"games\";", "configuration", "group"},
		{"", "seccomp = \"log\";", "configuration", "seccomp"},
		{"", "offload_directory = \"/sys/fs/bpf/x\";", "configuration",
		 "offload_directory"},
		{"", "landlock = { mode = \"off\"; };", "F:2", "landlock.mode"},
		{"", "landlock = { paths = [ \"/srv\" ]; };", "F:2", "landlock.paths"},
		{"landlock = { paths = [ \"/srv\" ]; };", "", "configuration", "landlock.paths"},
		{"landlock = { paths = [ \"/srv\" ]; };", "landlock = { paths = [ \"/mnt\" ]; };",
		 "F:2", "landlock.paths"},
		{"", "log = { target = \"stderr\"; };", "configuration", "log.target"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		run_with(WEB, changes[i].before);
		reload_with(WEB, changes[i].after);
		asks_for_a_restart(changes[i].where, changes[i].setting);
	}
}

static void what_a_listeners_sockets_are_asks_for_a_restart(void **state)
{
	(void)state;
	run_with(WEB, "");
	reload_with(WEB " backlog = 7;", "");
	asks_for_a_restart("F:1", "backlog");
	reload_with(WEB " freebind = true;", "");
	asks_for_a_restart("F:1", "freebind");
	reload_with(WEB " device = \"lo\";", "");
	asks_for_a_restart("F:1", "device");
	run_with(DNS " listen = \"127.0.0.1:8053\";", "");
	reload_with(DNS " listen = \"127.0.0.1:8054\";", "");
	asks_for_a_restart("F:1", "listen");
	reload_with(DNS " listen = \"127.0.0.1:8053\"; udp = { framing = \"spp\"; };", "");
	asks_for_a_restart("F:1", "udp.framing");
	reload_with(DNS " listen = \"127.0.0.1:8053\"; udp = { max_flows = 7; };", "");
	asks_for_a_restart("F:1", "udp.max_flows");
}

static void what_may_change_is_admitted(void **state)
{
	(void)state;
	run_with(WEB, "drain_timeout = 1.0;");
	reload_with(WEB " mark = 7; max_sessions = 8; header_timeout = 1.0;",
		    "drain_timeout = 2.0; log = { level = \"debug\"; };");
	assert_int_equal(changes_admit(&old, &config, &report), 0);
	assert_int_equal(report.count, 0);
	reload_with(DNS " listen = \"127.0.0.1:8053\";", "drain_timeout = 1.0;");
	assert_int_equal(changes_admit(&old, &config, &report), 0);
}

/* What listeners_prepare() returns for `config`, which it takes. */
static int prepare(struct report *mistakes)
{
	struct server server = {.worker_count = 1, .last_socket = 0};
	struct generation *generation = generation_create(&config, 1, NULL);
	int error;

	assert_non_null(generation);
	list_init(&server.shares);
	error = listeners_prepare(&server, generation, NULL, mistakes);
	generation_drop(generation);
	return error;
}

static void
a_listener_without_an_address_is_an_error_with_and_without_room_for_its_line(void **state)
{
	struct report full;

	(void)state;
	reload_with(DNS, "");
	assert_int_equal(prepare(&report), -EINVAL);
	expect_line(&report, "F:1: listener \"dns\": listen is missing, and no udp socket was "
			     "passed under this name; write listen = \"*:8443\"");
	reload_with(DNS, "");
	full_report_init(&full);
	assert_int_equal(prepare(&full), -EINVAL);
	report_finish(&full);
}

static void
an_address_that_cannot_be_had_is_an_error_with_and_without_room_for_its_line(void **state)
{
	struct report full;

	(void)state;
	/* TEST-NET-1: this host has no such address. */
	reload_with(DNS " listen = \"192.0.2.1:8053\";", "");
	assert_int_equal(prepare(&report), -EINVAL);
	assert_int_equal(report.count, 1);
	assert_non_null(strstr(report.lines[0], "cannot listen on udp 192.0.2.1:8053"));
	reload_with(DNS " listen = \"192.0.2.1:8053\";", "");
	full_report_init(&full);
	assert_int_equal(prepare(&full), -EINVAL);
	report_finish(&full);
}

static int end(void **state)
{
	config_finish(&old);
	return end_config(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_decided_at_the_start_asks_for_a_restart),
		TEST(what_a_listeners_sockets_are_asks_for_a_restart),
		TEST(what_may_change_is_admitted),
		TEST(a_listener_without_an_address_is_an_error_with_and_without_room_for_its_line),
		TEST(an_address_that_cannot_be_had_is_an_error_with_and_without_room_for_its_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
