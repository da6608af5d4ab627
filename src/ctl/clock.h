/* SPDX-License-Identifier: MIT */
/* The clock that patience and rates go by. */
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

#endif
