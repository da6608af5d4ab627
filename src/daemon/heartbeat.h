/* SPDX-License-Identifier: MIT */
/*
 * The workers' heartbeats: the main thread pings each worker, and lets the service manager's
 * watchdog starve while one does not answer. With or without a service manager, a worker that stays
 * silent is logged.
 */
#ifndef MMPROXY_DAEMON_HEARTBEAT_H
#define MMPROXY_DAEMON_HEARTBEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/timer_wheel.h"

struct server;

struct heartbeat_worker {
	uint64_t asked;    /* when its last ping was sent, in the loop's milliseconds */
	uint64_t answered; /* when it was last seen to have answered one */
	bool stuck;        /* and logged so */
};

struct heartbeat {
	struct timer timer;
	uint64_t interval;                /* milliseconds between two rounds of pings */
	uint64_t last;                    /* the newest of them */
	bool watched;                     /* the service manager counts on them */
	struct heartbeat_worker *workers; /* NULL until it is started */
};

/* Once the workers run. Returns 0 or -ENOMEM; finish it in either case. */
int heartbeat_start(struct server *server);
void heartbeat_finish(struct server *server); /* takes one that was never started */

/*
 * Milliseconds since a worker's last sign of life: at most an interval, if it is well. One that has
 * ended in good order is well.
 */
uint64_t heartbeat_age_ms(const struct server *server, unsigned worker);

#endif
