/* SPDX-License-Identifier: MIT */
/*
 * relay_steps: repeats one step of the relay's work, so that its instructions can be counted
 * (tests/bench/instructions). Without sockets: the operating system is one that does nothing.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "null_sys.h"
#include "os/log.h"
#include "relay_steps.h"
#include "step_relay.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static const struct step *const step_tables[] = {tcp_steps, udp_steps};

#define TABLE_COUNT (sizeof(step_tables) / sizeof(step_tables[0]))

static void usage(FILE *to)
{
	fputs("Usage: relay_steps STEP COUNT   repeats the step\n"
	      "       relay_steps --list       names the steps\n"
	      "       relay_steps --compiler   tells what built it, and with which flags\n",
	      to);
}

static void list_steps(void)
{
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		for (const struct step *step = step_tables[i]; step->name != NULL; step++)
			puts(step->name);
	}
}

static const struct step *find_step(const char *name)
{
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		for (const struct step *step = step_tables[i]; step->name != NULL; step++) {
			if (strcmp(step->name, name) == 0)
				return step;
		}
	}
	errx(EXIT_FAILURE, "no such step: %s", name);
}

static uint64_t count_of(const char *text)
{
	char *end;
	unsigned long count = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end != '\0')
		errx(EXIT_FAILURE, "not a number: %s", text);
	return count;
}

/* The profile is of this function and what it calls. */
__attribute__((noinline)) static void repeat_step(const struct step *step, struct step_relay *on,
						  uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		step->run(on);
}

static void check_effects(const struct step *step, const struct step_relay *on, uint64_t count)
{
	for (const struct step_effect *effect = step->effects; effect->amount > 0; effect++) {
		uint64_t value = counter_read(&on->relay.counters, effect->counter);
		char name[COUNTER_NAME_SIZE];

		if (value == count * effect->amount)
			continue;
		counter_name(effect->counter, name);
		errx(EXIT_FAILURE, "%s: %" PRIu64 " repetitions have made %s %" PRIu64, step->name,
		     count, name, value);
	}
}

static void run(const struct step *step, uint64_t count)
{
	static struct step_relay on;
	uint64_t calls;

	log_set_level(LOG_LEVEL_WARNING);
	step_relay_start(&on);
	step->prepare(&on);
	on.relay.counters = (struct counter_set){0};
	calls = null_calls();
	repeat_step(step, &on, count);
	printf("system calls: %" PRIu64 "\n", null_calls() - calls);
	check_effects(step, &on, count);
	step_relay_stop(&on);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		usage(stdout);
	} else if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		list_steps();
	} else if (argc == 2 && strcmp(argv[1], "--compiler") == 0) {
		printf("%s\n%s\n", COMPILER, COMPILER_FLAGS);
	} else if (argc == 3) {
		run(find_step(argv[1]), count_of(argv[2]));
	} else {
		usage(stderr);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
