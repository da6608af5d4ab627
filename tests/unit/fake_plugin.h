/* SPDX-License-Identifier: MIT */
/*
 * Plugins without shared objects: a chain of up to three, "a", "b" and "c", which answer as the
 * test says and note each call. The host is the real one, but for the loading: this takes the place
 * of host/module.c.
 *
 * Each plugin checks for itself what must hold whatever a test does: a worker has started before it
 * asks; a slot stays; what is awaited is cancelled and nothing else is; who was asked hears of the
 * end once, and of nothing behind it. Aborts where that is not so.
 *
 * No test framework, so that fuzz targets can use it too. One chain at a time.
 */
#ifndef MMPROXY_TESTS_FAKE_PLUGIN_H
#define MMPROXY_TESTS_FAKE_PLUGIN_H

#include <mmproxy/plugin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/report.h"
#include "host/instance.h"
#include "host/plugin_entry.h"
#include "host/plugin_host.h"
#include "host/plugin_set.h"

struct loop;
struct refcount;

#define FAKE_PLUGINS_MAX     3
#define FAKE_PLUGINS_TIMEOUT 1000 /* of a deferred verdict, milliseconds */

/* Which run this is: said where a check aborts. NULL: there is one. */
extern const char *fake_plugin_run;

/* A session at one plugin, from `filter` to `closed`: what its slot points to. */
struct fake_visit {
	struct list link; /* plugin->visits, the newest last */
	uint64_t id;
	mmproxy_ticket ticket; /* the one it took; 0: none */
	bool awaited;          /* a verdict: neither given nor cancelled */
	bool connected;
};

struct fake_plugin {
	struct fake_plugins *of;
	struct mmproxy_instance *instance;

	/* What `filter` answers: at first PASS. PENDING takes a ticket. */
	int answer;
	const char *why;       /* is explained; NULL: nothing is */
	bool defers;           /* takes a ticket, whatever the answer is */
	bool forgets_to_defer; /* PENDING without one */
	bool hurries;          /* completes the ticket before it answers: with `hurried` */
	int hurried;
	/* Called first, to set the above. May be NULL. */
	void (*prepare)(struct fake_plugin *plugin, const struct mmproxy_conn *conn);
	void *context;
	bool meddles; /* explains and defers in `closed`, where neither is allowed */

	/* What it has seen. */
	struct list visits;
	bool started; /* by the worker */
	unsigned asked, cancelled, closed, adopted;
	mmproxy_ticket ticket;    /* the last that it took */
	mmproxy_ticket given_up;  /* the last that was cancelled */
	struct mmproxy_conn conn; /* of the last call */
	int error;                /* of the last `connected` */
	struct mmproxy_end end;   /* the last; its texts are copies */
	char end_plugin[40], end_why[160];
};

struct fake_plugins {
	unsigned count;
	struct plugin_host host;
	struct plugin_entry entries[FAKE_PLUGINS_MAX]; /* on_error and timeout may be changed */
	struct fake_plugin plugins[FAKE_PLUGINS_MAX];
	struct report mistakes, warnings;
	struct plugin_set *set;
	const struct plugin_chain *chain;
	struct ticket_pool *worker; /* the only one */
	struct loop *loop;          /* its, once it is attached */
	int wake;
	char calls[2048]; /* "a.filter b.filter a.closed": since fake_plugins_forget() */
};

/* Loads and opens them. `owner` holds the set, which ends before it. */
void fake_plugins_open(struct fake_plugins *plugins, unsigned count, struct refcount *owner);
void fake_plugins_close(struct fake_plugins *plugins);

/* The worker begins, with a seat in the set; and gives it up. */
void fake_plugins_attach(struct fake_plugins *plugins, struct loop *loop);
void fake_plugins_leave(struct fake_plugins *plugins);
/* The worker ends: no session is left, and no ticket is out. */
void fake_plugins_detach(struct fake_plugins *plugins);

/* Has the worker been woken since the last call? Then it should call ticket_pool_deliver(). */
bool fake_plugins_woken(struct fake_plugins *plugins);

/* Gives a verdict, as complete() does. */
int fake_plugin_complete(struct fake_plugin *plugin, mmproxy_ticket ticket, int verdict,
			 const char *why);
/* The oldest session whose verdict is awaited here; NULL: there is none. */
struct fake_visit *fake_plugin_awaited(struct fake_plugin *plugin);
/* The same of the whole chain; *plugin: who is to give it. */
struct fake_visit *fake_plugins_awaited(struct fake_plugins *plugins, struct fake_plugin **plugin);

/* Sessions that were asked and are not over, at each plugin: the sum. */
unsigned fake_plugins_visits(const struct fake_plugins *plugins);

/* Sessions that were asked go on without this process. */
void fake_plugins_lose_visits(struct fake_plugins *plugins);

/* The calls so far are no news any more. */
void fake_plugins_forget(struct fake_plugins *plugins);

/* What mmproxy itself counts of a plugin. */
uint64_t fake_plugin_count(const struct fake_plugin *plugin, enum instance_counter counter);

#endif
