/* SPDX-License-Identifier: MIT */
/*
 * The bucket of the plugin ratelimit against one that counts its tokens, with clocks that agree and
 * with clocks that do not; and its hash against the daemon's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/siphash.h"
#include "bucket.h"
#include "hash.h"

#define SECOND 1000000000U
#define NOW    (123 * (uint64_t)SECOND)

static uint32_t next_random(void)
{
	static uint64_t random = 5;

	random = random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random >> 32);
}

/* How many tokens can be taken at once. */
static unsigned drain(uint64_t *full_at, const struct ratelimit_rate *rate, uint64_t now)
{
	unsigned taken = 0;

	while (ratelimit_bucket_take(full_at, rate, now))
		taken++;
	return taken;
}

static void a_rate_becomes_what_a_token_takes(void **state)
{
	(void)state;
	assert_int_equal(ratelimit_rate_of(1, 5).token, SECOND);
	assert_int_equal(ratelimit_rate_of(1, 5).whole, 5 * (uint64_t)SECOND);
	assert_int_equal(ratelimit_rate_of(0.001, 1).token, 1000 * (uint64_t)SECOND);
	assert_int_equal(ratelimit_rate_of(1e6, 1).token, 1000);
	assert_int_equal(ratelimit_rate_of(3, 1).token, 333333333);
	assert_int_equal(ratelimit_rate_of(0, 7).token, 0);
}

static void a_new_bucket_is_full(void **state)
{
	const struct ratelimit_rate rate = ratelimit_rate_of(2, 5);
	uint64_t full_at = 0;

	(void)state;
	assert_int_equal(drain(&full_at, &rate, NOW), 5);
}

static void tokens_grow_one_by_one_and_no_more_than_the_bucket_holds(void **state)
{
	const struct ratelimit_rate rate = ratelimit_rate_of(2, 5);
	uint64_t full_at = 0;

	(void)state;
	drain(&full_at, &rate, NOW);
	assert_int_equal(drain(&full_at, &rate, NOW + SECOND / 2 - 1), 0);
	assert_int_equal(drain(&full_at, &rate, NOW + SECOND / 2), 1);
	assert_int_equal(drain(&full_at, &rate, NOW + 2 * (uint64_t)SECOND), 3);
	assert_int_equal(drain(&full_at, &rate, NOW + 1000 * (uint64_t)SECOND), 5);
}

static void a_refusal_costs_nothing(void **state)
{
	const struct ratelimit_rate rate = ratelimit_rate_of(1, 1);
	uint64_t full_at = 0;

	(void)state;
	drain(&full_at, &rate, NOW);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(drain(&full_at, &rate, NOW + i), 0);
	assert_int_equal(drain(&full_at, &rate, NOW + SECOND), 1);
}

static void a_bucket_without_a_rate_never_runs_dry(void **state)
{
	const struct ratelimit_rate rate = ratelimit_rate_of(0, 1);
	uint64_t full_at = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		assert_true(ratelimit_bucket_take(&full_at, &rate, NOW - i));
}

static void the_largest_bucket_of_the_least_rate_can_be_emptied(void **state)
{
	const struct ratelimit_rate rate = ratelimit_rate_of(0.001, 1000000);
	uint64_t full_at = 0;

	(void)state;
	assert_int_equal(drain(&full_at, &rate, NOW), 1000000);
	assert_int_equal(drain(&full_at, &rate, NOW + 2000 * (uint64_t)SECOND), 2);
}

static struct ratelimit_rate random_rate(void)
{
	return ratelimit_rate_of(0.1 + next_random() % 10000 / 100.0, 1 + next_random() % 20);
}

static void a_bucket_does_what_counting_tokens_would(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 500; round++) {
		const struct ratelimit_rate rate = random_rate();
		uint64_t now = NOW, full_at = 0, tokens = rate.whole;

		for (unsigned step = 0; step < 500; step++) {
			/* A token is as many units as it takes nanoseconds to grow. */
			uint64_t passed = next_random() % (rate.token * 2);
			bool expected;

			if (next_random() % 50 == 0)
				passed += rate.whole;
			now += passed;
			tokens = tokens + passed < rate.whole ? tokens + passed : rate.whole;
			expected = tokens >= rate.token;
			tokens -= expected ? rate.token : 0;
			assert_int_equal(ratelimit_bucket_take(&full_at, &rate, now), expected);
		}
	}
}

/*
 * Between any two sessions that were let in there are no more than the bucket holds, and what grows
 * from the earlier one's time to the latest time that any clock has shown.
 */
static void clocks_that_differ_give_no_token_away(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		const struct ratelimit_rate rate = random_rate();
		uint64_t clock = NOW, latest = 0, full_at = 0;
		uint64_t taken_at[300];
		unsigned taken = 0;

		for (unsigned step = 0; step < 300; step++) {
			uint64_t now;

			clock += next_random() % rate.token;
			now = clock - next_random() % (rate.token * 3);
			latest = now > latest ? now : latest;
			if (!ratelimit_bucket_take(&full_at, &rate, now))
				continue;
			taken_at[taken++] = now;
			for (unsigned i = 0; i < taken; i++) {
				uint64_t most = (rate.whole + latest - taken_at[i]) / rate.token;

				assert_true(taken - i <= most);
			}
		}
		assert_true(taken > 0);
	}
}

static void a_clock_that_is_behind_takes_no_time_away(void **state)
{
	const struct ratelimit_rate rate = ratelimit_rate_of(1, 2);
	uint64_t full_at = 0;

	(void)state;
	assert_true(ratelimit_bucket_take(&full_at, &rate, NOW));
	assert_false(ratelimit_bucket_take(&full_at, &rate, NOW - 1));
	assert_true(ratelimit_bucket_take(&full_at, &rate, NOW));
	assert_int_equal(full_at, NOW + 2 * (uint64_t)SECOND);
}

static void the_hash_is_siphash_1_3(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 1000; round++) {
		struct siphash_key theirs;
		struct ratelimit_key ours;
		uint8_t client[16];

		for (unsigned i = 0; i < 2; i++)
			ours.halves[i] = (uint64_t)next_random() << 32 | next_random();
		theirs.k0 = ours.halves[0];
		theirs.k1 = ours.halves[1];
		for (unsigned i = 0; i < sizeof(client); i++)
			client[i] = (uint8_t)next_random();
		assert_true(ratelimit_hash(&ours, client) ==
			    siphash_1_3(&theirs, client, sizeof(client)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rate_becomes_what_a_token_takes),
		cmocka_unit_test(a_new_bucket_is_full),
		cmocka_unit_test(tokens_grow_one_by_one_and_no_more_than_the_bucket_holds),
		cmocka_unit_test(a_refusal_costs_nothing),
		cmocka_unit_test(a_bucket_without_a_rate_never_runs_dry),
		cmocka_unit_test(the_largest_bucket_of_the_least_rate_can_be_emptied),
		cmocka_unit_test(a_bucket_does_what_counting_tokens_would),
		cmocka_unit_test(clocks_that_differ_give_no_token_away),
		cmocka_unit_test(a_clock_that_is_behind_takes_no_time_away),
		cmocka_unit_test(the_hash_is_siphash_1_3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
