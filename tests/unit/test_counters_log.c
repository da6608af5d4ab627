/* SPDX-License-Identifier: MIT */
/* The lines that have the counters: all of them are there, whatever they have come to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/counter.h"
#include "daemon/server_state.h"
#include "os/log.h"

#define TEXT_SIZE 65536

/* More than a line has, of the longest names that there are. */
#define PLUGIN_COUNTERS 40

static struct worker workers[2];
static struct server server = {.workers = workers, .worker_count = 2};
static struct plugin_counter plugin_counters[PLUGIN_COUNTERS];

/* All of them as large as they can be, in the sum of two workers. */
static int raise_all(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNTER_COUNT; i++) {
		atomic_store(&workers[0].relay.counters.values[i], UINT64_MAX - 1);
		atomic_store(&workers[1].relay.counters.values[i], 1);
	}
	for (unsigned i = 0; i < PLUGIN_COUNTERS; i++) {
		memset(plugin_counters[i].name, 'p', PLUGIN_COUNTER_NAME_SIZE - 1);
		plugin_counters[i].name[0] = (char)('a' + i % 26);
		plugin_counters[i].name[1] = (char)('a' + i / 26);
		atomic_store(&plugin_counters[i].value, UINT64_MAX);
		plugin_counters[i].next = i > 0 ? &plugin_counters[i - 1] : NULL;
	}
	server.plugins.counters = &plugin_counters[PLUGIN_COUNTERS - 1];
	return 0;
}

/* What the log says of them. */
static char *logged(enum log_format format)
{
	const struct log_options options = {LOG_LEVEL_INFO, format, LOG_TARGET_STDERR};
	static char text[TEXT_SIZE];
	FILE *file = tmpfile();
	int standard_error = dup(STDERR_FILENO);
	ssize_t length;

	assert_non_null(file);
	log_configure(&options);
	dup2(fileno(file), STDERR_FILENO);
	server_log_counters(&server);
	dup2(standard_error, STDERR_FILENO);
	close(standard_error);
	length = pread(fileno(file), text, TEXT_SIZE - 1, 0);
	fclose(file);
	assert_true(length >= 0);
	text[length] = '\0';
	return text;
}

/* Once and only once. */
static void assert_has(const char *text, const char *before, const char *name, const char *after)
{
	char wanted[256];
	const char *found;

	snprintf(wanted, sizeof(wanted), "%s%s%s", before, name, after);
	found = strstr(text, wanted);
	if (found == NULL)
		fail_msg("no %s in:\n%s", wanted, text);
	assert_null(strstr(found + 1, wanted));
}

static void assert_has_all(const char *text, const char *before, const char *after)
{
	char name[COUNTER_NAME_SIZE];

	for (enum counter counter = 0; counter < COUNTER_COUNT; counter++) {
		counter_name(counter, name);
		assert_has(text, before, name, after);
	}
	for (unsigned i = 0; i < PLUGIN_COUNTERS; i++)
		assert_has(text, before, plugin_counters[i].name, after);
}

/* Each line goes on to its end, and all but the last say that another follows. */
static void assert_lines(char *text, const char *ends_with, const char *continued)
{
	unsigned lines = 0;

	for (char *line = text, *end; *line != '\0'; line = end + 1, lines++) {
		end = strchr(line, '\n');
		assert_non_null(end);
		*end = '\0';
		assert_true(end - line < LOG_LINE_SIZE);
		assert_string_equal(end - strlen(ends_with), ends_with);
		assert_int_equal(strstr(line, continued) == NULL, end[1] == '\0');
	}
	assert_true(lines > 1);
}

static void as_text_every_counter_is_there(void **state)
{
	char *text = logged(LOG_FORMAT_TEXT);

	(void)state;
	assert_has_all(text, " ", "=18446744073709551615");
	assert_lines(text, "=18446744073709551615", " daemon: counters continued=yes ");
}

/* jansson's numbers have a sign: what is past 63 bits is its two's complement. */
static void as_json_every_counter_is_there(void **state)
{
	char *text;

	(void)state;
	if (!log_format_supported(LOG_FORMAT_JSON))
		skip();
	text = logged(LOG_FORMAT_JSON);
	assert_has_all(text, ",\"", "\":-1");
	assert_lines(text, "}", ",\"continued\":\"yes\"");
}

static void what_was_never_raised_is_left_out(void **state)
{
	char *text;

	(void)state;
	memset(workers, 0, sizeof(workers));
	server.plugins.counters = NULL;
	atomic_store(&workers[1].relay.counters.values[COUNTER_HEADERS_V2], 3);
	text = logged(LOG_FORMAT_TEXT);
	assert_string_equal(strstr(text, " daemon:"), " daemon: counters headers_v2=3\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(as_text_every_counter_is_there, raise_all),
		cmocka_unit_test_setup(as_json_every_counter_is_there, raise_all),
		cmocka_unit_test_setup(what_was_never_raised_is_left_out, raise_all),
	};

	return cmocka_run_group_tests_name("counters in the log", tests, NULL, NULL);
}
