/* SPDX-License-Identifier: MIT */
/*
 * The timer wheel against a list of deadlines that is too simple to be wrong: random timers, set,
 * moved, dropped and freed by the caller and by each other's callbacks, while the clock goes on in
 * small steps and in leaps, across the carries of the wheel's digits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/timer_wheel.h"

#define TIMERS      48
#define ROUNDS      4000
#define DIGIT(n)    (UINT64_C(1) << (6 * (n)))
#define NEVER       UINT64_MAX
#define NEW_ACTIONS 3 /* at most, from one callback */

struct model;

/* A timer on the heap, so that AddressSanitizer sees who touches one that was freed. */
struct entry {
	struct timer timer;
	struct model *model;
	unsigned number;
};

struct model {
	struct timer_wheel wheel;
	struct entry *entries[TIMERS];
	uint64_t due[TIMERS];    /* NEVER: not set */
	uint64_t target;         /* of the advance that is under way */
	unsigned restless;       /* actions that callbacks may still take in this advance */
	unsigned fired, actions; /* in all */
	uint64_t random;
};

static uint32_t next_random(struct model *model)
{
	model->random = model->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(model->random >> 32);
}

static void act(struct model *model);

static void expired(struct timer *timer)
{
	struct entry *entry = container_of(timer, struct entry, timer);
	struct model *model = entry->model;
	uint64_t due = model->due[entry->number];

	assert_ptr_equal(model->entries[entry->number], entry);
	if (due == NEVER)
		fail_msg("timer %u fires twice, or after it was dropped", entry->number);
	if (model->wheel.now < due || model->target < due)
		fail_msg("timer %u fires %llu ms early", entry->number,
			 (unsigned long long)(due - model->wheel.now));
	assert_false(timer_is_set(timer));
	model->due[entry->number] = NEVER;
	model->fired++;
	for (unsigned i = next_random(model) % (NEW_ACTIONS + 1); i > 0 && model->restless > 0; i--)
		act(model);
}

static struct entry *entry_at(struct model *model, unsigned number)
{
	struct entry *entry = model->entries[number];

	if (entry != NULL)
		return entry;
	entry = model->entries[number] = malloc(sizeof(*entry));
	assert_non_null(entry);
	*entry = (struct entry){.model = model, .number = number};
	timer_init(&entry->timer, expired);
	assert_false(timer_is_set(&entry->timer));
	return entry;
}

/* What the header promises for a deadline that is asked for now. */
static uint64_t promised(const struct model *model, uint64_t deadline)
{
	uint64_t now = model->wheel.now;

	if (deadline <= now)
		return now + 1;
	return deadline - now > TIMER_WHEEL_REACH ? now + TIMER_WHEEL_REACH : deadline;
}

static void set(struct model *model, unsigned number, uint64_t deadline)
{
	model->due[number] = promised(model, deadline);
	timer_set(&model->wheel, &entry_at(model, number)->timer, deadline);
}

static void drop(struct model *model, unsigned number)
{
	timer_drop(&entry_at(model, number)->timer);
	model->due[number] = NEVER;
}

static void discard(struct model *model, unsigned number)
{
	drop(model, number);
	free(model->entries[number]);
	model->entries[number] = NULL;
}

/* Near, far, past, on a digit's carry, at the edge of the reach and beyond it. */
static uint64_t random_deadline(struct model *model)
{
	uint64_t now = model->wheel.now, digit = DIGIT(next_random(model) % 6);
	unsigned nearby = next_random(model) % 5;

	switch (next_random(model) % 8) {
	case 0:
		return now + nearby;
	case 1:
		return now < 1000 ? 0 : now - next_random(model) % 1000;
	case 2:
		return now + TIMER_WHEEL_REACH + nearby - 2;
	case 3:
		return now + TIMER_WHEEL_REACH + next_random(model);
	case 4:
	case 5:
		/* The next carry into this digit, a little before or after it. */
		return (now / digit + 1) * digit + nearby - 2;
	default:
		return now + next_random(model) % digit;
	}
}

