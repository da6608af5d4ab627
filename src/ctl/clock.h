/* SPDX-License-Identifier: MIT */
/* The clocks: one that patience and rates go by, and that of the wall. */
#ifndef MMPROXY_CTL_CLOCK_H
#define MMPROXY_CTL_CLOCK_H

#include <time.h>

/* Seconds, with their fraction; it does not jump. */
static inline double clock_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Seconds since the epoch. Not time(), which lags by a tick: an age could be less than 0. */
static inline double clock_wall(void)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

#endif
