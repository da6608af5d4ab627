/* SPDX-License-Identifier: MIT */
/*
 * The main program of a test that runs schedules by number: the number makes the byte string. With
 * a number as its argument the program runs that one schedule and traces it; with two, that many
 * schedules from that number on.
 */
#ifndef MMPROXY_TESTS_RANDOM_SCHEDULES_H
#define MMPROXY_TESTS_RANDOM_SCHEDULES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct random_schedules {
	const char *rule;         /* the test's name */
	unsigned long long count; /* in the test, from number 1 on */
	size_t bytes_max;         /* of a schedule */
	unsigned stretch;         /* the longest are this many times as long as the shortest */
	const char *(*run)(const uint8_t *bytes, size_t length, FILE *trace);
};

/* Takes main()'s arguments, and returns what main() does. */
int random_schedules_main(const struct random_schedules *schedules, int argc, char **argv);

#endif
