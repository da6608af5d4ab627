/* SPDX-License-Identifier: MIT */
/*
 * A generation: one loaded configuration, counted and immutable. A reload makes the next one; each
 * session holds the one that accepted it, and the last holder frees it.
 */
#ifndef MMPROXY_DAEMON_GENERATION_H
#define MMPROXY_DAEMON_GENERATION_H

#include <stdint.h>

#include "base/refcount.h"
#include "daemon/config.h"

struct generation {
	struct refcount refcount;
	uint64_t number; /* 1 for the one that the process started with */
	struct config config;
};

/* Takes over what `config` holds and empties it. One holder. NULL when out of memory. */
struct generation *generation_create(struct config *config, uint64_t number);

static inline struct generation *generation_take(struct generation *generation)
{
	refcount_take(&generation->refcount);
	return generation;
}

static inline void generation_drop(struct generation *generation)
{
	refcount_drop(&generation->refcount);
}

#endif
