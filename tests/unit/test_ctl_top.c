/* SPDX-License-Identifier: MIT */
/* mmproxyctl top: rates between two samples, and the lines that are made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/top_sample.h"
#include "ctl/top_view.h"

#define NEAR(a, b) ((a) > (b)-1e-9 && (a) < (b) + 1e-9)

static json_t *parse(const char *text)
{
	json_error_t error;
	json_t *object = json_loads(text, 0, &error);

	if (object == NULL)
		fail_msg("%s: %s", error.text, text);
	return object;
}

static struct top_sample make(double time, const char *status, const char *listeners,
			      const char *clients, const char *counters)
{
	struct top_sample sample = {.time = time};

	sample.parts[TOP_STATUS] = parse(status);
	sample.parts[TOP_LISTENERS] = parse(listeners);
	sample.parts[TOP_CLIENTS] = parse(clients);
	sample.parts[TOP_COUNTERS] = parse(counters);
	return sample;
}

/* Two seconds lie between the two. */
static struct top_sample sample_before(void)
{
	return make(10, "{\"pid\":7,\"version\":\"0.1.0\",\"state\":\"running\"}",
		    "{\"listeners\":[{\"name\":\"web\",\"sessions_total\":100},"
		    "{\"name\":\"dns\",\"sessions_total\":5}]}",
		    "{\"clients\":[{\"client\":\"203.0.113.9\",\"bytes_from_client\":1000,"
		    "\"bytes_from_upstream\":50000}]}",
		    "{\"counters\":{\"sessions_accepted\":10,\"bytes_from_client\":4000,"
		    "\"sessions_closed_header_timeout\":4,\"sessions_closed_connect_refused\":100,"
		    "\"sessions_closed_finished\":3,\"datagrams_dropped_full\":0}}");
}

static struct top_sample sample_after(void)
{
	return make(
		12,
		"{\"pid\":7,\"version\":\"0.1.0\",\"state\":\"running\",\"uptime\":7980,"
		"\"generation\":3,\"sessions\":12,\"max_sessions\":1000,"
		"\"workers\":[{\"worker\":0,\"alive\":true},{\"worker\":1,\"alive\":false}]}",
		"{\"listeners\":[{\"name\":\"dns\",\"protocol\":\"udp\",\"sessions_total\":5},"
		"{\"name\":\"web\",\"protocol\":\"tcp\",\"sessions\":12,\"sessions_total\":130},"
		"{\"name\":\"new\",\"sessions_total\":9}]}",
		"{\"clients\":[{\"client\":\"203.0.113.9\",\"sessions\":2,"
		"\"bytes_from_client\":3048,\"bytes_from_upstream\":40000},"
		"{\"client\":\"192.0.2.1\",\"bytes_from_client\":5}]}",
		"{\"counters\":{\"sessions_accepted\":50,\"bytes_from_client\":8096,"
		"\"sessions_closed_header_timeout\":5,\"sessions_closed_connect_refused\":100,"
		"\"sessions_closed_finished\":300,\"datagrams_dropped_full\":6}}");
}

static void a_rate_is_the_difference_over_the_time(void **state)
{
	(void)state;
	assert_true(NEAR(top_rate(10, 50, 2), 20));
	assert_true(NEAR(top_rate(7, 7, 2), 0));
	assert_true(top_rate(0, UINT64_MAX, 1) > 1.8e19);
}

static void a_rate_without_time_or_of_what_fell_is_unknown(void **state)
{
	(void)state;
	assert_true(top_rate(10, 50, 0) < 0);
	assert_true(top_rate(10, 50, -1) < 0);
	assert_true(top_rate(50, 10, 1) < 0);
}

