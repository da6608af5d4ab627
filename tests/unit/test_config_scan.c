/* SPDX-License-Identifier: MIT */
/*
 * The look at a configuration file ahead of libconfig: what it takes out of libconfig's hands, the
 * lines it keeps count of, and the sentences it has for what is wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <libconfig.h>

#include "base/report.h"
#include "config/config_scan.h"
#include "scratch.h"

/* The path's last part, followed by what stands behind it in the report's only line. */
static void expect_refusal(const char *path, const char *wanted)
{
	struct config_scan scan;
	struct report report;
	const char *line;

	report_init(&report);
	if (config_scan_file(path, &scan, &report) == 0)
		fail_msg("accepted: %s", scan.text);
	if (report.count != 1)
		fail_msg("%zu lines instead of one; the last: %s", report.count,
			 report.count > 0 ? report.lines[report.count - 1] : "");
	line = report.lines[0];
	if (strncmp(line, "/tmp/mmproxy-unit-", 18) == 0)
		line = strchr(line + 5, '/') + 1;
	assert_string_equal(line, wanted);
	config_scan_finish(&scan);
	report_finish(&report);
}

static void expect_text(const char *path, const char *wanted)
{
	struct config_scan scan;
	struct report report;

	report_init(&report);
	if (config_scan_file(path, &scan, &report) < 0)
		fail_msg("refused: %s", report.count > 0 ? report.lines[0] : "in silence");
	assert_string_equal(scan.text, wanted);
	config_scan_finish(&scan);
	report_finish(&report);
}

static void refuses(const char *text, const char *wanted)
{
	expect_refusal(scratch_write("f", text), wanted);
}

static void gives(const char *text, const char *wanted)
{
	expect_text(scratch_write("f", text), wanted);
}

/* Tokens. */

static void comments_of_every_kind_are_left_out(void **state)
{
	(void)state;
	gives("# one\na = 1; // two\n/* three\n */ b = 2; # four", "a = 1 ;\nb = 2 ;");
	gives("a = \"# no // comment /* here\";", "a = \"# no // comment /* here\" ;");
}

static void every_kind_of_value_reaches_libconfig_as_it_is_written(void **state)
{
	(void)state;
	gives("a=-1", "a = -1");
	gives("a:1,b=TRUE;c=0x1F;d=1e5;e=.5;f=1.5E-3;g=7LL",
	      "a : 1 ,\nb = TRUE ;\nc = 0x1F ;\nd = 1e5 ;\ne = .5 ;\nf = 1.5E-3 ;\ng = 7LL");
	gives("a=(1,[2,3],{b=\"\\\"x\\\\\";});",
	      "a = ( 1 , [ 2 , 3 ] , {\nb = \"\\\"x\\\\\" ; } ) ;");
}

static void a_comment_without_an_end_is_a_mistake_where_it_begins(void **state)
{
	(void)state;
	refuses("a = 1;\n/* never\nb = 2;\n",
		"f:2: syntax: /* never: the comment has no end; close it with */");
}

static void a_text_without_its_closing_quote_is_a_mistake_on_its_own_line(void **state)
{
	(void)state;
	refuses("a = \"one;\nb = \"two\";\n",
		"f:1: syntax: \"one;: the text has no closing quote on its line");
}

static void a_foreign_character_is_named(void **state)
{
	(void)state;
	refuses("a = \xe2\x80\x9cx\xe2\x80\x9d;",
		"f:1: syntax: byte 0xe2 has no meaning here; only texts in double quotes and "
		"comments may hold it");
	refuses("a = $;", "f:1: syntax: $: this character has no meaning here");
	refuses("a = -;", "f:1: syntax: -: a sign or a point without a digit is no number");
}

/* Their order. */

static void a_syntax_error_says_what_belongs_there(void **state)
{
	(void)state;
	refuses("= 1;", "f:1: syntax: = is out of place; the name of a setting belongs here");
	refuses("a 1;",
		"f:1: syntax: 1 is out of place; '=' belongs here, behind the name of a setting");
	refuses("a = ;",
		"f:1: syntax: ; is out of place; a value belongs here; names, addresses and "
		"other texts stand in double quotes");
	refuses("a = 10.0.0.1;",
		"f:1: syntax: .0 is out of place; ';' belongs here, behind the value; names, "
		"addresses and other texts stand in double quotes");
	refuses("a = [ 1 2 ];", "f:1: syntax: 2 is out of place; ',' or ']' belongs here");
	refuses("a = [ 1, ];", "f:1: syntax: ] is out of place; a value belongs here; names, "
			       "addresses and other texts stand in double quotes");
	refuses("a = [ ( ) ];", "f:1: syntax: ( is out of place; an array [ ] holds plain values "
				"only; use a list ( )");
}

