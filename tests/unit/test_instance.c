/* SPDX-License-Identifier: MIT */
/*
 * An entry of the configuration comes to life: what becomes of what its hooks answer, its counters,
 * and calls that take too long. The shared object is the test's own (in place of host/module.c).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/report.h"
#include "full_report.h"
#include "host/host_functions.h"
#include "host/instance.h"
#include "host/plugin_config.h"
#include "host/plugin_host.h"
#include "os/log.h"

#define WHERE "m.conf:2: plugins[0]"

static struct plugin_host host;
static struct plugin_entry entry;
static struct report mistakes, warnings;
static struct mmproxy_instance *instance;

/* The plugin. */
static struct mmproxy_plugin hooks;
static int answer;            /* of check and open */
static const char *complaint; /* they report this mistake; NULL: none */
static const char *loaded;    /* the path */
static unsigned loads, unloads, opens, closes;
static const struct mmproxy_host *handed;
static struct mmproxy_host for_check;

static int read_settings(const struct mmproxy_config *config)
{
	int64_t value;

	handed->config_int(config, "known", 0, 9, &value);
	if (complaint != NULL)
		handed->config_mistake(config, NULL, complaint);
	return answer;
}

static int hook_check(const struct mmproxy_host *functions, const struct mmproxy_config *config)
{
	handed = functions;
	assert_int_equal(functions->workers, 0);
	return read_settings(config);
}

static void (*while_open)(struct mmproxy_instance *opening);

static int hook_open(const struct mmproxy_host *functions, struct mmproxy_instance *opening,
		     const struct mmproxy_config *config, void **state)
{
	handed = functions;
	opens++;
	*state = &answer;
	if (while_open != NULL)
		while_open(opening);
	return read_settings(config);
}

static void hook_close(void *state)
{
	assert_ptr_equal(state, &answer);
	closes++;
}

int plugin_module_load(struct plugin_module *module, const char *path,
		       char why[static PLUGIN_MODULE_WHY_SIZE])
{
	loaded = strcmp(path, "missing.so") == 0 ? NULL : path;
	*module = (struct plugin_module){.hooks = hooks};
	if (loaded == NULL) {
		snprintf(why, PLUGIN_MODULE_WHY_SIZE, "it is missing; write another");
		return -ENOENT;
	}
	module->path = strdup(path);
	loads++;
	return 0;
}

void plugin_module_unload(struct plugin_module *module)
{
	free(module->path);
	unloads++;
}

/* ---- The test's side ---- */

static int start(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	report_init(&mistakes);
	report_init(&warnings);
	answer = 0;
	complaint = loaded = NULL;
	loads = unloads = opens = closes = 0;
	while_open = NULL;
	hooks = (struct mmproxy_plugin){
		.size = sizeof(hooks),
		.name = "test",
		.version = "1",
		.check = hook_check,
		.open = hook_open,
		.close = hook_close,
	};
	entry = (struct plugin_entry){
		.name = (char *)(uintptr_t) "some-name",
		.where = (char *)(uintptr_t)WHERE,
		.config = plugin_config_create(WHERE ".config", "/"),
	};
	plugin_config_add(entry.config, "known", WHERE ".config.known", PLUGIN_CONFIG_INTEGER);
	plugin_config_add(entry.config, "typo", WHERE ".config.typo", PLUGIN_CONFIG_INTEGER);
	if (plugin_host_init(&host, 2) < 0)
		return -1;
	host_functions_fill(&host.functions, 2);
	host_functions_fill(&for_check, 0);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	assert_int_equal(loads, unloads);
	plugin_host_finish(&host);
	plugin_config_destroy(entry.config);
	report_finish(&mistakes);
	report_finish(&warnings);
	return 0;
}

static bool open_it(void)
{
	instance = instance_open(&host, &entry, &mistakes, &warnings);
	return instance != NULL;
}

static void close_it(void)
{
	instance_close(instance);
}

static void expect_line(struct report *report, const char *due)
{
	assert_int_equal(report->count, due != NULL);
	if (due != NULL)
		assert_string_equal(report->lines[0], due);
	report_finish(report);
}