static void act(struct model *model)
{
	unsigned number = next_random(model) % TIMERS;

	if (model->restless > 0)
		model->restless--;
	model->actions++;
	switch (next_random(model) % 6) {
	case 0:
		drop(model, number);
		break;
	case 1:
		discard(model, number);
		break;
	default:
		set(model, number, random_deadline(model));
		break;
	}
}

static uint64_t nearest(const struct model *model)
{
	uint64_t due = NEVER;

	for (unsigned i = 0; i < TIMERS; i++) {
		if (model->due[i] < due)
			due = model->due[i];
	}
	return due;
}

static void check_wait(const struct model *model)
{
	int64_t wait = timer_wheel_wait(&model->wheel, model->wheel.now);
	uint64_t due = nearest(model);

	if (due == NEVER) {
		assert_true(wait == -1 || wait > 0);
		return;
	}
	assert_true(due > model->wheel.now);
	if (wait <= 0 || (uint64_t)wait > due - model->wheel.now)
		fail_msg("told to wait %lld ms, the nearest deadline is %llu ms away",
			 (long long)wait, (unsigned long long)(due - model->wheel.now));
}

static void advance(struct model *model, uint64_t target)
{
	model->target = target;
	model->restless = 2 * TIMERS;
	timer_wheel_advance(&model->wheel, target);
	assert_int_equal(model->wheel.now, target);
	for (unsigned i = 0; i < TIMERS; i++) {
		if (model->due[i] <= target)
			fail_msg("timer %u was due at %llu and has not fired at %llu", i,
				 (unsigned long long)model->due[i], (unsigned long long)target);
		if (model->entries[i] != NULL)
			assert_int_equal(timer_is_set(&model->entries[i]->timer),
					 model->due[i] != NEVER);
	}
}

static uint64_t random_target(struct model *model)
{
	uint64_t now = model->wheel.now, due = nearest(model);

	switch (next_random(model) % 8) {
	case 0:
		return now + next_random(model) % DIGIT(next_random(model) % 6);
	case 1:
		return now + TIMER_WHEEL_REACH + next_random(model) % 3 - 1;
	case 2:
		return now + 3 * TIMER_WHEEL_REACH + next_random(model);
	case 3:
		return due == NEVER ? now : due - 1;
	case 4:
	case 5:
		return due == NEVER ? now + 1 : due;
	case 6:
		return now + (uint64_t)(timer_wheel_wait(&model->wheel, model->wheel.now) + 1);
	default:
		return now + next_random(model) % 100;
	}
}

static void model_init(struct model *model, uint64_t now, uint64_t seed)
{
	*model = (struct model){.random = seed};
	timer_wheel_init(&model->wheel, now);
	for (unsigned i = 0; i < TIMERS; i++)
		model->due[i] = NEVER;
}

static void model_finish(struct model *model)
{
	for (unsigned i = 0; i < TIMERS; i++)
		discard(model, i);
}

static void every_timer_fires_once_not_early_and_not_late(void **state)
{
	static const uint64_t starts[] = {
		0,
		1,
		63,
		DIGIT(4) - 1,
		DIGIT(5) - 1,
		DIGIT(5),
		DIGIT(5) * 7 - 3,
		DIGIT(6) - 2,
		UINT64_C(0x123456789abc),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		struct model model;

		model_init(&model, starts[i], i);
		assert_int_equal(timer_wheel_wait(&model.wheel, model.wheel.now), -1);
		for (unsigned round = 0; round < ROUNDS; round++) {
			for (unsigned j = next_random(&model) % 4; j > 0; j--)
				act(&model);
			check_wait(&model);
			advance(&model, random_target(&model));
			check_wait(&model);
		}
		assert_true(model.fired > ROUNDS / 2);
		model_finish(&model);
	}
}

/* A loop that sleeps for as long as it is told, with one timer. */
static void expect_sleep(uint64_t now, uint64_t distance)
{
	struct model model;
	unsigned naps = 0;

	model_init(&model, now, 1);
	set(&model, 0, now + distance);
	while (model.due[0] != NEVER) {
		uint64_t before = model.wheel.now;

		check_wait(&model);
		model.target = before + (uint64_t)timer_wheel_wait(&model.wheel, model.wheel.now);
		/* Callbacks stay quiet: restless is 0. */
		timer_wheel_advance(&model.wheel, model.target);
		naps++;
	}
	assert_int_equal(model.wheel.now, now + distance);
	if (naps > TIMER_WHEEL_LEVELS)
		fail_msg("%u naps for one timer %llu ms away", naps, (unsigned long long)distance);
	model_finish(&model);
}

