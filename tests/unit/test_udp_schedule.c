/* SPDX-License-Identifier: MIT */
/*
 * Random schedules of a UDP listener: balancers, clients, upstreams, faults, reloads and time in
 * any order. With a number as its argument the program runs that one schedule and traces it; with
 * two, that many schedules from that number on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "udp_schedule.h"

#define SCHEDULES 2000
#define BYTES_MAX 2000

static const char *run(uint64_t seed, FILE *trace)
{
	uint8_t bytes[BYTES_MAX];
	uint64_t random = seed;
	size_t length;

	for (size_t i = 0; i < BYTES_MAX; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		bytes[i] = (uint8_t)(random >> 56);
	}
	/* Short ones are as telling as long ones, and cheaper. */
	length = 10 + bytes[BYTES_MAX - 1] % 64 * (seed % 31 + 1);
	return udp_schedule_run(bytes, length < BYTES_MAX ? length : BYTES_MAX, trace);
}

static void in_any_schedule_datagrams_arrive_once_in_order_or_are_counted(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SCHEDULES; seed++) {
		const char *broken = run(seed, NULL);

		if (broken != NULL)
			fail_msg("schedule %llu: %s", (unsigned long long)seed, broken);
	}
}

static int explore(uint64_t first, uint64_t count)
{
	int failures = 0;

	for (uint64_t seed = first; seed < first + count; seed++) {
		const char *broken = run(seed, count == 1 ? stderr : NULL);

		if (broken == NULL)
			continue;
		printf("schedule %llu: %s\n", (unsigned long long)seed, broken);
		failures++;
	}
	return failures > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_any_schedule_datagrams_arrive_once_in_order_or_are_counted),
	};

	if (argc > 1)
		return explore(strtoull(argv[1], NULL, 10),
			       argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
