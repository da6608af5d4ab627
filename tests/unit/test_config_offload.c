/* SPDX-License-Identifier: MIT */
/*
 * Which listeners' sessions may be handed to the kernel, and what that needs of this host. A build
 * without libbpf remarks upon what it cannot do.
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
#include "offload/loopback_needs.h"
#include "scratch.h"

#define IPV4_LOOPBACK "forward = { ipv4 = \"127.0.0.1:443\"; }; "
#define IPV4_OTHER    "forward = { ipv4 = \"192.0.2.1:443\"; }; "
#define IPV6_LOOPBACK "forward = { ipv6 = \"[::1]:443\"; }; "

/* These settings at the top, on line 1, and a listener with these others. */
static const char *file_of(const char *top, const char *listener)
{
	static char text[1024];

	snprintf(text, sizeof(text),
		 "%s\nlisteners = ( { name = \"web\"; subnets = \"any\"; %s } );\n", top, listener);
	return text;
}

static void load(const char *top, const char *listener)
{
	load_config(file_of(top, listener));
}

static void it_is_off_unless_the_file_says_otherwise(void **state)
{
	(void)state;
	load("", "listen = \"*:80\"; " IPV4_LOOPBACK);
	assert_false(config.listeners[0].relay.offload);
	assert_string_equal(config.offload_directory, "/sys/fs/bpf/mmproxy");
	assert_int_equal(config.offload_at_exit, CONFIG_OFFLOAD_LEAVE);
	load("offload_at_exit = \"drain\";", "listen = \"*:80\"; " IPV4_LOOPBACK);
	assert_int_equal(config.offload_at_exit, CONFIG_OFFLOAD_DRAIN);
}

static void a_listener_does_as_the_top_says_unless_it_says_so_itself(void **state)
{
	(void)state;
	load("offload = \"auto\";", "listen = \"*:80\"; " IPV4_LOOPBACK);
	assert_true(config.listeners[0].relay.offload);
	load("offload = \"auto\";", "listen = \"*:80\"; offload = \"off\"; " IPV4_LOOPBACK);
	assert_false(config.listeners[0].relay.offload);
	load("", "listen = \"*:80\"; offload = \"auto\"; " IPV4_LOOPBACK);
	assert_true(config.listeners[0].relay.offload);
	/* Wherever in the file the top says it. */
	load_config("listeners = ( { name = \"web\"; subnets = \"any\"; listen = "
		    "\"*:80\"; " IPV4_LOOPBACK "} );\noffload = \"auto\";\n");
	assert_true(config.listeners[0].relay.offload);
}

static void the_directory_has_one_spelling(void **state)
{
	(void)state;
	load("offload_directory = \"/sys//fs/bpf/web/\";", "listen = \"*:80\"; " IPV4_LOOPBACK);
	assert_string_equal(config.offload_directory, "/sys/fs/bpf/web");
}

static void a_path_that_is_no_directory_for_it_is_a_mistake(void **state)
{
	const char *const paths[] = {"mmproxy",          "/",        "///",
				     "/sys/fs/bpf/../x", "/sys/./x", "/sys/fs/.."};
	char top[128], wanted[512];

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		snprintf(top, sizeof(top), "offload_directory = \"%s\";", paths[i]);
		snprintf(wanted, sizeof(wanted),
			 "F:1: offload_directory: \"%s\" is no folder for the kernel's programs; "
			 "write a path below a BPF file system, without . and .., such as "
			 "\"/sys/fs/bpf/mmproxy\"",
			 paths[i]);
		refuse_config(scratch_write("F", file_of(top, "listen = \"*:80\"; " IPV4_LOOPBACK)),
			      wanted);
	}
	load("offload_directory = \"/sys/fs/bpf/..x\";", "listen = \"*:80\"; " IPV4_LOOPBACK);
	refuse_config(scratch_write("F", file_of("offload = \"on\";",
						 "listen = \"*:80\"; " IPV4_LOOPBACK)),
		      "F:1: offload: \"on\" is not known; write \"off\" or \"auto\"");
}

static void what_lo_needs_follows_from_where_balancers_and_upstream_are(void **state)
{
	static const struct {
		const char *listener;
		struct loopback_needs needs;
	} cases[] = {
		{"listen = \"*:80\"; " IPV4_LOOPBACK, {.always.loopback_upstream = true}},
		{"listen = \"192.0.2.1:80\"; " IPV4_LOOPBACK, {.always.loopback_upstream = true}},
		{"listen = [ \"127.0.0.1:80\", \"192.0.2.1:80\" ]; " IPV4_LOOPBACK,
		 {.always.loopback_upstream = true}},
		/* The service manager's sockets. */
		{IPV4_LOOPBACK, {.always.loopback_upstream = true}},
		{"listen = \"127.0.0.1:80\"; " IPV4_LOOPBACK, {.tracked.loopback_upstream = true}},
		{"listen = \"[2001:db8::1]:80\"; " IPV4_LOOPBACK,
		 {.tracked.loopback_upstream = true}},
		{"listen = \"*:80\"; " IPV6_LOOPBACK, {.always = {false, false}}},
		{"listen = \"*:80\"; " IPV4_OTHER, {.always.other_upstream = true}},
		{"listen = \"127.0.0.1:80\"; " IPV4_OTHER, {.tracked.other_upstream = true}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct loopback_needs none = {0};
		struct loopback_needs needs = {0};

		load("offload = \"auto\";", cases[i].listener);
		assert_true(config_wants_offload(&config, &needs));
		assert_memory_equal(&needs, &cases[i].needs, sizeof(needs));
		needs = none;
		load("", cases[i].listener);
		assert_false(config_wants_offload(&config, &needs));
		assert_memory_equal(&needs, &none, sizeof(needs));
	}
}

static void a_build_that_cannot_do_it_is_remarked_upon(void **state)
{
	(void)state;
	load("offload = \"auto\";", "listen = \"*:80\"; " IPV4_LOOPBACK);
#ifdef HAVE_BPF
	assert_int_equal(config.remarks.count, 0);
#else
	expect_line(&config.remarks,
		    "F:1: offload: sessions stay relays: the offload needs libbpf, which this "
		    "program was built without; write \"off\"");
#endif
	load("offload = \"off\";", "listen = \"*:80\"; " IPV4_LOOPBACK);
	assert_int_equal(config.remarks.count, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_begin, end_config)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_off_unless_the_file_says_otherwise),
		TEST(a_listener_does_as_the_top_says_unless_it_says_so_itself),
		TEST(the_directory_has_one_spelling),
		TEST(a_path_that_is_no_directory_for_it_is_a_mistake),
		TEST(what_lo_needs_follows_from_where_balancers_and_upstream_are),
		TEST(a_build_that_cannot_do_it_is_remarked_upon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
