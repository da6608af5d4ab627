/* SPDX-License-Identifier: MIT */
/*
 * The table of the plugin ratelimit, too small for its clients, in random sequences against a
 * model: an array that is scanned, and a queue that is no more than a number a client.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "table.h"

/* Milliseconds. */
#define NOW 123000U

/* As the table has it: how many places it looks at for the one to reuse. */
#define CANDIDATES 8U

#define MAX_SESSIONS 3

#define MODEL_PLACES  24
#define MODEL_CLIENTS 60
#define MODEL_STEPS   40000

struct outcome {
	enum ratelimit_answer answer;
	struct ratelimit_place *place;
	bool evicted;
};

static struct outcome begin(struct ratelimit_table *table, uint32_t client, uint64_t now)
{
	uint8_t bytes[16] = {0x20, 0x01, 0x0d, 0xb8};
	struct outcome outcome;

	memcpy(bytes + 4, &client, sizeof(client));
	outcome.answer = ratelimit_table_begin(table, bytes, now, &outcome.place, &outcome.evicted);
	return outcome;
}

struct model_place {
	bool used;
	uint32_t client;
	uint64_t full_at; /* nanoseconds */
	uint32_t sessions;
	uint64_t asked; /* when it entered the queue, counted in steps */
};

struct model {
	struct ratelimit_limits limits;
	struct model_place places[MODEL_PLACES];
	uint64_t steps;
};

static struct model_place *model_find(struct model *model, uint32_t client)
{
	for (unsigned i = 0; i < MODEL_PLACES; i++)
		if (model->places[i].used && model->places[i].client == client)
			return &model->places[i];
	return NULL;
}

/* Of those without sessions, the one that has waited longest since `after`. */
static struct model_place *model_next(struct model *model, uint64_t after)
{
	struct model_place *oldest = NULL;

	for (unsigned i = 0; i < MODEL_PLACES; i++) {
		struct model_place *place = &model->places[i];

		if (place->used && place->sessions == 0 && place->asked > after &&
		    (oldest == NULL || place->asked < oldest->asked))
			oldest = place;
	}
	return oldest;
}

static struct model_place *model_leaving(struct model *model, uint64_t now)
{
	struct model_place *place = model_next(model, 0), *least = place;

	for (unsigned i = 0; i < CANDIDATES && place != NULL; i++) {
		if (place->full_at <= now)
			return place;
		if (place->full_at < least->full_at)
			least = place;
		place = model_next(model, place->asked);
	}
	return least;
}

static struct model_place *model_take(struct model *model, uint32_t client, uint64_t now,
				      bool *evicted)
{
	struct model_place *place = NULL;

	for (unsigned i = 0; i < MODEL_PLACES && place == NULL; i++)
		if (!model->places[i].used)
			place = &model->places[i];
	if (place == NULL) {
		place = model_leaving(model, now);
		if (place == NULL)
			return NULL;
		*evicted = place->full_at > now;
	}
	*place = (struct model_place){.used = true, .client = client};
	return place;
}

static struct outcome model_begin(struct model *model, uint32_t client, uint64_t now)
{
	struct model_place *place = model_find(model, client);
	struct outcome outcome = {.answer = RATELIMIT_TABLE_FULL};

	now *= 1000000;
	if (place == NULL)
		place = model_take(model, client, now, &outcome.evicted);
	if (place == NULL)
		return outcome;
	if (place->sessions == 0)
		place->asked = ++model->steps;
	if (place->sessions == model->limits.max_sessions)
		outcome.answer = RATELIMIT_TOO_MANY;
	else if (!ratelimit_bucket_take(&place->full_at, &model->limits.rate, now))
		outcome.answer = RATELIMIT_TOO_FAST;
	else
		outcome.answer = RATELIMIT_ADMITTED;
	place->sessions += outcome.answer == RATELIMIT_ADMITTED;
	return outcome;
}

static void model_end(struct model *model, uint32_t client)
{
	struct model_place *place = model_find(model, client);

	/* Whoever has a session is never forgotten. */
	if (place == NULL || place->sessions == 0)
		fail();
	else if (--place->sessions == 0)
		place->asked = ++model->steps;
}

static uint32_t next_random(void)
{
	static uint64_t random = 77;

	random = random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random >> 32);
}

struct live {
	struct ratelimit_place *place;
	uint32_t client;
};

/* `seen` counts the answers, and behind them the evictions. */
static void compare_with_model(double rate, uint32_t burst, unsigned endings, unsigned seen[5])
{
	static struct live live[MODEL_PLACES * MAX_SESSIONS];
	static struct model model;
	const struct ratelimit_limits limits = {.rate = ratelimit_rate_of(rate, burst),
						.max_sessions = MAX_SESSIONS,
						.max_clients = MODEL_PLACES};
	struct ratelimit_table *table = ratelimit_table_create(&limits);
	uint64_t now = NOW;
	unsigned count = 0;

	assert_non_null(table);
	memset(&model, 0, sizeof(model));
	model.limits = limits;
	for (unsigned step = 0; step < MODEL_STEPS; step++) {
		uint32_t client = next_random() % MODEL_CLIENTS;
		struct outcome expected, outcome;

		/* Mostly onward, now and then a little back. */
		now += next_random() % 5 == 0 ? next_random() % 40 : 0;
		now -= next_random() % 20 == 0 ? 3 : 0;
		if (count > 0 && next_random() % 100 < endings) {
			unsigned which = next_random() % count;

			ratelimit_table_end(table, live[which].place);
			model_end(&model, live[which].client);
			live[which] = live[--count];
			continue;
		}
		expected = model_begin(&model, client, now);
		outcome = begin(table, client, now);
		assert_int_equal(outcome.answer, expected.answer);
		assert_int_equal(outcome.evicted, expected.evicted);
		assert_int_equal(outcome.place != NULL, expected.answer == RATELIMIT_ADMITTED);
		if (outcome.place != NULL)
			live[count++] = (struct live){outcome.place, client};
		seen[outcome.answer]++;
		seen[4] += outcome.evicted;
	}
	while (count > 0)
		ratelimit_table_end(table, live[--count].place);
	ratelimit_table_destroy(table);
}

static void random_sequences_do_what_a_scan_would(void **state)
{
	unsigned seen[5] = {0};

	(void)state;
	compare_with_model(0, 1, 45, seen);
	compare_with_model(0, 1, 55, seen);
	compare_with_model(5, 1, 50, seen);
	compare_with_model(2, 4, 50, seen);
	compare_with_model(0.1, 6, 60, seen);
	compare_with_model(1, 20, 40, seen);
	/* All of it must have come about, or nothing has been shown. */
	for (unsigned i = 0; i < 5; i++)
		assert_true(seen[i] > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_sequences_do_what_a_scan_would),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