static void one_that_opens_is_open_until_it_is_closed(void **state)
{
	(void)state;
	assert_true(open_it());
	expect_line(&mistakes, NULL);
	expect_line(&warnings, WHERE
		    ".config.typo: the plugin has no such setting; correct its name, or remove it");
	assert_ptr_equal(handed, &host.functions);
	assert_int_equal(handed->workers, 2);
	assert_int_equal(opens, 1);
	assert_int_equal(closes + unloads, 0);
	close_it();
	assert_int_equal(closes, 1);
	assert_int_equal(unloads, 1);
}

static void a_path_is_taken_as_written_and_else_from_the_name(void **state)
{
	(void)state;
	assert_true(open_it());
	assert_string_equal(instance->module.path, "some-name.so");
	close_it();
	entry.path = (char *)(uintptr_t) "/opt/other.so";
	assert_true(open_it());
	assert_string_equal(instance->module.path, "/opt/other.so");
	close_it();
}

static void one_that_cannot_be_loaded_says_why(void **state)
{
	(void)state;
	entry.path = (char *)(uintptr_t) "missing.so";
	assert_false(open_it());
	expect_line(&mistakes, WHERE ": plugin \"some-name\": it is missing; write another");
	assert_true(instance_check(&for_check, &entry, &mistakes, &warnings) < 0);
	expect_line(&mistakes, WHERE ": plugin \"some-name\": it is missing; write another");
	assert_int_equal(opens + closes, 0);
}

static void one_that_fails_to_open_is_not_closed(void **state)
{
	(void)state;
	answer = -EACCES;
	assert_false(open_it());
	expect_line(&mistakes,
		    WHERE ": plugin \"some-name\": its open hook failed: Permission denied");
	answer = 1;
	assert_false(open_it());
	expect_line(&mistakes,
		    WHERE ": plugin \"some-name\": its open hook failed: it returned no errno");
	/* What it did not get around to reading is not told. */
	expect_line(&warnings, NULL);
	assert_int_equal(closes, 0);
}

static void one_that_has_said_what_is_wrong_need_not_be_told_of_again(void **state)
{
	(void)state;
	answer = -EINVAL;
	complaint = "nothing fits; write something else";
	assert_false(open_it());
	expect_line(&mistakes, WHERE ".config: nothing fits; write something else");
	assert_int_equal(closes, 0);
}

static void one_that_opens_in_spite_of_a_mistake_is_closed_again(void **state)
{
	(void)state;
	complaint = "nothing fits; write something else";
	assert_false(open_it());
	expect_line(&mistakes, WHERE ".config: nothing fits; write something else");
	expect_line(&warnings, NULL);
	assert_int_equal(closes, 1);
}

static void a_mistake_whose_line_is_lost_is_one(void **state)
{
	(void)state;
	full_report_init(&mistakes);
	complaint = "nothing fits; write something else";
	assert_false(open_it());
	assert_int_equal(closes, 1);
	assert_int_equal(instance_check(&for_check, &entry, &mistakes, &warnings), -EINVAL);
	complaint = NULL;
	report_finish(&mistakes);
	full_report_init(&mistakes);
	assert_int_equal(instance_check(&for_check, &entry, &mistakes, &warnings), 0);
}

static void a_check_reads_the_settings_and_opens_nothing(void **state)
{
	(void)state;
	assert_int_equal(instance_check(&for_check, &entry, &mistakes, &warnings), 0);
	expect_line(&mistakes, NULL);
	expect_line(&warnings, WHERE
		    ".config.typo: the plugin has no such setting; correct its name, or remove it");
	complaint = "nothing fits; write something else";
	assert_int_equal(instance_check(&for_check, &entry, &mistakes, &warnings), -EINVAL);
	expect_line(&mistakes, WHERE ".config: nothing fits; write something else");
	complaint = NULL;
	answer = -ENOMEM;
	assert_int_equal(instance_check(&for_check, &entry, &mistakes, &warnings), -ENOMEM);
	expect_line(&mistakes,
		    WHERE ": plugin \"some-name\": its check hook failed: Cannot allocate memory");
	assert_int_equal(opens + closes, 0);
}

