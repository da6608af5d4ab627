/* SPDX-License-Identifier: MIT */
/*
 * Counters and close reasons: their names reach logs, metrics and the control socket, so each is
 * well-formed and means one thing.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/close_reason.h"
#include "base/counter.h"

#define ADDITIONS 200000

static void expect_characters(const char *name, const char *allowed)
{
	if (name[0] == '\0' || name[strspn(name, allowed)] != '\0')
		fail_msg("\"%s\" is no name", name);
}

static void every_counters_name_is_a_metrics_name(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNTER_COUNT; i++) {
		char name[COUNTER_NAME_SIZE];

		memset(name, 0x5a, sizeof(name));
		counter_name((enum counter)i, name);
		assert_non_null(memchr(name, '\0', sizeof(name)));
		/* One that fills its room may have been cut. */
		assert_true(strlen(name) < sizeof(name) - 1);
		expect_characters(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
		assert_true(name[0] >= 'a' && name[0] <= 'z');
	}
}

static void no_two_counters_share_a_name(void **state)
{
	static char names[COUNTER_COUNT][COUNTER_NAME_SIZE];

	(void)state;
	for (unsigned i = 0; i < COUNTER_COUNT; i++) {
		counter_name((enum counter)i, names[i]);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(names[i], names[j]);
	}
}

static void every_close_reason_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CLOSE_REASON_COUNT; i++) {
		const char *name = close_reason_name((enum close_reason)i);

		assert_non_null(name);
		expect_characters(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(name, close_reason_name((enum close_reason)j));
	}
}

static void every_close_reason_has_a_sentence_and_a_kind(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CLOSE_REASON_COUNT; i++) {
		const char *sentence = close_reason_sentence((enum close_reason)i);

		assert_non_null(sentence);
		assert_true(strlen(sentence) > 10);
		for (const char *c = sentence; *c != '\0'; c++)
			assert_in_range(*c, ' ', '~');
		switch (close_reason_kind((enum close_reason)i)) {
		case CLOSE_KIND_END:
		case CLOSE_KIND_QUIET:
		case CLOSE_KIND_REFUSE:
		case CLOSE_KIND_FAIL:
			break;
		}
	}
}

static void every_close_reason_is_counted_under_its_name(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CLOSE_REASON_COUNT; i++) {
		const char *reason = close_reason_name((enum close_reason)i);
		char name[COUNTER_NAME_SIZE];
		const char *tail = name + strlen("sessions_closed_");

		counter_name(counter_of_close((enum close_reason)i), name);
		assert_memory_equal(name, "sessions_closed_", strlen("sessions_closed_"));
		assert_int_equal(strlen(tail), strlen(reason));
		for (size_t j = 0; reason[j] != '\0'; j++)
			assert_int_equal(tail[j], reason[j] == '-' ? '_' : reason[j]);
	}
}

static void the_kinds_are_what_the_log_and_the_reset_rely_on(void **state)
{
	(void)state;
	assert_int_equal(close_reason_kind(CLOSE_FINISHED), CLOSE_KIND_END);
	assert_int_equal(close_reason_kind(CLOSE_SHUTDOWN), CLOSE_KIND_END);
	assert_int_equal(close_reason_kind(CLOSE_EMPTY), CLOSE_KIND_QUIET);
	assert_int_equal(close_reason_kind(CLOSE_CHECK_LEFT), CLOSE_KIND_QUIET);
	assert_int_equal(close_reason_kind(CLOSE_HEADER_TIMEOUT), CLOSE_KIND_REFUSE);
	assert_int_equal(close_reason_kind(CLOSE_SOURCE_MULTICAST), CLOSE_KIND_REFUSE);
	assert_int_equal(close_reason_kind(CLOSE_CONNECT_REFUSED), CLOSE_KIND_FAIL);
	assert_int_equal(close_reason_kind(CLOSE_PORT_CONFLICT), CLOSE_KIND_FAIL);
}

static void a_counter_adds_up_and_touches_no_other(void **state)
{
	static struct counter_set set;

	(void)state;
	for (unsigned i = 0; i < COUNTER_COUNT; i++) {
		counter_add(&set, (enum counter)i, i + 1);
		counter_add(&set, (enum counter)i, 1000);
	}
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		assert_int_equal(counter_read(&set, (enum counter)i), i + 1001);
}

static void *keep_adding(void *set)
{
	for (unsigned i = 0; i < ADDITIONS; i++)
		counter_add(set, COUNTER_SESSIONS_ACCEPTED, 1);
	return NULL;
}

static void a_reader_in_another_thread_never_sees_a_counter_go_back(void **state)
{
	static struct counter_set set;
	uint64_t seen = 0;
	pthread_t writer;

	(void)state;
	assert_int_equal(pthread_create(&writer, NULL, keep_adding, &set), 0);
	while (seen < ADDITIONS) {
		uint64_t now = counter_read(&set, COUNTER_SESSIONS_ACCEPTED);

		assert_true(now >= seen && now <= ADDITIONS);
		seen = now;
	}
	assert_int_equal(pthread_join(writer, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_counters_name_is_a_metrics_name),
		cmocka_unit_test(no_two_counters_share_a_name),
		cmocka_unit_test(every_close_reason_has_a_name_of_its_own),
		cmocka_unit_test(every_close_reason_has_a_sentence_and_a_kind),
		cmocka_unit_test(every_close_reason_is_counted_under_its_name),
		cmocka_unit_test(the_kinds_are_what_the_log_and_the_reset_rely_on),
		cmocka_unit_test(a_counter_adds_up_and_touches_no_other),
		cmocka_unit_test(a_reader_in_another_thread_never_sees_a_counter_go_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