static void a_bracket_without_its_partner_is_found(void **state)
{
	const char *path = scratch_write("f", "a = {\n  b = 1;\n");
	char wanted[600];

	(void)state;
	snprintf(wanted, sizeof(wanted),
		 "f:3: syntax: the file ends here; '{' of %s:1 is still open; close it with '}'",
		 path);
	expect_refusal(path, wanted);
	scratch_write("f", "a = (\n  { b = 1; )\n");
	snprintf(wanted, sizeof(wanted),
		 "f:2: syntax: ) is out of place; it cannot close '{' of %s:2; that takes '}'",
		 path);
	expect_refusal(path, wanted);
	refuses("a = 1; }",
		"f:1: syntax: } is out of place; there is no open bracket that it could "
		"close");
}

static void brackets_are_not_nested_without_end(void **state)
{
	char text[100] = "a = ";

	(void)state;
	memset(text + 4, '(', 33);
	refuses(text,
		"f:1: syntax: ( is out of place; brackets are nested deeper than any setting is");
}

/* Each of them costs libconfig a look at all before it. */
static void settings_of_a_group_are_not_without_end(void **state)
{
	char text[64 + 1001 * 8] = "a = {\nc = 1 ; } ;\nb = {";

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		strcat(text, "\nc = 1 ;");
	strcat(text, " } ;");
	gives(text, text);
	text[strlen(text) - 3] = '\0';
	strcat(text, "d = 1; };");
	refuses(text, "f:1003: syntax: d is out of place; no group has more than 1000 settings");
}

/* Integers that libconfig would cut. */