static void a_plugin_needs_no_hook(void **state)
{
	const struct mmproxy_conn conn = {.size = sizeof(conn)};
	const struct mmproxy_end end = {.size = sizeof(end)};

	(void)state;
	hooks = (struct mmproxy_plugin){.size = sizeof(hooks), .name = "none", .version = "0"};
	assert_int_equal(instance_check(&for_check, &entry, &mistakes, &warnings), 0);
	assert_true(open_it());
	instance_worker_start(instance, &host.pools[0]);
	assert_int_equal(instance_filter(instance, &host.pools[0], &conn), MMPROXY_PASS);
	instance_cancel(instance, &host.pools[0], &conn, 1);
	instance_connected(instance, &host.pools[0], &conn, 0);
	instance_closed(instance, &host.pools[0], &conn, &end);
	instance_worker_stop(instance, &host.pools[0]);
	close_it();
	/* Whether its settings mean anything nobody can say. */
	expect_line(&warnings, NULL);
}

/* ---- Counters ---- */

static uint64_t value_of(const char *name)
{
	for (const struct plugin_counter *at = host.counters; at != NULL; at = at->next) {
		if (strcmp(at->name, name) == 0)
			return atomic_load(&at->value);
	}
	fail_msg("there is no counter %s", name);
	return 0;
}

static int first, second;

static void name_some(struct mmproxy_instance *opening)
{
	first = handed->counter(opening, "first");
	second = handed->counter(opening, "second_2");
	assert_true(first >= 0 && second >= 0 && first != second);
	assert_int_equal(handed->counter(opening, "first"), first);
	handed->count(opening, first, 1);
}

static void a_counter_stands_under_the_entrys_name_and_outlives_it(void **state)
{
	(void)state;
	while_open = name_some;
	assert_true(open_it());
	handed->count(instance, first, 2);
	handed->count(instance, second, 5);
	assert_int_equal(value_of("plugin_some_name_first"), 3);
	close_it();
	/* A reload. */
	assert_true(open_it());
	handed->count(instance, second, 5);
	close_it();
	assert_int_equal(value_of("plugin_some_name_first"), 4);
	assert_int_equal(value_of("plugin_some_name_second_2"), 10);
}

/* An entry "some" counts "name_first", or one of this name opens beside it. */
static const char *counted;

static void name_it(struct mmproxy_instance *opening)
{
	/* It goes on without, as plugins do. */
	handed->count(opening, handed->counter(opening, counted), 1);
}

static void a_counter_of_another_entry_that_is_called_the_same_is_a_mistake(void **state)
{
	struct mmproxy_instance *other;

	(void)state;
	while_open = name_it;
	counted = "name_first";
	entry.name = (char *)(uintptr_t) "some";
	assert_true(open_it());
	other = instance;
	counted = "first";
	entry.name = (char *)(uintptr_t) "some-name";
	assert_false(open_it());
	expect_line(&mistakes,
		    WHERE ": plugin \"some-name\": its counter \"first\" would be "
			  "plugin_some_name_first, as \"name_first\" of plugin \"some\" is; write "
			  "another name (counters last until a restart)");
	assert_int_equal(value_of("plugin_some_name_first"), 1);
	assert_int_equal(opens, closes + 1);
	/* One of mmproxy's own is no better. */
	counted = "name_x_errors";
	entry.name = (char *)(uintptr_t) "some";
	assert_true(open_it());
	close_it();
	counted = "second";
	entry.name = (char *)(uintptr_t) "some_name_x";
	assert_false(open_it());
	expect_line(&mistakes,
		    WHERE ": plugin \"some_name_x\": its counter \"errors\" would be "
			  "plugin_some_name_x_errors, as \"name_x_errors\" of plugin \"some\" is; "
			  "write another name (counters last until a restart)");
	/* The same one goes on under either spelling, as after a reload that changed it. */
	counted = "second";
	entry.name = (char *)(uintptr_t) "some-name";
	assert_true(open_it());
	close_it();
	entry.name = (char *)(uintptr_t) "some_name";
	assert_true(open_it());
	close_it();
	assert_int_equal(value_of("plugin_some_name_second"), 2);
	instance = other;
	close_it();
}

static void what_is_no_counter_counts_nothing(void **state)
{
	(void)state;
	while_open = name_some;
	assert_true(open_it());
	handed->count(instance, -EINVAL, 7);
	handed->count(instance, INT32_MIN, 7);
	handed->count(instance, 2, 7);
	handed->count(instance, INT32_MAX, 7);
	assert_int_equal(value_of("plugin_some_name_first"), 1);
	assert_int_equal(value_of("plugin_some_name_second_2"), 0);
	close_it();
}

