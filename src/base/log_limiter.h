/* SPDX-License-Identifier: MIT */
/*
 * Holds back repeated log lines about one peer, and counts what it held back. Bounded: a peer that
 * hashes onto another's place takes it over, so the worst that a flood of peers does is to be
 * logged.
 */
#ifndef MMPROXY_BASE_LOG_LIMITER_H
#define MMPROXY_BASE_LOG_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

#define LOG_LIMITER_PLACES      256
#define LOG_LIMITER_BURST       5     /* lines about one peer and subject at once */
#define LOG_LIMITER_INTERVAL_MS 10000 /* then one line each */

struct log_limiter {
	struct log_limiter_place {
		struct address peer; /* the port is 0 */
		unsigned subject;
		unsigned lines;      /* that may still be written */
		uint64_t refilled;   /* milliseconds */
		uint64_t suppressed; /* since the last line */
	} places[LOG_LIMITER_PLACES];
};

/*
 * May a line about this peer and subject (any small number) be written now? If so, *suppressed says
 * how many were held back since the last one. `now` in milliseconds.
 */
bool log_limiter_admit(struct log_limiter *limiter, const struct address *peer, unsigned subject,
		       uint64_t now, uint64_t *suppressed);

#endif
