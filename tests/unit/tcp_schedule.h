/* SPDX-License-Identifier: MIT */
/*
 * One TCP session under a schedule: a byte string decides what peers, network, kernel and clock do
 * and in which order; a model says what must come of it. For the randomized test, and for fuzz
 * targets. No test framework.
 */
#ifndef MMPROXY_TESTS_TCP_SCHEDULE_H
#define MMPROXY_TESTS_TCP_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Returns NULL where all was well, or the rule that was broken (static text). Aborts where the
 * fixture does. `trace` (may be NULL) gets a line for each step.
 */
const char *tcp_schedule_run(const uint8_t *bytes, size_t length, FILE *trace);

#endif
