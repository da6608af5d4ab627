/* SPDX-License-Identifier: MIT */
/* What relay_steps repeats. */
#ifndef MMPROXY_BENCH_RELAY_STEPS_H
#define MMPROXY_BENCH_RELAY_STEPS_H

#include <stdint.h>

#include "base/counter.h"

struct step_relay;

/* What a step adds to one of the relay's counters. */
struct step_effect {
	enum counter counter;
	uint64_t amount; /* 0 ends a list of them */
};

struct step {
	const char *name;
	void (*prepare)(struct step_relay *on); /* once */
	void (*run)(struct step_relay *on);
	const struct step_effect *effects; /* of each run: one that does less would look faster */
};

/* Ends with one without a name. */
extern const struct step tcp_steps[];
extern const struct step udp_steps[];

#endif
