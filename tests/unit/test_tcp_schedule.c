/* SPDX-License-Identifier: MIT */
/*
 * Random schedules of one session: readiness, short reads and writes, faults, ends and resets in
 * any order. Its arguments are those of random_schedules.h.
 */
#include "random_schedules.h"
#include "tcp_schedule.h"

int main(int argc, char **argv)
{
	static const struct random_schedules schedules = {
		.rule = "no_schedule_loses_doubles_or_reorders_a_byte_or_misstates_the_end",
		.count = 20000,
		.bytes_max = 400,
		.stretch = 6,
		.run = tcp_schedule_run,
	};

	return random_schedules_main(&schedules, argc, argv);
}
