/* SPDX-License-Identifier: MIT */
/*
 * A dial has timed out. Does a plain connection to the same upstream work, one from an address of
 * this host? Then the return path is at fault, or something on it, and the log says so: once for
 * each upstream of a listener and each generation, with the likeliest cause and the command that
 * finds out more. Everything here is the main thread's.
 */
#ifndef MMPROXY_DAEMON_DIAL_HINT_H
#define MMPROXY_DAEMON_DIAL_HINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/timer_wheel.h"
#include "os/loop.h"

struct generation;

struct dial_hint {
	int wake; /* eventfd, to be watched: a listener has told; see relay/dial_timeouts.h */
	struct loop_source wake_source;
	struct loop_task look; /* for the next that has */

	/* The one plain connection that is under way. */
	int fd; /* -1: there is none */
	struct loop_source source;
	struct timer timer;
	uint64_t generation; /* whose listener it is for */
	size_t listener;
	struct address upstream;
};

/* Before the first generation gets its listeners. 0 or -errno; finish it in either case. */
int dial_hint_init(struct dial_hint *hint);
void dial_hint_finish(struct dial_hint *hint);

/* A generation's listeners will tell, once they have been made. */
void dial_hint_attach(struct dial_hint *hint, struct generation *generation);

#endif
