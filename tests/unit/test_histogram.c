/* SPDX-License-Identifier: MIT */
/* Durations, counted. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/histogram.h"

#define OBSERVATIONS 200000

static struct histogram_sum read_one(const struct histogram *histogram)
{
	struct histogram_sum sum = {0};

	histogram_add_to(histogram, &sum);
	return sum;
}

static void the_bounds_go_from_100_us_to_10_s_and_rise(void **state)
{
	(void)state;
	assert_int_equal(histogram_bounds[0], 100);
	assert_int_equal(histogram_bounds[HISTOGRAM_BOUNDS - 1], 10000000);
	for (size_t i = 1; i < HISTOGRAM_BOUNDS; i++)
		assert_true(histogram_bounds[i] > histogram_bounds[i - 1]);
}

static void a_bound_belongs_to_its_own_bucket_and_one_more_to_the_next(void **state)
{
	(void)state;
	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		struct histogram histogram = {0};
		struct histogram_sum seen;

		histogram_observe(&histogram, histogram_bounds[i]);
		histogram_observe(&histogram, histogram_bounds[i] + 1);
		seen = read_one(&histogram);
		assert_int_equal(seen.count, 2);
		assert_int_equal(seen.sum, 2 * histogram_bounds[i] + 1);
		assert_int_equal(seen.buckets[i], 1);
		assert_int_equal(seen.buckets[i + 1], 1);
	}
}

static void what_takes_no_time_is_in_the_first_and_what_takes_for_ever_in_the_last(void **state)
{
	struct histogram histogram = {0};
	struct histogram_sum seen;

	(void)state;
	histogram_observe(&histogram, 0);
	histogram_observe(&histogram, UINT32_MAX);
	seen = read_one(&histogram);
	assert_int_equal(seen.buckets[0], 1);
	assert_int_equal(seen.buckets[HISTOGRAM_BUCKETS - 1], 1);
	assert_int_equal(seen.sum, UINT32_MAX);
}

static void several_histograms_add_up(void **state)
{
	struct histogram histograms[3] = {0};
	struct histogram_sum sum = {0};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned n = 0; n <= i; n++)
			histogram_observe(&histograms[i], 300);
		histogram_add_to(&histograms[i], &sum);
	}
	assert_int_equal(sum.count, 6);
	assert_int_equal(sum.buckets[2], 6);
	assert_int_equal(sum.sum, 1800);
}

static void *keep_observing(void *histogram)
{
	for (unsigned i = 0; i < OBSERVATIONS; i++)
		histogram_observe(histogram, i % 2 == 0 ? 50 : 20000000);
	return NULL;
}

static void a_reader_in_another_thread_sees_a_count_that_agrees_and_never_goes_back(void **state)
{
	static struct histogram histogram;
	uint64_t count = 0;
	pthread_t writer;

	(void)state;
	assert_int_equal(pthread_create(&writer, NULL, keep_observing, &histogram), 0);
	while (count < OBSERVATIONS) {
		struct histogram_sum seen = read_one(&histogram);

		assert_true(seen.count >= count);
		assert_int_equal(seen.count, seen.buckets[0] + seen.buckets[HISTOGRAM_BUCKETS - 1]);
		count = seen.count;
	}
	assert_int_equal(pthread_join(writer, NULL), 0);
	assert_int_equal(read_one(&histogram).sum, OBSERVATIONS / 2 * (uint64_t)20000050);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bounds_go_from_100_us_to_10_s_and_rise),
		cmocka_unit_test(a_bound_belongs_to_its_own_bucket_and_one_more_to_the_next),
		cmocka_unit_test(
			what_takes_no_time_is_in_the_first_and_what_takes_for_ever_in_the_last),
		cmocka_unit_test(several_histograms_add_up),
		cmocka_unit_test(
			a_reader_in_another_thread_sees_a_count_that_agrees_and_never_goes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
