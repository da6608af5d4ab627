/* SPDX-License-Identifier: MIT */
/*
 * The plugins of one generation of the configuration: instances, and for each listener the chain of
 * those that its sessions pass. Opened and closed by the main thread. In between each worker has a
 * seat in it, which it takes before its first session of the generation and which ends with its
 * last.
 */
#ifndef MMPROXY_HOST_PLUGIN_SET_H
#define MMPROXY_HOST_PLUGIN_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/refcount.h"
#include "host/plugin_entry.h"

struct mmproxy_instance;
struct plugin_host;
struct plugin_set;
struct report;
struct ticket_pool;

/* The instances that a session passes, in order. Immutable. */
struct plugin_chain {
	struct plugin_set *set;
	struct plugin_chain *next; /* of the set */
	size_t count;
	struct mmproxy_instance *instances[];
};

/*
 * Without any chain yet. `owner` is what holds the set: a seat that is taken is a hold of it. NULL
 * when out of memory.
 */
struct plugin_set *plugin_set_create(struct plugin_host *host, struct refcount *owner);

/* Closes and unloads all, the last opened first. Takes NULL. No seat is taken any more. */
void plugin_set_destroy(struct plugin_set *set);

/*
 * Opens the plugins of a list, which outlives the set. NULL after lines in `mistakes`; those that
 * were opened stay the set's.
 */
const struct plugin_chain *plugin_set_open(struct plugin_set *set, const struct plugin_list *list,
					   struct report *mistakes, struct report *warnings);

/*
 * On the worker's thread: it begins to use the set; has one session more that may call its plugins;
 * has one less, or gives the seat up. The last of these ends the seat, and drops its hold of the
 * owner. A seat is shared only while somebody has it. All take a NULL set.
 */
void plugin_set_seat_take(struct plugin_set *set, struct ticket_pool *worker);
void plugin_set_seat_share(struct plugin_set *set, struct ticket_pool *worker);
void plugin_set_seat_leave(struct plugin_set *set, struct ticket_pool *worker);

#endif
