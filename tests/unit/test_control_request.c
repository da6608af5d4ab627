/* SPDX-License-Identifier: MIT */
/* Requests to the control socket: lines cut into words, words understood, mistakes told. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/control/request.h"

static struct control_request request;
static char why[CONTROL_WHY_SIZE];

static int parse_bytes(const char *line, size_t length)
{
	return control_request_parse(&request, line, length, why);
}

static void parse(const char *line)
{
	assert_int_equal(parse_bytes(line, strlen(line)), 0);
}

static void expect_words(const char *line, unsigned count, const char *const *words)
{
	parse(line);
	assert_int_equal(request.count, count);
	for (unsigned i = 0; i < count; i++)
		assert_string_equal(request.words[i], words[i]);
}

static void blanks_stand_between_words_and_around_them(void **state)
{
	const char *const words[] = {"sessions", "limit=5", "older=1"};

	(void)state;
	expect_words("sessions limit=5 older=1", 3, words);
	expect_words(" \tsessions   limit=5\tolder=1 \r", 3, words);
}

static void an_empty_line_is_a_mistake(void **state)
{
	(void)state;
	assert_int_equal(parse_bytes("", 0), -EINVAL);
	assert_string_equal(why, "the request is empty; `help` lists the commands");
	assert_int_equal(parse_bytes(" \r", 2), -EINVAL);
}

static void what_is_not_printable_is_a_mistake_that_quotes_nothing(void **state)
{
	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		char line[] = {'h', 'i', (char)byte};
		int due = (byte > ' ' && byte <= '~') || byte == ' ' || byte == '\t' || byte == '\r'
				  ? 0
				  : -EINVAL;

		assert_int_equal(parse_bytes(line, sizeof(line)), due);
		if (due < 0)
			assert_string_equal(why, "byte 3 of the request is not printable ASCII; "
						 "write a command, such as `status`");
	}
}

static void the_longest_line_is_taken_and_has_words_enough(void **state)
{
	char line[CONTROL_LINE_MAX];

	(void)state;
	memset(line, 'x', sizeof(line));
	assert_int_equal(parse_bytes(line, sizeof(line)), 0);
	assert_int_equal(strlen(request.words[0]), CONTROL_LINE_MAX);
	for (size_t i = 1; i < sizeof(line); i += 2)
		line[i] = ' ';
	assert_int_equal(parse_bytes(line, 2 * CONTROL_WORDS_MAX), 0);
	assert_int_equal(request.count, CONTROL_WORDS_MAX);
	assert_int_equal(parse_bytes(line, 2 * CONTROL_WORDS_MAX + 1), -EINVAL);
	assert_string_equal(why, "the request has more than 16 words");
	assert_int_equal(parse_bytes(line, sizeof(line)), -EINVAL);
}

static void a_command_without_arguments_takes_none(void **state)
{
	(void)state;
	parse("status");
	assert_int_equal(control_request_expect_nothing(&request, why), 0);
	parse("status now");
	assert_int_equal(control_request_expect_nothing(&request, why), -EINVAL);
	assert_string_equal(why, "status: takes no arguments, and \"now\" is one");
}

static struct session_filter filter;
static unsigned limit;

static int sessions(const char *line)
{
	parse(line);
	return control_request_sessions(&request, &filter, &limit, why);
}

static void sessions_without_a_filter_are_all_but_bounded(void **state)
{
	(void)state;
	assert_int_equal(sessions("sessions"), 0);
	assert_int_equal(filter.client.address.family, ADDRESS_NONE);
	assert_string_equal(filter.listener, "");
	assert_int_equal(filter.older, 0);
	assert_int_equal(limit, 100);
}

static void sessions_are_filtered_by_client_listener_and_age_at_once(void **state)
{
	char text[ADDRESS_TEXT_SIZE];

	(void)state;
	assert_int_equal(
		sessions("sessions limit=10000 older=60 client=2001:db8::/32 listener=web"), 0);
	assert_string_equal(address_format_ip(&filter.client.address, text), "2001:db8::");
	assert_int_equal(filter.client.length, 32);
	assert_string_equal(filter.listener, "web");
	assert_int_equal(filter.older, 60000);
	assert_int_equal(limit, 10000);
}

static void a_client_alone_is_a_prefix_of_full_length(void **state)
{
	(void)state;
	assert_int_equal(sessions("sessions client=203.0.113.9"), 0);
	assert_int_equal(filter.client.length, 32);
}

static void of_the_same_filter_twice_the_last_one_counts(void **state)
{
	(void)state;
	assert_int_equal(sessions("sessions limit=5 limit=7 listener=a listener=longer"), 0);
	assert_int_equal(limit, 7);
	assert_string_equal(filter.listener, "longer");
}

static void mistakes_in_filters_say_what_would_be_right(void **state)
{
	static const char *const table[][2] = {
		{"sessions client=", "sessions: \"\" is no address or prefix; write "
				     "client=192.0.2.1 or client=2001:db8::/32"},
		{"sessions client=web", "sessions: \"web\" is no address or prefix; write "
					"client=192.0.2.1 or client=2001:db8::/32"},
		{"sessions client=192.0.2.0/33",
		 "sessions: \"192.0.2.0/33\" is no address or prefix; write client=192.0.2.1 or "
		 "client=2001:db8::/32"},
		{"sessions listener=",
		 "sessions: \"\" is no listener's name; `listeners` has them"},
		{"sessions older=-1",
		 "sessions: \"-1\" is no age; write whole seconds, such as older=60"},
		{"sessions older=3153600001",
		 "sessions: \"3153600001\" is no age; write whole seconds, such as older=60"},
		{"sessions older=", "sessions: \"\" is no age; write whole seconds, such as "
				    "older=60"},
		{"sessions limit=0", "sessions: \"0\" is no limit; write a number from 1 to 10000"},
		{"sessions limit=10001",
		 "sessions: \"10001\" is no limit; write a number from 1 to 10000"},
		{"sessions limit=18446744073709551617",
		 "sessions: \"18446744073709551617\" is no limit; write a number from 1 to 10000"},
		{"sessions limit=1e3",
		 "sessions: \"1e3\" is no limit; write a number from 1 to 10000"},
		{"sessions web", "sessions: does not know \"web\"; it takes client=, listener=, "
				 "older= and limit="},
		{"sessions limits=1", "sessions: does not know \"limits=1\"; it takes client=, "
				      "listener=, older= and limit="},
		{"sessions limit=5 colour=red",
		 "sessions: does not know \"colour=red\"; it takes client=, listener=, older= "
		 "and limit="},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(sessions(table[i][0]), -EINVAL);
		assert_string_equal(why, table[i][1]);
	}
}

static void a_listener_longer_than_any_name_is_a_mistake(void **state)
{
	char line[200] = "sessions listener=";

	(void)state;
	memset(line + strlen(line), 'x', 64);
	assert_int_equal(sessions(line), 0);
	assert_int_equal(strlen(filter.listener), 64);
	line[strlen(line)] = 'x';
	assert_int_equal(sessions(line), -EINVAL);
}

static void a_long_word_is_quoted_in_part(void **state)
{
	char line[CONTROL_LINE_MAX + 1] = "sessions ";

	(void)state;
	memset(line + strlen(line), 'x', sizeof(line) - strlen(line) - 1);
	assert_int_equal(sessions(line), -EINVAL);
	assert_true(strlen(why) < 200);
	assert_non_null(strstr(why, "it takes client="));
}

static void clients_take_a_limit_alone(void **state)
{
	(void)state;
	parse("clients");
	assert_int_equal(control_request_clients(&request, &limit, why), 0);
	assert_int_equal(limit, 20);
	parse("clients limit=1000");
	assert_int_equal(control_request_clients(&request, &limit, why), 0);
	assert_int_equal(limit, 1000);
	parse("clients limit=1001");
	assert_int_equal(control_request_clients(&request, &limit, why), -EINVAL);
	assert_string_equal(why, "clients: \"1001\" is no limit; write a number from 1 to 1000");
	parse("clients older=5");
	assert_int_equal(control_request_clients(&request, &limit, why), -EINVAL);
	assert_string_equal(why, "clients: does not know \"older=5\"; it takes limit=");
}

static void kill_takes_one_number_that_a_session_can_have(void **state)
{
	static const char *const wrong[] = {
		"kill 0", "kill -1", "kill x", "kill 18446744073709551616", "kill 1x", "kill 1.0",
	};
	uint64_t id;

	(void)state;
	parse("kill 18446744073709551615");
	assert_int_equal(control_request_kill(&request, &id, why), 0);
	assert_true(id == UINT64_MAX);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		parse(wrong[i]);
		assert_int_equal(control_request_kill(&request, &id, why), -EINVAL);
		assert_non_null(strstr(why, "is no session's number; `sessions` has them"));
	}
	parse("kill");
	assert_int_equal(control_request_kill(&request, &id, why), -EINVAL);
	assert_string_equal(why, "kill: takes the number of one session; `sessions` has them");
	parse("kill 1 2");
	assert_int_equal(control_request_kill(&request, &id, why), -EINVAL);
}

static void log_level_takes_one_of_four_or_nothing(void **state)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	enum log_level level;
	bool given;

	(void)state;
	parse("log-level");
	assert_int_equal(control_request_log_level(&request, &given, &level, why), 0);
	assert_false(given);
	for (size_t i = 0; i < 4; i++) {
		char line[32] = "log-level ";

		parse(strcat(line, names[i]));
		assert_int_equal(control_request_log_level(&request, &given, &level, why), 0);
		assert_true(given);
		assert_int_equal(level, i);
	}
	parse("log-level loud");
	assert_int_equal(control_request_log_level(&request, &given, &level, why), -EINVAL);
	assert_string_equal(why, "log-level: \"loud\" is no level; write one of error, warning, "
				 "info, debug");
	parse("log-level info please");
	assert_int_equal(control_request_log_level(&request, &given, &level, why), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blanks_stand_between_words_and_around_them),
		cmocka_unit_test(an_empty_line_is_a_mistake),
		cmocka_unit_test(what_is_not_printable_is_a_mistake_that_quotes_nothing),
		cmocka_unit_test(the_longest_line_is_taken_and_has_words_enough),
		cmocka_unit_test(a_command_without_arguments_takes_none),
		cmocka_unit_test(sessions_without_a_filter_are_all_but_bounded),
		cmocka_unit_test(sessions_are_filtered_by_client_listener_and_age_at_once),
		cmocka_unit_test(a_client_alone_is_a_prefix_of_full_length),
		cmocka_unit_test(of_the_same_filter_twice_the_last_one_counts),
		cmocka_unit_test(mistakes_in_filters_say_what_would_be_right),
		cmocka_unit_test(a_listener_longer_than_any_name_is_a_mistake),
		cmocka_unit_test(a_long_word_is_quoted_in_part),
		cmocka_unit_test(clients_take_a_limit_alone),
		cmocka_unit_test(kill_takes_one_number_that_a_session_can_have),
		cmocka_unit_test(log_level_takes_one_of_four_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