static void a_loop_that_waits_as_told_wakes_at_the_deadline_after_few_naps(void **state)
{
	(void)state;
	for (unsigned a = 0; a < 6; a++) {
		for (unsigned b = 0; b < 5; b++) {
			for (uint64_t near = 0; near < 3; near++) {
				expect_sleep(DIGIT(a) + near - 1, DIGIT(b) + 1 - near % 2);
				expect_sleep(DIGIT(a) * 65 - near, DIGIT(b) * 63 - near);
				expect_sleep(DIGIT(a) - 1 + near, TIMER_WHEEL_REACH - near);
			}
		}
	}
}

static void a_deadline_that_has_passed_fires_at_the_next_advance(void **state)
{
	struct model model;

	(void)state;
	model_init(&model, 5000, 2);
	set(&model, 0, 0);
	set(&model, 1, 4999);
	set(&model, 2, 5000);
	advance(&model, 5000);
	assert_int_equal(model.fired, 0);
	advance(&model, 5001);
	assert_true(model.fired >= 3);
	model_finish(&model);
}

static void a_timer_past_the_reach_fires_at_the_reach(void **state)
{
	struct model model;

	(void)state;
	model_init(&model, 12345, 3);
	timer_set(&model.wheel, &entry_at(&model, 0)->timer, UINT64_MAX);
	model.due[0] = 12345 + TIMER_WHEEL_REACH;
	advance(&model, 12345 + TIMER_WHEEL_REACH - 1);
	assert_int_equal(model.fired, 0);
	advance(&model, 12345 + TIMER_WHEEL_REACH);
	assert_true(model.fired > 0);
	model_finish(&model);
}

static void a_moved_timer_fires_at_its_new_deadline_alone(void **state)
{
	static const uint64_t distances[] = {1, 63, 64, 65, 4096, 300000, 20000000};

	(void)state;
	for (size_t from = 0; from < 7; from++) {
		for (size_t to = 0; to < 7; to++) {
			struct model model;

			model_init(&model, 77, 4);
			set(&model, 0, 77 + distances[from]);
			set(&model, 0, 77 + distances[to]);
			model.target = 77 + distances[to] - 1;
			timer_wheel_advance(&model.wheel, model.target);
			assert_int_equal(model.fired, 0);
			model.target++;
			timer_wheel_advance(&model.wheel, model.target);
			assert_int_equal(model.fired, 1);
			model.target += DIGIT(5);
			timer_wheel_advance(&model.wheel, model.target);
			assert_int_equal(model.fired, 1);
			model_finish(&model);
		}
	}
}

static void dropping_a_timer_that_is_not_set_is_harmless(void **state)
{
	struct timer timer;

	(void)state;
	timer_init(&timer, expired);
	timer_drop(&timer);
	timer_drop(&timer);
	assert_false(timer_is_set(&timer));
}

static void the_clock_does_not_go_back(void **state)
{
	struct model model;

	(void)state;
	model_init(&model, 1000, 5);
	set(&model, 0, 1500);
	timer_wheel_advance(&model.wheel, 900);
	assert_int_equal(model.wheel.now, 1000);
	assert_int_equal(model.fired, 0);
	assert_true(timer_is_set(&model.entries[0]->timer));
	model_finish(&model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_timer_fires_once_not_early_and_not_late),
		cmocka_unit_test(a_loop_that_waits_as_told_wakes_at_the_deadline_after_few_naps),
		cmocka_unit_test(a_deadline_that_has_passed_fires_at_the_next_advance),
		cmocka_unit_test(a_timer_past_the_reach_fires_at_the_reach),
		cmocka_unit_test(a_moved_timer_fires_at_its_new_deadline_alone),
		cmocka_unit_test(dropping_a_timer_that_is_not_set_is_harmless),
		cmocka_unit_test(the_clock_does_not_go_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
