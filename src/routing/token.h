/* SPDX-License-Identifier: MIT */
/*
 * Counting across instances: who else in this network namespace needs a rule, a route or a table.
 * An instance that needs one holds a token of its name, an abstract Unix socket; the kernel takes
 * it away with the process, so that a crash leaves none behind. Such sockets are a network
 * namespace's own, as rules and routes are.
 *
 * Anybody may bind an abstract name. Whoever takes all of ours keeps us from removing a rule, or
 * has it put back instead of kept; nothing waits for him for ever.
 */
#ifndef MMPROXY_ROUTING_TOKEN_H
#define MMPROXY_ROUTING_TOKEN_H

#include <stdbool.h>

/* Bytes of a token's name, with NUL. */
#define TOKEN_NAME_SIZE 84

/* A descriptor, for token_drop(). Or -errno; -EUSERS: as many as there may be hold it already. */
int token_take(const char *name);
void token_drop(int token); /* takes a negative one */

/* Whether anybody holds it, this process among them. Ask with the lock in hand. */
bool token_is_held(const char *name);

/*
 * Looking and changing are one step to other instances while this is held. A descriptor, for
 * token_unlock(); or -ETIMEDOUT when it has not come free in `patience` milliseconds, or another
 * -errno. An instance holds it for milliseconds.
 */
int token_lock(unsigned patience);
void token_unlock(int lock); /* takes a negative one */

#endif