static void an_integer_past_32_bits_gets_its_l_and_a_note(void **state)
{
	static const struct {
		const char *number, *text;
		enum config_integer_width width;
	} cases[] = {
		{"2147483647", "a = 2147483647", CONFIG_INTEGER_PLAIN},
		{"2147483648", "a = 2147483648L", CONFIG_INTEGER_NEEDS_L},
		{"-2147483648", "a = -2147483648", CONFIG_INTEGER_PLAIN},
		{"-2147483649", "a = -2147483649L", CONFIG_INTEGER_NEEDS_L},
		{"0x7fffffff", "a = 0x7fffffff", CONFIG_INTEGER_PLAIN},
		{"0xffffffff", "a = 0xffffffffL", CONFIG_INTEGER_NEEDS_L},
		{"0xffffffffL", "a = 0xffffffffL", CONFIG_INTEGER_PLAIN},
		{"5000000000LL", "a = 5000000000LL", CONFIG_INTEGER_PLAIN},
		{"9223372036854775808L", "a = 9223372036854775808L", CONFIG_INTEGER_TOO_BIG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config_scan scan;
		struct report report;
		char text[64];

		report_init(&report);
		snprintf(text, sizeof(text), "a =\n %s", cases[i].number);
		assert_int_equal(config_scan_file(scratch_write("f", text), &scan, &report), 0);
		*strchr(scan.text, '\n') = ' ';
		assert_string_equal(scan.text, cases[i].text);
		assert_int_equal(config_scan_integer(&scan, 1), cases[i].width);
		config_scan_finish(&scan);
		report_finish(&report);
	}
}

/* Includes. */

static void an_include_is_found_beside_the_main_file_and_by_absolute_path(void **state)
{
	char text[600];

	(void)state;
	scratch_make_folder("sub");
	scratch_write("sub/one", "one = 1;");
	snprintf(text, sizeof(text), "@include \"sub/one\"\n\t@include \t\"%s\" three = 3;\n",
		 scratch_write("two", "@include \"sub/one-more\"\ntwo = 2; # no newline"));
	scratch_write("sub/one-more", "more = 4;");
	gives(text, "one = 1 ;\nmore = 4 ;\ntwo = 2 ;\nthree = 3 ;");
}

static void an_include_may_hold_a_piece_of_a_list(void **state)
{
	(void)state;
	scratch_write("piece", "\"b\",\n\"c\"\n");
	gives("a = [ \"a\",\n@include \"piece\"\n, \"d\" ];",
	      "a = [ \"a\" ,\n\"b\" ,\n\"c\" ,\n\"d\" ] ;");
}

static void an_include_that_cannot_be_read_is_named_with_its_line(void **state)
{
	char wanted[600];

	(void)state;
	scratch_make_folder("folder");
	snprintf(wanted, sizeof(wanted), "f:2: @include: \"%s\": it is a directory; name a file",
		 scratch_path("folder"));
	refuses("a = 1;\n@include \"folder\"\n", wanted);
	snprintf(wanted, sizeof(wanted), "f:1: @include: \"%s\": No such file or directory",
		 scratch_path("nobody"));
	refuses("@include \"nobody\"\n", wanted);
	if (mkfifo(scratch_path("fifo"), 0600) < 0)
		fail_msg("mkfifo");
	snprintf(wanted, sizeof(wanted),
		 "f:1: @include: \"%s\": it is not a regular file; name one", scratch_path("fifo"));
	refuses("@include \"fifo\"\n", wanted);
}

/* Root may open everything, so for once this is somebody else. */
static void an_include_that_the_reader_may_not_open_is_named(void **state)
{
	const bool root = geteuid() == 0;
	char wanted[600];

	(void)state;
	scratch_write("f", "@include \"secret\"\n");
	assert_int_equal(chmod(scratch_write("secret", ""), 0), 0);
	assert_int_equal(chmod(scratch_path("."), 0755), 0);
	snprintf(wanted, sizeof(wanted), "f:1: @include: \"%s\": Permission denied",
		 scratch_path("secret"));
	if (root)
		assert_int_equal(seteuid(65534), 0);
	expect_refusal(scratch_path("f"), wanted);
	if (root)
		assert_int_equal(seteuid(0), 0);
}

static void a_file_that_includes_itself_is_refused(void **state)
{
	char wanted[600];

	(void)state;
	scratch_write("other", "\n\n@include \"f\"\n");
	snprintf(wanted, sizeof(wanted),
		 "other:3: @include: \"%s\": this file is included from itself; remove one of the "
		 "two",
		 scratch_path("f"));
	refuses("@include \"other\"\n", wanted);
}

static void a_file_may_be_included_twice_side_by_side(void **state)
{
	(void)state;
	scratch_write("same", "x = 1;\n");
	gives("a = {\n@include \"same\"\n}\nb = {\n@include \"same\"\n}",
	      "a = {\nx = 1 ;\n}\nb = {\nx = 1 ;\n}");
}

static void includes_go_ten_deep_and_no_further(void **state)
{
	char name[16], text[64], wanted[600];

	(void)state;
	for (int i = 1; i <= 10; i++) {
		snprintf(name, sizeof(name), "deep%d", i);
		snprintf(text, sizeof(text), "@include \"deep%d\"\n", i + 1);
		scratch_write(name, text);
	}
	scratch_write("deep10", "a = 1;\n");
	gives("@include \"deep1\"\n", "a = 1 ;");
	scratch_write("deep10", "@include \"deep11\"\n");
	scratch_write("deep11", "a = 1;\n");
	snprintf(wanted, sizeof(wanted),
		 "deep10:1: @include: \"%s\": includes are nested more than 10 deep; write some of "
		 "them out",
		 scratch_path("deep11"));
	refuses("@include \"deep1\"\n", wanted);
}

static void includes_do_not_multiply_without_end(void **state)
{
	struct config_scan scan;
	struct report report;
	char name[16], text[1024];

	(void)state;
	for (int i = 1; i <= 9; i++) {
		snprintf(name, sizeof(name), "wide%d", i);
		text[0] = '\0';
		for (int j = 0; j < 10; j++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text),
				 "@include \"wide%d\"\n", i + 1);
		scratch_write(name, text);
	}
	scratch_write("wide10", "");
	report_init(&report);
	assert_true(config_scan_file(scratch_path("wide1"), &scan, &report) < 0);
	assert_non_null(strstr(report.lines[0], "more than 1000 includes"));
	config_scan_finish(&scan);
	report_finish(&report);
}

static void an_include_elsewhere_than_at_the_beginning_of_a_line_is_a_mistake(void **state)
{
	(void)state;
	refuses("a = 1; @include \"b\"\n",
		"f:1: syntax: @include \"b\": write @include \"FILE\" at the beginning of a line");
	refuses("@include b\n",
		"f:1: syntax: @include b: write @include \"FILE\" at the beginning of a line");
}

/* Files that are no configuration. */

static void a_main_file_that_cannot_be_read_is_named(void **state)
{
	(void)state;
	expect_refusal(scratch_path("none"),
		       "none: cannot read the configuration: No such file or directory");
	expect_refusal(scratch_path("."),
		       ".: cannot read the configuration: it is a directory; name a file");
}

/* Nobody has page 0 of a process. */
static void a_file_that_opens_and_cannot_be_read_is_refused(void **state)
{
	(void)state;
	expect_refusal("/proc/self/mem",
		       "/proc/self/mem: cannot read the configuration: Input/output error");
}

static void an_empty_file_is_a_mistake(void **state)
{
	(void)state;
	refuses("", "f:1: the file holds no setting; it takes at least one listener");
	refuses("# nothing\n", "f:1: the file holds no setting; it takes at least one listener");
}

