/* SPDX-License-Identifier: MIT */
/*
 * Random schedules of a UDP listener: balancers, clients, upstreams, faults, reloads and time in
 * any order. Its arguments are those of random_schedules.h.
 */
#include "random_schedules.h"
#include "udp_schedule.h"

int main(int argc, char **argv)
{
	static const struct random_schedules schedules = {
		.rule = "in_any_schedule_datagrams_arrive_once_in_order_or_are_counted",
		.count = 2000,
		.bytes_max = 2000,
		.stretch = 31,
		.run = udp_schedule_run,
	};

	return random_schedules_main(&schedules, argc, argv);
}
