/* SPDX-License-Identifier: MIT */
/*
 * A UDP listener, or two with one quota, under a schedule: a byte string decides what balancers,
 * clients, upstreams, the kernel, reloads and the clock do and in which order, in one of the
 * framings; a model says what must come of it. A datagram arrives at most once, as it was sent,
 * behind those before it, at the upstream from its own client's address or at a balancer of that
 * client; and whichever does not arrive has been counted. For the randomized test, and for fuzz
 * targets. No test framework.
 */
#ifndef MMPROXY_TESTS_UDP_SCHEDULE_H
#define MMPROXY_TESTS_UDP_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Returns NULL where all was well, or the rule that was broken (static text). Aborts where the
 * fixture does. `trace` (may be NULL) gets a line for each step.
 */
const char *udp_schedule_run(const uint8_t *bytes, size_t length, FILE *trace);

#endif
