/* SPDX-License-Identifier: MIT */
/*
 * The table of the plugin ratelimit: its limits, who leaves when it is full, and several threads at
 * once.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "table.h"

/* Milliseconds. */
#define NOW 123000U

struct outcome {
	enum ratelimit_answer answer;
	struct ratelimit_place *place;
	bool evicted;
};

static struct ratelimit_table *table_of(double rate, uint32_t burst, uint32_t max_sessions,
					uint32_t max_clients)
{
	const struct ratelimit_limits limits = {.rate = ratelimit_rate_of(rate, burst),
						.max_sessions = max_sessions,
						.max_clients = max_clients};
	struct ratelimit_table *table = ratelimit_table_create(&limits);

	assert_non_null(table);
	return table;
}

static struct outcome begin(struct ratelimit_table *table, uint32_t client, uint64_t now)
{
	uint8_t bytes[16] = {0x20, 0x01, 0x0d, 0xb8};
	struct outcome outcome;

	memcpy(bytes + 4, &client, sizeof(client));
	outcome.answer = ratelimit_table_begin(table, bytes, now, &outcome.place, &outcome.evicted);
	return outcome;
}

static enum ratelimit_answer ask(struct ratelimit_table *table, uint32_t client, uint64_t now)
{
	return begin(table, client, now).answer;
}

static struct ratelimit_place *admit(struct ratelimit_table *table, uint32_t client, uint64_t now)
{
	const struct outcome outcome = begin(table, client, now);

	assert_int_equal(outcome.answer, RATELIMIT_ADMITTED);
	assert_non_null(outcome.place);
	return outcome.place;
}

static void a_client_begins_as_many_sessions_as_the_bucket_holds(void **state)
{
	struct ratelimit_table *table = table_of(10, 3, 0, 16);

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(ask(table, 1, NOW), RATELIMIT_ADMITTED);
	assert_int_equal(ask(table, 1, NOW), RATELIMIT_TOO_FAST);
	assert_int_equal(ask(table, 1, NOW + 99), RATELIMIT_TOO_FAST);
	assert_int_equal(ask(table, 1, NOW + 100), RATELIMIT_ADMITTED);
	assert_int_equal(ask(table, 1, NOW + 100), RATELIMIT_TOO_FAST);
	ratelimit_table_destroy(table);
}

static void a_client_has_no_more_sessions_at_once_than_the_limit(void **state)
{
	struct ratelimit_table *table = table_of(0, 1, 2, 16);
	struct ratelimit_place *place = admit(table, 1, NOW);

	(void)state;
	admit(table, 1, NOW);
	assert_int_equal(ask(table, 1, NOW), RATELIMIT_TOO_MANY);
	assert_null(begin(table, 1, NOW).place);
	ratelimit_table_end(table, place);
	admit(table, 1, NOW);
	assert_int_equal(ask(table, 1, NOW), RATELIMIT_TOO_MANY);
	ratelimit_table_destroy(table);
}

static void sessions_are_not_counted_without_a_limit(void **state)
{
	struct ratelimit_table *table = table_of(1, 5, 0, 16);

	(void)state;
	assert_null(begin(table, 1, NOW).place);
	ratelimit_table_destroy(table);
}

static void too_many_sessions_take_no_token(void **state)
{
	struct ratelimit_table *table = table_of(0.001, 2, 1, 16);
	struct ratelimit_place *place = admit(table, 1, NOW);

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(ask(table, 1, NOW), RATELIMIT_TOO_MANY);
	ratelimit_table_end(table, place);
	place = admit(table, 1, NOW);
	ratelimit_table_end(table, place);
	assert_int_equal(ask(table, 1, NOW), RATELIMIT_TOO_FAST);
	ratelimit_table_destroy(table);
}

static void clients_do_not_use_up_each_others_tokens(void **state)
{
	struct ratelimit_table *table = table_of(0.001, 1, 0, 10000);

	(void)state;
	for (uint32_t client = 0; client < 5000; client++)
		assert_int_equal(ask(table, client, NOW), RATELIMIT_ADMITTED);
	for (uint32_t client = 0; client < 5000; client++)
		assert_int_equal(ask(table, client, NOW), RATELIMIT_TOO_FAST);
	ratelimit_table_destroy(table);
}

