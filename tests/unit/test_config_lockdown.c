/* SPDX-License-Identifier: MIT */
/*
 * What the process forbids itself, as the file says it, and which files a reload will read. A build
 * without libseccomp remarks upon a filter that it has not.
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

#define LISTENER                                                                                   \
	"listeners = ( { name = \"web\"; listen = \"*:80\"; "                                      \
	"forward = { ipv4 = \"127.0.0.1:443\"; }; "

/* These settings at the top, on line 1, and a listener. */
static const char *file_of(const char *top)
{
	static char text[1024];

	snprintf(text, sizeof(text), "%s\n" LISTENER "subnets = \"any\"; } );\n", top);
	return text;
}

static void refuses(const char *top, const char *wanted)
{
	refuse_config(scratch_write("F", file_of(top)), wanted);
}

static void both_are_on_unless_the_file_says_otherwise(void **state)
{
	(void)state;
	load_config(file_of(""));
	assert_int_equal(config.seccomp, SECCOMP_USE_ON);
	assert_false(config.landlock.off);
	assert_int_equal(config.landlock.paths.count, 0);
	assert_null(config.landlock.where);
	assert_int_equal(config.remarks.count, 0);
	load_config(file_of("seccomp = \"log\"; landlock = { };"));
	assert_int_equal(config.seccomp, SECCOMP_USE_LOG);
	assert_false(config.landlock.off);
	load_config(file_of("seccomp = \"off\"; landlock = { mode = \"off\"; };"));
	assert_int_equal(config.seccomp, SECCOMP_USE_OFF);
	assert_true(config.landlock.off);
	assert_string_equal(without_folder(config.landlock.where), "F:1");
}

static void a_path_begins_at_the_file_unless_it_has_a_slash(void **state)
{
	(void)state;
	load_config(
		file_of("landlock = { mode = \"on\"; paths = [ \"/srv/lists\", \"logs\" ]; };"));
	assert_false(config.landlock.off);
	assert_int_equal(config.landlock.paths.count, 2);
	assert_string_equal(config.landlock.paths.texts[0], "/srv/lists");
	assert_string_equal(config.landlock.paths.texts[1], scratch_path("logs"));
}

static void what_is_no_setting_of_theirs_is_told_so(void **state)
{
	(void)state;
	refuses("seccomp = \"yes\";",
		"F:1: seccomp: \"yes\" is not known; write \"on\" or \"log\" or \"off\"");
	refuses("landlock = \"on\";",
		"F:1: landlock: wrong type; write landlock = { paths = [ \"/srv/lists\" ]; }");
	refuses("landlock = { mode = \"log\"; };",
		"F:1: landlock.mode: \"log\" is not known; write \"on\" or \"off\"");
	refuses("landlock = { pahts = [ \"/srv\" ]; };",
		"F:1: landlock.pahts: unknown setting; did you mean \"paths\"?");
	refuses("landlock = { paths = \"/srv\"; };",
		"F:1: landlock.paths: wrong type, this is a text; write a list of texts, such as [ "
		"\"...\", \"...\" ]");
	refuses("landlock = { paths = [ \"\" ]; };",
		"F:1: landlock.paths[0]: it is empty; write the path of a file or folder");
	refuses("paths = [ \"/srv\" ];",
		"F:1: paths: unknown setting; it stands in landlock = { }");
}

static void paths_that_are_not_needed_are_remarked_upon(void **state)
{
	(void)state;
	load_config(file_of("landlock = { mode = \"off\"; paths = [ \"/srv\" ]; };"));
	expect_line(&config.remarks,
		    "F:1: landlock.paths: it has no effect with mode = \"off\"; remove it");
}

static void a_filter_that_the_build_has_not_is_remarked_upon(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		load_config(file_of(i == 0 ? "seccomp = \"on\";" : "seccomp = \"log\";"));
#ifdef HAVE_LIBSECCOMP
		assert_int_equal(config.remarks.count, 0);
#else
		expect_line(&config.remarks,
			    "F:1: seccomp: no system call is filtered: that needs libseccomp, "
			    "which this program was built without; write \"off\"");
#endif
	}
	load_config(file_of("seccomp = \"off\";"));
	assert_int_equal(config.remarks.count, 0);
}

/* Those that were read, by the names that they were opened by. */
static void every_file_that_it_was_read_from_is_known(void **state)
{
	const char *const wanted[] = {"list", "F", "more"};
	size_t count = sizeof(wanted) / sizeof(wanted[0]);

	(void)state;
	scratch_write("list", "192.0.2.0/24\n");
	scratch_write("more", "seccomp = \"off\";\n");
	load_config("@include \"more\"\n" LISTENER "subnets_files = [ \"list\" ]; } );\n");
	assert_int_equal(config.files.count, count);
	for (size_t i = 0; i < count; i++)
		assert_string_equal(config.files.texts[i], scratch_path(wanted[i]));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_begin, end_config)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_are_on_unless_the_file_says_otherwise),
		TEST(a_path_begins_at_the_file_unless_it_has_a_slash),
		TEST(what_is_no_setting_of_theirs_is_told_so),
		TEST(paths_that_are_not_needed_are_remarked_upon),
		TEST(a_filter_that_the_build_has_not_is_remarked_upon),
		TEST(every_file_that_it_was_read_from_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
