/* SPDX-License-Identifier: MIT */
/* mmproxyctl: the command line, and what somebody who mistyped a word may have meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/report.h"
#include "ctl/options.h"

#define WORDS_MAX 12

/* Splits the line at blanks, as a shell would; the words live until the next call. */
static int parse(const char *line, struct options *options, struct report *report)
{
	static char text[512];
	char *argv[WORDS_MAX + 1];
	int argc = 0;

	snprintf(text, sizeof(text), "mmproxyctl %s", line);
	for (char *word = strtok(text, " "); word != NULL && argc < WORDS_MAX;
	     word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc] = NULL;
	return options_parse(argc, argv, options, report);
}

static struct options expect_sound(const char *line)
{
	struct options options;
	struct report report;

	report_init(&report);
	if (parse(line, &options, &report) < 0)
		fail_msg("%s: %s", line, report.lines[0]);
	report_finish(&report);
	return options;
}

/* There is one mistake, and it has this in it. */
static void expect_mistake(const char *line, const char *due)
{
	struct options options;
	struct report report;

	report_init(&report);
	assert_true(parse(line, &options, &report) < 0);
	assert_int_equal(report.count, 1);
	if (strstr(report.lines[0], due) == NULL)
		fail_msg("%s: \"%s\" is not in: %s", line, due, report.lines[0]);
	report_finish(&report);
}

static void options_may_stand_on_either_side_of_the_command(void **state)
{
	struct options options = expect_sound("--json sessions --client 192.0.2.0/24 --limit 7");

	(void)state;
	assert_string_equal(options.command->name, "sessions");
	assert_true(options.json);
	assert_string_equal(options.client, "192.0.2.0/24");
	assert_int_equal(options.limit, 7);
	options = expect_sound("sessions --older 1h30m --listener web -j --socket /x/y");
	assert_true(options.older == 5400);
	assert_string_equal(options.listener, "web");
	assert_string_equal(options.socket, "/x/y");
	assert_true(options.json);
}

static void the_socket_is_where_the_service_manager_says(void **state)
{
	(void)state;
	unsetenv("RUNTIME_DIRECTORY");
	assert_string_equal(expect_sound("status").socket, "/run/mmproxy/control.sock");
	setenv("RUNTIME_DIRECTORY", "/run/mmproxy-b:/run/other", 1);
	assert_string_equal(expect_sound("status").socket, "/run/mmproxy-b/control.sock");
	assert_string_equal(expect_sound("status -s here").socket, "here");
	setenv("RUNTIME_DIRECTORY", "run", 1); /* as mmproxy has it: not a folder of systemd's */
	assert_string_equal(expect_sound("status").socket, "/run/mmproxy/control.sock");
	setenv("RUNTIME_DIRECTORY", "", 1);
	assert_string_equal(expect_sound("status").socket, "/run/mmproxy/control.sock");
	unsetenv("RUNTIME_DIRECTORY");
}

static void every_command_is_found_by_its_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < command_count; i++) {
		char line[64];

		snprintf(line, sizeof(line), "%s%s", command_table[i].name,
			 command_table[i].argument_needed ? " 7" : "");
		assert_ptr_equal(expect_sound(line).command, &command_table[i]);
		assert_non_null(strstr(options_help(), command_table[i].name));
	}
}

static void arguments_are_as_many_as_the_command_takes(void **state)
{
	(void)state;
	assert_string_equal(expect_sound("kill 4711").argument, "4711");
	assert_string_equal(expect_sound("counters *timeout*").argument, "*timeout*");
	assert_null(expect_sound("log-level").argument);
	expect_mistake("kill", "kill: ID is missing");
	expect_mistake("kill 1 2", "\"2\" is one argument too many; it takes ID");
	expect_mistake("status now", "\"now\" is one argument too many; it takes none");
	expect_mistake("", "no command");
}

static void misspelt_words_get_a_suggestion(void **state)
{
	(void)state;
	expect_mistake("statsu", "unknown command \"statsu\"; did you mean status?");
	expect_mistake("session", "did you mean sessions?");
	expect_mistake("loglevel", "did you mean log-level?");
	expect_mistake("cou", "did you mean counters?");
	expect_mistake("frobnicate", "unknown command \"frobnicate\"; see mmproxyctl --help");
	expect_mistake("sessions --clinet 1.2.3.4", "did you mean --client?");
	expect_mistake("sessions --oldr=5", "did you mean --older?");
	expect_mistake("sessions --xyzzy", "unknown or ambiguous option --xyzzy");
	expect_mistake("sessions -x", "unknown option -x");
	/* Words that may have been meant for the option are not blamed as well. */
	expect_mistake("--sokcet /x/y status", "did you mean --socket?");
	expect_mistake("--socket", "--socket takes a value");
	expect_mistake("kill -1", "unknown option -1");
}

static void an_option_belongs_to_its_commands(void **state)
{
	(void)state;
	expect_mistake("status --client 192.0.2.1", "status does not take --client");
	expect_mistake("top --json", "top does not take --json");
	expect_mistake("reload --no-wait", "reload does not take --no-wait");
	expect_mistake("status --nft", "status does not take --nft");
	expect_mistake("routing", "routing: show is missing");
	assert_true(expect_sound("routing show --nft").nft);
	assert_string_equal(expect_sound("routing show --config a.conf").config, "a.conf");
	expect_mistake("routing show --config=", "--config is empty");
	assert_true(expect_sound("drain --no-wait").no_wait);
	assert_true(expect_sound("top --once").once);
}

