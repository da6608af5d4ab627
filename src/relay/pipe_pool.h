/* SPDX-License-Identifier: MIT */
/*
 * A worker's pipes for splice(). A stream borrows one while bytes are on their way through it; only
 * empty pipes come back, so that nobody ever reads another session's bytes.
 *
 * Without CAP_SYS_RESOURCE a user has 16,384 pipe pages in all (fs.pipe-user-pages-soft): past them
 * new pipes shrink to two pages or fail. The pool is bounded well below, and its users go without.
 */
#ifndef MMPROXY_RELAY_PIPE_POOL_H
#define MMPROXY_RELAY_PIPE_POOL_H

#include <stddef.h>

struct sys;

struct pipe {
	struct pipe *next; /* while it is spare */
	int read_end;
	int write_end;
	size_t size;   /* bytes it was made for */
	size_t length; /* bytes in it */
};

struct pipe_pool {
	const struct sys *sys;
	struct pipe *spare; /* the one that came back last is on top, and still in the cache */
	unsigned alive;     /* spare ones and borrowed ones */
	unsigned limit;
};

void pipe_pool_init(struct pipe_pool *pool, const struct sys *sys, unsigned limit);
void pipe_pool_finish(struct pipe_pool *pool);

/* An empty pipe, or NULL when there is none to be had. */
struct pipe *pipe_pool_take(struct pipe_pool *pool);
/* Takes the pipe over. One that still holds bytes is closed. */
void pipe_pool_give_back(struct pipe_pool *pool, struct pipe *pipe);

#endif