static void rates_are_of_the_same_counter_listener_and_client(void **state)
{
	struct top_sample before = sample_before(), after = sample_after();

	(void)state;
	assert_true(NEAR(top_counter_rate(&before, &after, "sessions_accepted"), 20));
	assert_true(NEAR(
		top_element_rate(&before, &after, TOP_LISTENERS, "name", "web", "sessions_total"),
		15));
	assert_true(NEAR(top_element_rate(&before, &after, TOP_CLIENTS, "client", "203.0.113.9",
					  "bytes_from_client"),
			 1024));
	/* A session of it has ended, and took its bytes along. */
	assert_true(top_element_rate(&before, &after, TOP_CLIENTS, "client", "203.0.113.9",
				     "bytes_from_upstream") < 0);
	/* It was not there before. */
	assert_true(top_element_rate(&before, &after, TOP_LISTENERS, "name", "new",
				     "sessions_total") < 0);
	top_sample_finish(&before);
	top_sample_finish(&after);
}

static void another_process_has_nothing_to_compare(void **state)
{
	struct top_sample before = sample_before(), after = sample_after();

	(void)state;
	assert_true(top_sample_follows(&before, &after));
	assert_false(top_sample_follows(NULL, &after));
	assert_false(top_sample_follows(&after, &before));
	json_object_set_new(after.parts[TOP_STATUS], "pid", json_integer(8));
	assert_false(top_sample_follows(&before, &after));
	assert_true(top_counter_rate(&before, &after, "sessions_accepted") < 0);
	top_sample_finish(&before);
	top_sample_finish(&after);
}

static void causes_are_what_went_wrong_the_fastest_first(void **state)
{
	struct top_sample before = sample_before(), after = sample_after();
	struct top_cause causes[8];

	(void)state;
	assert_int_equal(top_sample_causes(&before, &after, causes, 8), 3);
	assert_string_equal(causes[0].name, "datagrams_dropped_full");
	assert_true(NEAR(causes[0].rate, 3));
	assert_string_equal(causes[1].name, "header-timeout");
	assert_true(NEAR(causes[1].rate, 0.5));
	assert_int_equal(causes[1].total, 5);
	assert_string_equal(causes[2].name, "connect-refused");
	assert_true(NEAR(causes[2].rate, 0));
	assert_int_equal(top_sample_causes(&before, &after, causes, 2), 2);
	top_sample_finish(&before);
	top_sample_finish(&after);
}

static bool has_line(const struct lines *lines, const char *part)
{
	for (size_t i = 0; i < lines->count; i++) {
		if (strstr(lines->items[i].text, part) != NULL)
			return true;
	}
	return false;
}

static void the_view_has_it_all(void **state)
{
	static const char *const due[] = {
		"mmproxy 0.1.0  running  up 2h13m  generation 3  1 of 2 workers alive",
		"12 of 1000",
		"accepted            20/s",
		"2.0 KiB/s",
		"LISTENER",
		"203.0.113.9",
		"1.0 KiB/s",
		"header-timeout",
	};
	struct top_sample before = sample_before(), after = sample_after();
	struct lines lines = {0};

	(void)state;
	top_view(&before, &after, 0, &lines);
	for (size_t i = 0; i < sizeof(due) / sizeof(due[0]); i++) {
		if (!has_line(&lines, due[i]))
			fail_msg("\"%s\" is missing", due[i]);
	}
	assert_int_equal(lines.items[0].role, LINE_TITLE);
	lines_finish(&lines);
	top_sample_finish(&before);
	top_sample_finish(&after);
}

static void the_first_sample_has_no_rates(void **state)
{
	struct top_sample after = sample_after();
	struct lines lines = {0};

	(void)state;
	top_view(NULL, &after, 0, &lines);
	assert_true(has_line(&lines, "accepted             -/s"));
	assert_false(has_line(&lines, "KiB/s"));
	lines_finish(&lines);
	top_sample_finish(&after);
}