static void name_badly(struct mmproxy_instance *opening)
{
	static const char *const bad[] = {
		"",         "Upper",      "da-sh",          "sp ace",
		"\xc3\xa4", "refusals",   "errors",         "timeouts",
		"a.b",      "slow_calls", "stale_verdicts", "a23456789012345678901234567890123",
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(handed->counter(opening, bad[i]), -EINVAL);
	assert_int_equal(handed->counter(opening, "a2345678901234567890123456789012"), 0);
}

static void a_name_that_is_none_or_taken_is_refused(void **state)
{
	(void)state;
	while_open = name_badly;
	assert_true(open_it());
	/* And behind open every one is. */
	assert_int_equal(handed->counter(instance, "late"), -EINVAL);
	assert_int_equal(value_of("plugin_some_name_a2345678901234567890123456789012"), 0);
	close_it();
}

static void name_many(struct mmproxy_instance *opening)
{
	char name[16];

	for (int i = 0; i < INSTANCE_COUNTERS_MAX; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		assert_int_equal(handed->counter(opening, name), i);
	}
	assert_int_equal(handed->counter(opening, "more"), -ENOSPC);
	assert_int_equal(handed->counter(opening, "c63"), 63);
}

static void there_is_room_for_64(void **state)
{
	(void)state;
	while_open = name_many;
	assert_true(open_it());
	handed->count(instance, 63, 9);
	assert_int_equal(value_of("plugin_some_name_c63"), 9);
	close_it();
}

static void two_entries_have_counters_of_their_own(void **state)
{
	struct mmproxy_instance *other;
	struct plugin_entry second_entry = entry;

	(void)state;
	second_entry.name = (char *)(uintptr_t) "other";
	while_open = name_some;
	assert_true(open_it());
	other = instance_open(&host, &second_entry, &mistakes, &warnings);
	assert_non_null(other);
	handed->count(other, first, 10);
	instance_count(other, INSTANCE_ERRORS);
	assert_int_equal(value_of("plugin_some_name_first"), 1);
	assert_int_equal(value_of("plugin_other_first"), 11);
	assert_int_equal(value_of("plugin_some_name_errors"), 0);
	assert_int_equal(value_of("plugin_other_errors"), 1);
	instance_close(other);
	close_it();
}

/* ---- Time ---- */

static uint64_t milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int slow_filter(void *state, const struct mmproxy_conn *conn)
{
	uint64_t end = milliseconds() + INSTANCE_SLOW_CALL;

	(void)state;
	(void)conn;
	while (milliseconds() < end)
		continue;
	return MMPROXY_DENY;
}

static void slow_closed(void *state, const struct mmproxy_conn *conn, const struct mmproxy_end *end)
{
	(void)end;
	slow_filter(state, conn);
}

static void a_call_that_holds_its_worker_up_is_counted(void **state)
{
	const struct mmproxy_conn conn = {.size = sizeof(conn)};
	const struct mmproxy_end end = {.size = sizeof(end)};

	(void)state;
	hooks.filter = slow_filter;
	hooks.closed = slow_closed;
	assert_true(open_it());
	assert_int_equal(instance_filter(instance, &host.pools[1], &conn), MMPROXY_DENY);
	assert_int_equal(value_of("plugin_some_name_slow_calls"), 1);
	instance_closed(instance, &host.pools[1], &conn, &end);
	assert_int_equal(value_of("plugin_some_name_slow_calls"), 2);
	close_it();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(one_that_opens_is_open_until_it_is_closed),
		TEST(a_path_is_taken_as_written_and_else_from_the_name),
		TEST(one_that_cannot_be_loaded_says_why),
		TEST(one_that_fails_to_open_is_not_closed),
		TEST(one_that_has_said_what_is_wrong_need_not_be_told_of_again),
		TEST(one_that_opens_in_spite_of_a_mistake_is_closed_again),
		TEST(a_mistake_whose_line_is_lost_is_one),
		TEST(a_check_reads_the_settings_and_opens_nothing),
		TEST(a_plugin_needs_no_hook),
		TEST(a_counter_stands_under_the_entrys_name_and_outlives_it),
		TEST(a_counter_of_another_entry_that_is_called_the_same_is_a_mistake),
		TEST(what_is_no_counter_counts_nothing),
		TEST(a_name_that_is_none_or_taken_is_refused),
		TEST(there_is_room_for_64),
		TEST(two_entries_have_counters_of_their_own),
		TEST(a_call_that_holds_its_worker_up_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
