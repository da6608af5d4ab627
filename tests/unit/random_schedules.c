/* SPDX-License-Identifier: MIT */
#include "random_schedules.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define BYTES_MAX 2000

static const char *run(const struct random_schedules *schedules, uint64_t seed, FILE *trace)
{
	uint8_t bytes[BYTES_MAX];
	uint64_t random = seed;
	size_t size = schedules->bytes_max, length;

	assert(size > 0 && size <= BYTES_MAX);
	for (size_t i = 0; i < size; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		bytes[i] = (uint8_t)(random >> 56);
	}
	/* Short ones are as telling as long ones, and cheaper. */
	length = 10 + bytes[size - 1] % 64 * (seed % schedules->stretch + 1);
	return schedules->run(bytes, length < size ? length : size, trace);
}

static void holds_in_all_of_them(void **state)
{
	const struct random_schedules *schedules = *state;

	for (uint64_t seed = 1; seed <= schedules->count; seed++) {
		const char *broken = run(schedules, seed, NULL);

		if (broken != NULL)
			fail_msg("schedule %llu: %s", (unsigned long long)seed, broken);
	}
}

static int explore(const struct random_schedules *schedules, uint64_t first, uint64_t count)
{
	int failures = 0;

	for (uint64_t seed = first; seed < first + count; seed++) {
		const char *broken = run(schedules, seed, count == 1 ? stderr : NULL);

		if (broken == NULL)
			continue;
		printf("schedule %llu: %s\n", (unsigned long long)seed, broken);
		failures++;
	}
	return failures > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int random_schedules_main(const struct random_schedules *schedules, int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		{schedules->rule, holds_in_all_of_them, NULL, NULL, (void *)schedules},
	};

	if (argc > 1)
		return explore(schedules, strtoull(argv[1], NULL, 10),
			       argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
