/* SPDX-License-Identifier: MIT */
/*
 * What the service manager is told of the daemon's life: that it is ready, reloads, stops, and a
 * status line with figures, which `systemctl status` shows. Nothing is done where nobody listens.
 */
#ifndef MMPROXY_DAEMON_ANNOUNCE_H
#define MMPROXY_DAEMON_ANNOUNCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/timer_wheel.h"

struct server;

#define ANNOUNCE_STATUS_SIZE 256

struct announcements {
	bool wanted;    /* a service manager listens */
	bool reloading; /* it knows of a reload that is not over */
	struct timer timer;
	uint64_t rate;                     /* sessions begun a second, when last counted */
	uint64_t begun;                    /* sessions that ever were, then */
	uint64_t counted;                  /* when that was, in the loop's milliseconds */
	char status[ANNOUNCE_STATUS_SIZE]; /* as last told */
};

/* The listeners are open and the workers run. From here on the status is kept up to date. */
void announce_ready(struct server *server);

/* A reload begins; then one of these: all workers have it, or it failed and changed nothing. */
void announce_reloading(struct server *server);
void announce_reloaded(struct server *server);
void announce_reload_failed(struct server *server);

/* No new sessions from here on. */
void announce_stopping(struct server *server);

#endif