static void values_are_judged(void **state)
{
	(void)state;
	expect_mistake("sessions --limit 0", "\"0\" is not a number from 1 to 10000");
	expect_mistake("sessions --limit 10001", "\"10001\" is not a number from 1 to 10000");
	expect_mistake("sessions --limit 1x", "\"1x\" is not a number");
	expect_mistake("sessions --limit 99999999999999999999", "is not a number from 1 to 10000");
	expect_mistake("sessions --older soon", "\"soon\" is no duration");
	expect_mistake("sessions --client", "--client takes a value");
	expect_mistake("sessions --client 192.0.2.256", "\"192.0.2.256\" is no address or prefix");
	expect_mistake("sessions --client 192.0.2.1/33",
		       "\"192.0.2.1/33\" is no address or prefix");
	expect_mistake("status --socket=", "--socket: a path has 1 to 107 characters, not 0");
	expect_mistake("drain --no-wait=5", "this option takes no value");
	expect_mistake("top --interval 0", "\"0\" is not from 0.1 to 3600 seconds");
	expect_mistake("top --interval 2h", "\"2h\" is not from 0.1 to 3600 seconds");
	assert_true(expect_sound("top --interval 0.5").interval == 0.5);
	assert_true(expect_sound("top").interval == 1);
}

static void what_is_decoded_may_be_any_text(void **state)
{
	char program[] = "mmproxyctl", decode[] = "decode", text[] = "0d 0a\n\x0d";
	char *argv[] = {program, decode, text, NULL};
	struct options options;
	struct report report;

	(void)state;
	report_init(&report);
	assert_int_equal(options_parse(3, argv, &options, &report), 0);
	assert_int_equal(options.word_count, 1);
	assert_string_equal(options.words[0], text);
	report_finish(&report);
	assert_int_equal(expect_sound("decode 0d --udp 0a 0d").word_count, 3);
	assert_int_equal(expect_sound("decode").word_count, 0);
	assert_int_equal(expect_sound("decode -").word_count, 1);
}

static void decode_has_options_of_its_own(void **state)
{
	struct options options = expect_sound("decode --file here --format raw --udp");

	(void)state;
	assert_string_equal(options.file, "here");
	assert_int_equal(options.format, OPTIONS_FORMAT_RAW);
	assert_true(options.udp);
	assert_int_equal(options.max_header, 4096);
	assert_int_equal(expect_sound("decode --max-header 65551").max_header, 65551);
	assert_int_equal(expect_sound("decode --format pcap").format, OPTIONS_FORMAT_PCAP);
	expect_mistake("decode --format text", "\"text\" is none of hex, raw and pcap");
	expect_mistake("decode --max-header 106", "\"106\" is not a number from 107 to 65551");
	expect_mistake("decode --max-header 65552", "\"65552\" is not a number");
	expect_mistake("status --udp", "status does not take --udp");
	expect_mistake("status --max-header 4096", "status does not take --max-header");
	expect_mistake("top --file x", "top does not take --file");
}

/* Else one argument could be a second request, or another word of the first. */
static void an_argument_cannot_hold_a_blank(void **state)
{
	char program[] = "mmproxyctl", kill[] = "kill", sessions[] = "sessions";
	char id[] = "7\nreload", listener[] = "--listener=web\tolder=5", client[] = "--client=";
	char *newline[] = {program, kill, id, NULL};
	char *tab[] = {program, sessions, listener, NULL};
	char *empty[] = {program, sessions, client, NULL};
	struct options options;
	struct report report;

	(void)state;
	report_init(&report);
	assert_true(options_parse(3, newline, &options, &report) < 0);
	assert_int_equal(report.count, 1);
	assert_non_null(strstr(report.lines[0], "\"7\\x0areload\" has a character"));
	assert_true(options_parse(3, tab, &options, &report) < 0);
	assert_true(options_parse(3, empty, &options, &report) < 0);
	assert_non_null(strstr(report.lines[2], "--client: \"\" is no address"));
	report_finish(&report);
}

static void who_asks_for_help_gets_it(void **state)
{
	(void)state;
	assert_int_equal(expect_sound("frobnicate --bogus --help").action, OPTIONS_HELP);
	assert_int_equal(expect_sound("--version").action, OPTIONS_VERSION);
}

static void the_help_fits_a_terminal(void **state)
{
	const char *line = options_help();
	unsigned count = 0;

	(void)state;
	for (; *line != '\0'; line += strcspn(line, "\n") + 1) {
		assert_true(strcspn(line, "\n") <= 80);
		count++;
	}
	assert_true(count <= 23); /* the prompt is the last one */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_may_stand_on_either_side_of_the_command),
		cmocka_unit_test(the_socket_is_where_the_service_manager_says),
		cmocka_unit_test(every_command_is_found_by_its_name),
		cmocka_unit_test(arguments_are_as_many_as_the_command_takes),
		cmocka_unit_test(misspelt_words_get_a_suggestion),
		cmocka_unit_test(an_option_belongs_to_its_commands),
		cmocka_unit_test(values_are_judged),
		cmocka_unit_test(an_argument_cannot_hold_a_blank),
		cmocka_unit_test(what_is_decoded_may_be_any_text),
		cmocka_unit_test(decode_has_options_of_its_own),
		cmocka_unit_test(who_asks_for_help_gets_it),
		cmocka_unit_test(the_help_fits_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
