/* SPDX-License-Identifier: MIT */
/* A clock that nobody sets: for how long something takes, and how long ago it was. */
#ifndef ACCESSLOG_CLOCK_H
#define ACCESSLOG_CLOCK_H

#include <stdint.h>

uint64_t milliseconds_now(void);

#endif
