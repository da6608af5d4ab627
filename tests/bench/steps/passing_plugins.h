/* SPDX-License-Identifier: MIT */
/*
 * Three plugins that let every session pass and do nothing else: what asking costs, not what an
 * answer does. The host is the real one, but for the loading: this takes the place of
 * host/module.c, as tests/unit/fake_plugin.c does, whose checks would cost more than the host.
 */
#ifndef MMPROXY_BENCH_PASSING_PLUGINS_H
#define MMPROXY_BENCH_PASSING_PLUGINS_H

#include "base/report.h"
#include "host/plugin_entry.h"
#include "host/plugin_host.h"
#include "host/plugin_set.h"

struct loop;
struct refcount;

#define PASSING_PLUGINS 3

struct passing_plugins {
	struct plugin_host host;
	struct plugin_entry entries[PASSING_PLUGINS];
	struct report report;
	struct plugin_set *set;
	const struct plugin_chain *chain;
	struct ticket_pool *worker; /* the only one */
};

/* Opens them, and the worker of `loop` takes its seat. `owner` holds the set. */
void passing_plugins_open(struct passing_plugins *plugins, struct loop *loop,
			  struct refcount *owner);
/* No session is left. */
void passing_plugins_close(struct passing_plugins *plugins);

#endif