static void a_client_whose_bucket_is_full_leaves_without_a_loss(void **state)
{
	struct ratelimit_table *table = table_of(1, 1, 0, 2);
	struct outcome outcome;

	(void)state;
	ask(table, 1, NOW);
	ask(table, 2, NOW + 1);
	outcome = begin(table, 3, NOW + 1000);
	assert_int_equal(outcome.answer, RATELIMIT_ADMITTED);
	assert_false(outcome.evicted);
	/* The second is still known, and its bucket is not full. */
	assert_int_equal(ask(table, 2, NOW + 1000), RATELIMIT_TOO_FAST);
	ratelimit_table_destroy(table);
}

static void a_client_whose_bucket_is_full_leaves_before_an_older_one(void **state)
{
	struct ratelimit_table *table = table_of(1, 10, 0, 2);

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(ask(table, 1, NOW), RATELIMIT_ADMITTED);
	ask(table, 2, NOW + 1);
	assert_false(begin(table, 3, NOW + 1001).evicted);
	assert_int_equal(ask(table, 1, NOW + 999), RATELIMIT_TOO_FAST);
	ratelimit_table_destroy(table);
}

static void a_client_that_is_forgotten_too_early_is_told(void **state)
{
	struct ratelimit_table *table = table_of(1, 10, 0, 2);

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		ask(table, 1, NOW);
	for (unsigned i = 0; i < 5; i++)
		ask(table, 2, NOW);
	/* The second's bucket is full first. */
	assert_true(begin(table, 3, NOW).evicted);
	assert_int_equal(ask(table, 1, NOW), RATELIMIT_TOO_FAST);
	ratelimit_table_destroy(table);
}

static void who_keeps_on_asking_is_not_forgotten_in_a_flood_of_others(void **state)
{
	struct ratelimit_table *table = table_of(0.001, 1, 0, 64);

	(void)state;
	assert_int_equal(ask(table, 0, NOW), RATELIMIT_ADMITTED);
	for (uint32_t other = 1; other < 10000; other++) {
		assert_int_equal(ask(table, other, NOW), RATELIMIT_ADMITTED);
		if (other % 32 == 0)
			assert_int_equal(ask(table, 0, NOW), RATELIMIT_TOO_FAST);
	}
	ratelimit_table_destroy(table);
}

static void a_client_with_a_session_stays_in_any_flood(void **state)
{
	struct ratelimit_table *table = table_of(0, 1, 1, 64);
	struct ratelimit_place *place = admit(table, 0, NOW);

	(void)state;
	for (uint32_t other = 1; other < 10000; other++)
		ratelimit_table_end(table, admit(table, other, NOW));
	assert_int_equal(ask(table, 0, NOW), RATELIMIT_TOO_MANY);
	ratelimit_table_end(table, place);
	admit(table, 0, NOW);
	ratelimit_table_destroy(table);
}

static void a_table_of_clients_with_sessions_lets_others_pass_uncounted(void **state)
{
	struct ratelimit_table *table = table_of(0, 1, 1, 3);
	struct ratelimit_place *places[3];
	struct outcome outcome;

	(void)state;
	for (uint32_t client = 0; client < 3; client++)
		places[client] = admit(table, client, NOW);
	for (unsigned i = 0; i < 5; i++) {
		outcome = begin(table, 99, NOW);
		assert_int_equal(outcome.answer, RATELIMIT_TABLE_FULL);
		assert_null(outcome.place);
	}
	/* Those that are known have their limits, and a place that is free is found. */
	assert_int_equal(ask(table, 1, NOW), RATELIMIT_TOO_MANY);
	ratelimit_table_end(table, places[1]);
	admit(table, 99, NOW);
	assert_int_equal(ask(table, 99, NOW), RATELIMIT_TOO_MANY);
	assert_int_equal(ask(table, 1, NOW), RATELIMIT_TABLE_FULL);
	ratelimit_table_destroy(table);
}

static void a_large_table_has_room_for_nearly_as_many_clients_as_it_says(void **state)
{
	struct ratelimit_table *table = table_of(0, 1, 1, 65536);
	uint32_t full = 0;

	(void)state;
	for (uint32_t client = 0; client < 60000; client++)
		full += ask(table, client, NOW) == RATELIMIT_TABLE_FULL;
	/* Chance fills some sixteenth more than another. */
	assert_true(full < 600);
	for (uint32_t client = 60000; client < 100000; client++)
		full += ask(table, client, NOW) == RATELIMIT_TABLE_FULL;
	assert_true(full >= 100000 - 65536);
	ratelimit_table_destroy(table);
}

/* ---- Threads ---- */

#define THREADS        4
#define THREAD_CLIENTS 48
#define THREAD_STEPS   60000
#define THREAD_MOST    5

