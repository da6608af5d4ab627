/* SPDX-License-Identifier: MIT */
/* What Prometheus' own libraries tell of any process, under the same names. */
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/metrics/exposition.h"
#include "daemon/metrics/metrics.h"
#include "os/descriptors.h"

static uint64_t microseconds_of(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

static void put_processor(struct exposition *exposition)
{
	static const char name[] = "process_cpu_seconds_total";
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) < 0)
		return;
	exposition_family(exposition, name, EXPOSITION_COUNTER,
			  "Time that the processors have spent on this process.");
	exposition_seconds(exposition, name, NULL,
			   microseconds_of(&usage.ru_utime) + microseconds_of(&usage.ru_stime));
}

static void put_memory(struct exposition *exposition)
{
	static const char name[] = "process_resident_memory_bytes";
	long page = sysconf(_SC_PAGESIZE);
	unsigned long pages, resident;
	FILE *file = fopen("/proc/self/statm", "re");
	int fields;

	if (file == NULL)
		return;
	fields = fscanf(file, "%lu %lu", &pages, &resident);
	fclose(file);
	if (fields != 2 || page <= 0)
		return;
	exposition_family(exposition, name, EXPOSITION_GAUGE,
			  "Memory of this process that is not swapped out.");
	exposition_number(exposition, name, NULL, (uint64_t)resident * (uint64_t)page);
}

void metrics_put_process(struct exposition *exposition, uint64_t started, unsigned descriptor_limit)
{
	exposition_family(exposition, "process_start_time_seconds", EXPOSITION_GAUGE,
			  "When this process began, in seconds since 1970.");
	exposition_number(exposition, "process_start_time_seconds", NULL, started);
	put_processor(exposition);
	put_memory(exposition);
	exposition_family(exposition, "process_open_fds", EXPOSITION_GAUGE, "Open descriptors.");
	exposition_number(exposition, "process_open_fds", NULL, descriptors_open());
	exposition_family(exposition, "process_max_fds", EXPOSITION_GAUGE,
			  "How many descriptors this process may have open: RLIMIT_NOFILE.");
	exposition_number(exposition, "process_max_fds", NULL, descriptor_limit);
}