static void a_nul_byte_is_a_mistake_on_its_line(void **state)
{
	(void)state;
	expect_refusal(scratch_write_bytes("f", "a = 1;\nb = \"x\0y\";", 17),
		       "f:2: a NUL byte; this is not a text file");
}

static void a_line_without_end_is_a_mistake(void **state)
{
	char *text = malloc(100000);

	(void)state;
	memset(text, 'a', 100000);
	memcpy(text, "b = 1;\n", 7);
	expect_refusal(scratch_write_bytes("f", text, 100000),
		       "f:2: the line is longer than 65536 bytes; break it");
	free(text);
}

static void a_file_far_too_large_is_not_read(void **state)
{
	size_t length = 5U << 20;
	char *text = malloc(length);

	(void)state;
	memset(text, '\n', length);
	expect_refusal(scratch_write_bytes("f", text, length),
		       "f: cannot read the configuration: it is far too large for such a file");
	free(text);
}

/* Lines. */

static void expect_line(const struct config_scan *scan, const config_t *tree, const char *path,
			const char *file, unsigned line)
{
	const config_setting_t *setting = config_lookup(tree, path);
	struct config_place place;

	if (setting == NULL)
		fail_msg("%s is not there", path);
	place = config_scan_place(scan, config_setting_source_line(setting));
	assert_string_equal(strrchr(place.file, '/') + 1, file);
	if (place.line != line)
		fail_msg("%s is at line %u, not %u", path, line, place.line);
}

static void every_setting_keeps_its_file_and_line(void **state)
{
	static const char main_file[] =
		"\n# comment\nfirst = 1; second =\n  2;\n"
		"@include \"part\"\n"
		"list = ( /* over\nlines */ 1,\n  { a = 1;\n    b = 2; },\n  "
		"\"x\",\n  \"y\"\n  , \"z\"\n);\nlast = 1;\n";
	struct config_scan scan;
	struct report report;
	config_t tree;

	(void)state;
	report_init(&report);
	scratch_write("part", "\n\nthird = 3;");
	assert_int_equal(config_scan_file(scratch_write("f", main_file), &scan, &report), 0);
	config_init(&tree);
	assert_int_equal(config_read_string(&tree, scan.text), CONFIG_TRUE);
	expect_line(&scan, &tree, "first", "f", 3);
	expect_line(&scan, &tree, "second", "f", 3);
	expect_line(&scan, &tree, "third", "part", 3);
	expect_line(&scan, &tree, "list", "f", 6);
	expect_line(&scan, &tree, "list.[0]", "f", 7);
	expect_line(&scan, &tree, "list.[1]", "f", 8);
	expect_line(&scan, &tree, "list.[1].b", "f", 9);
	/* libconfig itself gives the line of what stands behind these. */
	expect_line(&scan, &tree, "list.[2]", "f", 10);
	expect_line(&scan, &tree, "list.[3]", "f", 11);
	expect_line(&scan, &tree, "list.[4]", "f", 12);
	expect_line(&scan, &tree, "last", "f", 14);
	config_destroy(&tree);
	config_scan_finish(&scan);
	report_finish(&report);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_begin, scratch_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(comments_of_every_kind_are_left_out),
		TEST(every_kind_of_value_reaches_libconfig_as_it_is_written),
		TEST(a_comment_without_an_end_is_a_mistake_where_it_begins),
		TEST(a_text_without_its_closing_quote_is_a_mistake_on_its_own_line),
		TEST(a_foreign_character_is_named),
		TEST(a_syntax_error_says_what_belongs_there),
		TEST(a_bracket_without_its_partner_is_found),
		TEST(brackets_are_not_nested_without_end),
		TEST(settings_of_a_group_are_not_without_end),
		TEST(an_integer_past_32_bits_gets_its_l_and_a_note),
		TEST(an_include_is_found_beside_the_main_file_and_by_absolute_path),
		TEST(an_include_may_hold_a_piece_of_a_list),
		TEST(an_include_that_cannot_be_read_is_named_with_its_line),
		TEST(an_include_that_the_reader_may_not_open_is_named),
		TEST(a_file_that_includes_itself_is_refused),
		TEST(a_file_may_be_included_twice_side_by_side),
		TEST(includes_go_ten_deep_and_no_further),
		TEST(includes_do_not_multiply_without_end),
		TEST(an_include_elsewhere_than_at_the_beginning_of_a_line_is_a_mistake),
		TEST(a_main_file_that_cannot_be_read_is_named),
		TEST(a_file_that_opens_and_cannot_be_read_is_refused),
		TEST(an_empty_file_is_a_mistake),
		TEST(a_nul_byte_is_a_mistake_on_its_line),
		TEST(a_line_without_end_is_a_mistake),
		TEST(a_file_far_too_large_is_not_read),
		TEST(every_setting_keeps_its_file_and_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
