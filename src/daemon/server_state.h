/* SPDX-License-Identifier: MIT */
/*
 * What the main thread owns, shared by the files that make up the server:
 *
 *   startup.c  the start sequence, stage by stage
 *   listeners.c what is listened on
 *   capacity.c how many sessions and flows there may be
 *   server.c   the main loop: signals, the end
 *   drain.c    the way there
 *   dial_hint.c why dials time out
 *   counters.c what has been counted
 *   lockdown.c what it may open and call from the start on
 *   reload.c   a new generation in place of the old
 *   changes.c  what it must leave as it is
 */
#ifndef MMPROXY_DAEMON_SERVER_STATE_H
#define MMPROXY_DAEMON_SERVER_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/report.h"
#include "daemon/announce.h"
#include "daemon/dial_hint.h"
#include "daemon/generation.h"
#include "daemon/heartbeat.h"
#include "daemon/listening.h"
#include "daemon/offload.h"
#include "daemon/server.h"
#include "daemon/worker.h"
#include "host/plugin_host.h"
#include "offload/heritage.h"
#include "os/loop.h"
#include "os/passed_sockets.h"
#include "relay/budget.h"
#include "relay/client_counts.h"
#include "relay/udp_claims.h"

struct control;
struct datapath;
struct metrics_http;
struct return_keeper;

struct reload_history {
	uint64_t loaded;        /* when the generation in force was, Unix time in seconds */
	uint64_t last;          /* when somebody last asked; 0: nobody has */
	uint64_t failed;        /* how many */
	bool last_failed;       /* by its own word: a line may have been lost */
	struct report mistakes; /* of the last */
};

struct server {
	struct client_counts client_counts; /* has lines of the cache to itself */
	const struct server_options *options;
	struct generation *generation;
	struct generation_retirement retirement;
	struct plugin_host plugins;
	struct loop loop;
	uint64_t started; /* Unix time in seconds */
	unsigned descriptor_limit;
	unsigned pipes_per_worker;
	struct budget descriptors; /* of TCP sessions */
	struct udp_claims udp_claims;
	struct datapath *datapath; /* NULL: sessions stay relays */
	struct heritage heritage;  /* what an earlier process has left in it */
	struct loop_source datapath_source;
	struct list shares; /* what each listener's sessions share, also of those that drain */
	struct passed_sockets passed; /* by the service manager */
	uint64_t last_socket;         /* the newest listening socket's id */

	struct metrics_http *metrics_http; /* NULL: none */
	bool files_locked;                 /* Landlock is in force */
	bool calls_locked;                 /* and a filter of system calls */
	struct offload offload;
	struct return_keeper *keeper; /* NULL: the return path has not been managed yet */

	struct worker *workers;
	struct worker_returns returns;
	unsigned worker_count;
	unsigned workers_alive;

	int signals; /* signalfd */
	int done;    /* eventfd: a worker has ended */
	int adopted; /* eventfd: a worker has put a generation in place */
	int notices; /* netlink: addresses have changed; -1 where there is none */
	struct loop_source signals_source;
	struct loop_source done_source;
	struct loop_source adopted_source;
	struct loop_source notices_source;
	struct loop_source retired_source;
	struct loop_source returns_source;
	uint64_t adoptions_awaited;
	struct heartbeat heartbeat;
	struct announcements announcements;
	struct dial_hint dial_hint;
	struct timer drain_timer;
	struct timer progress_timer;  /* of the drain */
	uint64_t sessions_told;       /* in the last line about it */
	struct timer addresses_timer; /* another try at reading this host's addresses */
	bool addresses_stale; /* the workers do not have the last ones, which has been told */
	bool stopping;

	struct control *control; /* NULL: there is no control socket */
	struct reload_history reloads;
};

/*
 * startup.c: the start, stage by stage. Returns 0; after a line in the log, -EINVAL when the
 * configuration is at fault, or -1 for anything else.
 */
int startup_run(struct server *server);
/* capacity.c: a stage of the start. Returns 0, or -1 after a line in the log. */
int capacity_plan(struct server *server);
/*
 * capacity.c, at a reload: descriptors for what `generation` has and `before` has not. Returns 0,
 * or -EINVAL after a line; what was set aside goes back with the generation.
 */
int capacity_admit(struct server *server, struct generation *generation,
		   const struct generation *before, struct report *mistakes);
int server_watch(struct server *server); /* server.c: a stage of the start */

/* server.c */
/* Sessions and flows alive now, in all workers. */
uint64_t server_count_sessions(const struct server *server);

/* counters.c */
uint64_t server_sum_counter(const struct server *server, enum counter counter);
/* Each that is not zero, in as many lines as it takes. */
void server_log_counters(const struct server *server);

/* drain.c */
void drain_init(struct server *server);
/* The first request lets sessions finish, the second ends them. */
void server_drain(struct server *server);
/* Milliseconds until the sessions that are left are ended. */
uint64_t server_drain_left(const struct server *server);

/* reload.c */
/*
 * Loads everything anew. Returns 0 when that is in place, or will be as soon as each worker has it
 * (reload_adopted()), or -EINVAL with nothing changed and a line for each mistake in `mistakes` and
 * in the log.
 */
int reload_run(struct server *server, struct report *mistakes);
/* So many workers have put their new generation in place. */
void reload_adopted(struct server *server, uint64_t workers);

#endif
