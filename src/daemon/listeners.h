/* SPDX-License-Identifier: MIT */
/*
 * Which sockets a generation listens on: those that its forerunner has already, those that the
 * service manager has passed, and those that are opened for it.
 */
#ifndef MMPROXY_DAEMON_LISTENERS_H
#define MMPROXY_DAEMON_LISTENERS_H

#include <stddef.h>

struct config;
struct config_listener;
struct generation;
struct report;
struct server;
struct worker_update;

/* No listener. */
#define LISTENERS_NONE ((size_t)-1)

/*
 * Which listener of `old` goes on as number `index` of `new`: that of its name and protocol, or one
 * that has gone by its name and listens on an address of its. LISTENERS_NONE: it is a new one.
 */
size_t listeners_forerunner(const struct config *old, const struct config *new, size_t index);

/*
 * Fills generation->listeners. `before` is the generation in force, or NULL at the start, when a
 * passed socket that nobody wants is a mistake (later only a remark). Returns 0, or -EINVAL after a
 * line for each mistake; what has been opened goes with the generation.
 */
int listeners_prepare(struct server *server, struct generation *generation,
		      const struct generation *before, struct report *mistakes);

/*
 * What a worker is to be told: the generation with its sockets, a descriptor for each that the
 * worker does not have yet. NULL when memory or descriptors have run out; errno says which.
 */
struct worker_update *listeners_update(struct server *server, struct generation *generation,
				       unsigned worker);

/* Every worker has been told. One line in the log for each address that is new, or has gone. */
void listeners_handed(struct generation *generation, const struct generation *before);

#endif