struct live {
	struct ratelimit_place *place;
	uint32_t client;
};

struct crowd {
	struct ratelimit_table *table;
	atomic_uint sessions[THREAD_CLIENTS]; /* that have begun and were counted */
	atomic_uint beyond;                   /* times that there were more than the limit */
	atomic_uint uncounted;
	atomic_uint number;
};

/* First the number goes down, so that it is never above what the table has. */
static void end(struct crowd *crowd, const struct live *live)
{
	atomic_fetch_sub(&crowd->sessions[live->client], 1);
	ratelimit_table_end(crowd->table, live->place);
}

static void *run_thread(void *argument)
{
	struct crowd *crowd = argument;
	struct live live[64];
	unsigned count = 0;
	uint64_t random = 1000 + atomic_fetch_add(&crowd->number, 1);

	for (unsigned step = 0; step < THREAD_STEPS; step++) {
		uint32_t value, client;
		struct outcome outcome;

		random = random * 6364136223846793005u + 1442695040888963407u;
		value = (uint32_t)(random >> 33);
		client = value % THREAD_CLIENTS;
		if (count == 64 || (count > 0 && value / THREAD_CLIENTS % 2 == 0)) {
			end(crowd, &live[--count]);
			continue;
		}
		outcome = begin(crowd->table, client, NOW + step / 64);
		if (outcome.answer == RATELIMIT_TABLE_FULL)
			atomic_fetch_add(&crowd->uncounted, 1);
		if (outcome.place == NULL)
			continue;
		if (atomic_fetch_add(&crowd->sessions[client], 1) >= THREAD_MOST)
			atomic_fetch_add(&crowd->beyond, 1);
		live[count++] = (struct live){outcome.place, client};
	}
	while (count > 0)
		end(crowd, &live[--count]);
	return NULL;
}

/* Returns how many sessions were let in uncounted. */
static unsigned run_threads(double rate, uint32_t max_clients)
{
	struct crowd crowd = {.table = table_of(rate, 100, THREAD_MOST, max_clients)};
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_thread, &crowd), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&crowd.beyond), 0);
	/* Each session has been given back: a client may have all of its own again. */
	for (uint32_t client = 0; client < THREAD_CLIENTS; client++) {
		struct ratelimit_place *places[THREAD_MOST];

		for (unsigned i = 0; i < THREAD_MOST; i++)
			places[i] = admit(crowd.table, client, NOW + 10000000);
		assert_int_equal(ask(crowd.table, client, NOW + 10000000), RATELIMIT_TOO_MANY);
		for (unsigned i = 0; i < THREAD_MOST; i++)
			ratelimit_table_end(crowd.table, places[i]);
	}
	ratelimit_table_destroy(crowd.table);
	return atomic_load(&crowd.uncounted);
}

static void threads_never_go_beyond_the_limit_together(void **state)
{
	(void)state;
	assert_int_equal(run_threads(0, 65536), 0);
	assert_int_equal(run_threads(1000, 65536), 0);
}

static void threads_lose_no_session_in_a_table_that_is_too_small(void **state)
{
	(void)state;
	assert_true(run_threads(0, 16) > 0);
	run_threads(1000, 16);
}

static void destroying_no_table_is_fine(void **state)
{
	(void)state;
	ratelimit_table_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_begins_as_many_sessions_as_the_bucket_holds),
		cmocka_unit_test(a_client_has_no_more_sessions_at_once_than_the_limit),
		cmocka_unit_test(sessions_are_not_counted_without_a_limit),
		cmocka_unit_test(too_many_sessions_take_no_token),
		cmocka_unit_test(clients_do_not_use_up_each_others_tokens),
		cmocka_unit_test(a_client_whose_bucket_is_full_leaves_without_a_loss),
		cmocka_unit_test(a_client_whose_bucket_is_full_leaves_before_an_older_one),
		cmocka_unit_test(a_client_that_is_forgotten_too_early_is_told),
		cmocka_unit_test(who_keeps_on_asking_is_not_forgotten_in_a_flood_of_others),
		cmocka_unit_test(a_client_with_a_session_stays_in_any_flood),
		cmocka_unit_test(a_table_of_clients_with_sessions_lets_others_pass_uncounted),
		cmocka_unit_test(a_large_table_has_room_for_nearly_as_many_clients_as_it_says),
		cmocka_unit_test(threads_never_go_beyond_the_limit_together),
		cmocka_unit_test(threads_lose_no_session_in_a_table_that_is_too_small),
		cmocka_unit_test(destroying_no_table_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
