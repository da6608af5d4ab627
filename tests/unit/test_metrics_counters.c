/* SPDX-License-Identifier: MIT */
/* The counter registry as metrics: whatever the tables name is there, once, with its own value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/counter.h"
#include "daemon/metrics/exposition.h"
#include "daemon/metrics/metrics.h"

/* Each counter has another value, by which its sample is known. */
#define FIRST_VALUE 1000001

static char *text;

static int put_all(void **state)
{
	struct exposition exposition;
	uint64_t values[COUNTER_COUNT];

	(void)state;
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		values[i] = FIRST_VALUE + i;
	if (exposition_begin(&exposition) < 0)
		return -1;
	metrics_put_counters(&exposition, values);
	text = exposition_end(&exposition);
	return text == NULL;
}

static int forget(void **state)
{
	(void)state;
	free(text);
	return 0;
}

static unsigned occurrences(const char *needle)
{
	unsigned count = 0;

	for (const char *at = text; (at = strstr(at, needle)) != NULL; at += strlen(needle))
		count++;
	return count;
}

static void every_counter_and_every_reason_has_one_sample(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNTER_COUNT; i++) {
		char sample[32], name[COUNTER_NAME_SIZE];

		snprintf(sample, sizeof(sample), " %u\n", FIRST_VALUE + i);
		counter_name((enum counter)i, name);
		if (occurrences(sample) != 1)
			fail_msg("%s has %u samples", name, occurrences(sample));
	}
}

static void there_is_no_sample_of_anything_else(void **state)
{
	unsigned samples = 0;

	(void)state;
	for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1)
		samples += line[0] != '#';
	assert_int_equal(samples, COUNTER_COUNT);
}

static void expect_sample(const char *sample, enum counter counter)
{
	char line[128];

	snprintf(line, sizeof(line), "\n%s %u\n", sample, FIRST_VALUE + (unsigned)counter);
	if (occurrences(line) != 1)
		fail_msg("no line%s", line);
}

static void a_counter_that_has_no_family_is_one_by_its_name(void **state)
{
	(void)state;
	expect_sample("mmproxy_sessions_accepted_total", COUNTER_SESSIONS_ACCEPTED);
	expect_sample("mmproxy_accept_paused_total", COUNTER_ACCEPT_PAUSED);
	assert_int_equal(occurrences("# TYPE mmproxy_accept_paused_total counter\n"), 1);
	assert_int_equal(occurrences("# HELP mmproxy_pipes_missing_total Times a stream was copied "
				     "for want of a pipe.\n"),
			 1);
}

static void counters_of_one_thing_are_one_family(void **state)
{
	(void)state;
	expect_sample("mmproxy_headers_total{version=\"spp\"}", COUNTER_HEADERS_SPP);
	expect_sample("mmproxy_relayed_bytes_total{from=\"upstream\"}",
		      COUNTER_BYTES_FROM_UPSTREAM);
	expect_sample("mmproxy_relayed_datagrams_total{from=\"client\"}",
		      COUNTER_DATAGRAMS_FROM_CLIENT);
	expect_sample("mmproxy_dropped_datagrams_total{from=\"client\",cause=\"too_large\"}",
		      COUNTER_DATAGRAMS_DROPPED_TOO_LARGE);
	expect_sample("mmproxy_dropped_datagrams_total{from=\"upstream\",cause=\"queue\"}",
		      COUNTER_REPLIES_DROPPED_QUEUE);
	expect_sample("mmproxy_client_ports_total{outcome=\"conflict\"}", COUNTER_PORT_CONFLICTS);
}

static void a_reason_is_told_with_its_kind(void **state)
{
	(void)state;
	expect_sample("mmproxy_sessions_closed_total{kind=\"ended\",reason=\"finished\"}",
		      counter_of_close(CLOSE_FINISHED));
	expect_sample(
		"mmproxy_sessions_closed_total{kind=\"ended\",reason=\"closed-without-a-byte\"}",
		counter_of_close(CLOSE_EMPTY));
	expect_sample("mmproxy_sessions_closed_total{kind=\"refused\",reason=\"header-timeout\"}",
		      counter_of_close(CLOSE_HEADER_TIMEOUT));
	expect_sample("mmproxy_sessions_closed_total{kind=\"failed\",reason=\"connect-refused\"}",
		      counter_of_close(CLOSE_CONNECT_REFUSED));
}

/* A reason's number says its kind to plugins, and the label must not say another. */
static void a_reasons_kind_is_that_of_its_number(void **state)
{
	static const char *const kinds[] = {"ended", "refused", "failed"};

	(void)state;
	for (unsigned i = 0; i < CLOSE_REASON_COUNT; i++) {
		enum close_reason reason = (enum close_reason)i;
		char sample[128];

		snprintf(sample, sizeof(sample), "{kind=\"%s\",reason=\"%s\"} ",
			 kinds[close_reason_code(reason) / 100], close_reason_name(reason));
		assert_int_equal(occurrences(sample), 1);
	}
}

/* The format wants a family's samples in one piece, and its announcement once. */
static void no_family_is_announced_twice(void **state)
{
	(void)state;
	for (const char *at = text; (at = strstr(at, "# TYPE ")) != NULL; at++) {
		char line[128];

		snprintf(line, sizeof(line), "%.*s", (int)(strchr(at, '\n') + 1 - at), at);
		assert_int_equal(occurrences(line), 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_counter_and_every_reason_has_one_sample),
		cmocka_unit_test(there_is_no_sample_of_anything_else),
		cmocka_unit_test(a_counter_that_has_no_family_is_one_by_its_name),
		cmocka_unit_test(counters_of_one_thing_are_one_family),
		cmocka_unit_test(a_reason_is_told_with_its_kind),
		cmocka_unit_test(a_reasons_kind_is_that_of_its_number),
		cmocka_unit_test(no_family_is_announced_twice),
	};

	return cmocka_run_group_tests(tests, put_all, forget);
}
