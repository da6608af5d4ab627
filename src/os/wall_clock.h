/* SPDX-License-Identifier: MIT */
#ifndef MMPROXY_OS_WALL_CLOCK_H
#define MMPROXY_OS_WALL_CLOCK_H

#include <stdint.h>
#include <time.h>

/*
 * Seconds since the epoch, by the clock that the log's lines have. Not time(NULL): that is the time
 * of the last tick, and names the second before for some milliseconds after each second has begun.
 */
static inline uint64_t wall_clock_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec;
}

#endif
