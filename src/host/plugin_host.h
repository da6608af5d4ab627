/* SPDX-License-Identifier: MIT */
/*
 * What all plugins of the process share, whatever generation they are of: a pool of tickets for
 * each worker, and counters, which go on through reloads. Made before the first plugin is loaded,
 * gone after the last.
 */
#ifndef MMPROXY_HOST_PLUGIN_HOST_H
#define MMPROXY_HOST_PLUGIN_HOST_H

#include <mmproxy/plugin.h>
#include <stdatomic.h>
#include <stdint.h>

#include "host/ticket_pool.h"

struct plugin_entry;
struct report;

/* "plugin_", an entry's name, "_", a counter's name, NUL. */
#define PLUGIN_COUNTER_PART_SIZE (32 + 1)
#define PLUGIN_COUNTER_NAME_SIZE (7 + 32 + 1 + 32 + 1)

struct plugin_counter {
	struct plugin_counter *next;
	_Atomic uint64_t value;
	char name[PLUGIN_COUNTER_NAME_SIZE];
	char entry[PLUGIN_COUNTER_PART_SIZE]; /* what the name is made of, as it was given */
	char counter[PLUGIN_COUNTER_PART_SIZE];
};

struct plugin_host {
	struct mmproxy_host functions; /* what every plugin is handed: host_functions_fill() */
	unsigned worker_count;
	struct ticket_pool *pools;       /* one a worker */
	struct plugin_counter *counters; /* in the order in which they were named */
};

/* 0 or -ENOMEM. */
int plugin_host_init(struct plugin_host *host, unsigned worker_count);
void plugin_host_finish(struct plugin_host *host); /* one that is all zero, too */

/*
 * The counter of this name, new or not. Main thread only. Returns 0 or -ENOMEM; or -EEXIST, after a
 * line, where the whole name is taken: "b_c" of entry "a" is called as "c" of "a_b" would be.
 */
int plugin_host_counter(struct plugin_host *host, const struct plugin_entry *entry,
			const char *name, struct plugin_counter **counter, struct report *mistakes);

static inline void plugin_counter_add(struct plugin_counter *counter, uint64_t amount)
{
	atomic_fetch_add_explicit(&counter->value, amount, memory_order_relaxed);
}

#endif