/* Many of everything, on screens of every height. */
static void no_screen_gets_more_lines_than_it_has(void **state)
{
	json_t *listeners = json_array(), *clients = json_array();
	struct top_sample after = sample_after();
	struct lines all = {0};

	(void)state;
	for (int i = 0; i < 40; i++) {
		json_array_append_new(listeners, json_pack("{s:s}", "name", "listener"));
		json_array_append_new(clients, json_pack("{s:s}", "client", "192.0.2.1"));
	}
	json_object_set_new(after.parts[TOP_LISTENERS], "listeners", listeners);
	json_object_set_new(after.parts[TOP_CLIENTS], "clients", clients);
	top_view(NULL, &after, 1000, &all);
	assert_true(all.count > 80);
	for (size_t height = 4; height < 120; height++) {
		size_t room = height < all.count ? height : all.count;
		struct lines lines = {0};

		top_view(NULL, &after, height, &lines);
		assert_true(lines.count <= height);
		assert_true(height < 30 || lines.count + 1 >= room);
		lines_finish(&lines);
	}
	lines_finish(&all);
	top_sample_finish(&after);
}

static void rows_are_divided_so_that_nobody_starves(void **state)
{
	static const struct {
		size_t room, wanted[3], due[3];
	} rows[] = {
		{9, {40, 40, 40}, {3, 3, 3}}, {10, {2, 40, 1}, {2, 7, 1}},
		{10, {2, 3, 1}, {2, 3, 1}},   {2, {5, 5, 5}, {1, 1, 0}},
		{0, {5, 5, 5}, {0, 0, 0}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t granted[3];

		top_view_divide(rows[i].room, rows[i].wanted, granted);
		assert_memory_equal(granted, rows[i].due, sizeof(granted));
	}
}

/* Whatever sits at the other end may answer with anything. */
static void answers_of_the_wrong_shape_are_shown_as_nothing(void **state)
{
	struct top_sample odd =
		make(1, "{\"workers\":7,\"sessions\":-4,\"uptime\":\"x\"}",
		     "{\"listeners\":{\"a\":1}}", "{\"clients\":[1,null,[]]}", "{\"counters\":[]}");
	struct lines lines = {0};

	(void)state;
	top_view(&odd, &odd, 24, &lines);
	assert_true(has_line(&lines, "0 of 0 workers alive"));
	lines_finish(&lines);
	top_sample_finish(&odd);
}

static void no_text_of_others_steers_the_terminal(void **state)
{
	struct top_sample after = sample_after();
	struct lines lines = {0};

	(void)state;
	json_object_set_new(after.parts[TOP_STATUS], "version", json_string("\x1b[2J"));
	json_object_set_new(json_array_get(json_object_get(after.parts[TOP_CLIENTS], "clients"), 0),
			    "client", json_string("\x1b]0;x\x07"));
	top_view(NULL, &after, 0, &lines);
	for (size_t i = 0; i < lines.count; i++) {
		for (const char *c = lines.items[i].text; *c != '\0'; c++)
			assert_true(*c >= ' ' && *c <= '~');
	}
	assert_true(has_line(&lines, "\\x1b]0;x\\x07"));
	lines_finish(&lines);
	top_sample_finish(&after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rate_is_the_difference_over_the_time),
		cmocka_unit_test(a_rate_without_time_or_of_what_fell_is_unknown),
		cmocka_unit_test(rates_are_of_the_same_counter_listener_and_client),
		cmocka_unit_test(another_process_has_nothing_to_compare),
		cmocka_unit_test(causes_are_what_went_wrong_the_fastest_first),
		cmocka_unit_test(the_view_has_it_all),
		cmocka_unit_test(the_first_sample_has_no_rates),
		cmocka_unit_test(no_screen_gets_more_lines_than_it_has),
		cmocka_unit_test(rows_are_divided_so_that_nobody_starves),
		cmocka_unit_test(answers_of_the_wrong_shape_are_shown_as_nothing),
		cmocka_unit_test(no_text_of_others_steers_the_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
