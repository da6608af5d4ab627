/* SPDX-License-Identifier: MIT */
/*
 * An instance: one entry of the configuration come to life. Everything that calls a plugin's hook
 * is here, so that each call is timed and its answer judged in one place.
 */
#ifndef MMPROXY_HOST_INSTANCE_H
#define MMPROXY_HOST_INSTANCE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "host/module.h"
#include "host/plugin_entry.h"

struct plugin_counter;
struct plugin_host;
struct report;
struct ticket_pool;

/* Counters that a plugin may name. */
#define INSTANCE_COUNTERS_MAX 64

/* A hook that takes longer holds its worker up noticeably: milliseconds. */
#define INSTANCE_SLOW_CALL 20

/* What mmproxy counts of each plugin. */
enum instance_counter {
	INSTANCE_REFUSALS,       /* DENY and RESET */
	INSTANCE_ERRORS,         /* errors, unknown verdicts, no ticket left */
	INSTANCE_TIMEOUTS,       /* deferred verdicts that did not come in time */
	INSTANCE_STALE_VERDICTS, /* complete() for nothing that was awaited */
	INSTANCE_SLOW_CALLS,
	INSTANCE_COUNTER_COUNT,
};

/* The public header's opaque type. */
struct mmproxy_instance {
	struct plugin_host *host;
	const struct plugin_entry *entry;
	struct plugin_module module;
	void *state; /* the plugin's */
	bool opening;
	struct plugin_counter *own[INSTANCE_COUNTER_COUNT];
	struct plugin_counter *counters[INSTANCE_COUNTERS_MAX];
	atomic_int counter_count; /* threads that `open` has started may count already */
};

/*
 * Loads the entry's plugin and opens it. NULL after a line in `mistakes`; what is odd but does no
 * harm is in `warnings`. `host` and `entry` outlive the instance.
 */
struct mmproxy_instance *instance_open(struct plugin_host *host, const struct plugin_entry *entry,
				       struct report *mistakes, struct report *warnings);
void instance_close(struct mmproxy_instance *instance);

/* `mmproxy --check`: loads the entry's plugin and lets it judge its settings. 0 or -errno. */
int instance_check(const struct mmproxy_host *functions, const struct plugin_entry *entry,
		   struct report *mistakes, struct report *warnings);

/* Hooks, on a worker's thread. Those that the plugin does not have do nothing, and pass. */
void instance_worker_start(struct mmproxy_instance *instance, struct ticket_pool *worker);
void instance_worker_stop(struct mmproxy_instance *instance, struct ticket_pool *worker);
int instance_filter(struct mmproxy_instance *instance, struct ticket_pool *worker,
		    const struct mmproxy_conn *conn);
void instance_cancel(struct mmproxy_instance *instance, struct ticket_pool *worker,
		     const struct mmproxy_conn *conn, mmproxy_ticket ticket);
void instance_connected(struct mmproxy_instance *instance, struct ticket_pool *worker,
			const struct mmproxy_conn *conn, int error);
void instance_closed(struct mmproxy_instance *instance, struct ticket_pool *worker,
		     const struct mmproxy_conn *conn, const struct mmproxy_end *end);

void instance_count(struct mmproxy_instance *instance, enum instance_counter counter);

#endif
