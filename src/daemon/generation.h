/* SPDX-License-Identifier: MIT */
/*
 * A generation: one loaded configuration with its plugins, counted and immutable once the workers
 * have it. A reload makes the next one; each session holds the one that accepted it. Whoever lets
 * go last retires it, and the main thread frees it: closing a plugin is the main thread's to do.
 */
#ifndef MMPROXY_DAEMON_GENERATION_H
#define MMPROXY_DAEMON_GENERATION_H

#include <pthread.h>
#include <stdint.h>

#include "base/list.h"
#include "base/refcount.h"
#include "config/config.h"

struct generation_listener;
struct plugin_set;
struct routing_hold;

/* Generations that nobody holds any more, on their way to the main thread. */
struct generation_retirement {
	pthread_mutex_t lock;
	struct list generations;
	int wake; /* eventfd: there is one */
};

struct generation {
	struct refcount refcount;
	uint64_t number; /* 1 for the one that the process started with */
	struct config config;
	struct plugin_set *plugins; /* NULL until they are opened */
	struct routing_hold
		*routing; /* what its sessions' answers need; NULL: not ours to manage */
	struct generation_listener
		*listeners; /* one for each of the configuration; NULL until then */
	struct list link;   /* of the retirement */
	struct generation_retirement *retirement;
};

/*
 * Takes over what `config` holds and empties it. One holder. `retirement` outlives it; NULL: it is
 * freed where it is dropped last. NULL when out of memory.
 */
struct generation *generation_create(struct config *config, uint64_t number,
				     struct generation_retirement *retirement);

static inline struct generation *generation_take(struct generation *generation)
{
	refcount_take(&generation->refcount);
	return generation;
}

static inline void generation_drop(struct generation *generation)
{
	refcount_drop(&generation->refcount);
}

void generation_retirement_init(struct generation_retirement *retirement);
void generation_retirement_finish(struct generation_retirement *retirement);

/* On the main thread: closes the plugins of those that are retired, and frees them. */
void generation_free_retired(struct generation_retirement *retirement);

#endif
