/* SPDX-License-Identifier: MIT */
/* Pipes, made when first wanted and kept for the next. */
#include "relay/pipe_pool.h"

#include <stdlib.h>

#include "os/sys.h"

/* Room for what a busy socket gives at once; a smaller pipe costs more calls a byte. */
#define PIPE_SIZE (256 * 1024)

/* A pipe that came out smaller than a hot buffer is not worth the extra calls. */
#define PIPE_SIZE_MIN (64 * 1024)

void pipe_pool_init(struct pipe_pool *pool, const struct sys *sys, unsigned limit)
{
	*pool = (struct pipe_pool){.sys = sys, .limit = limit};
	list_init(&pool->spare);
}

static void pipe_destroy(struct pipe_pool *pool, struct pipe *pipe)
{
	pool->sys->close(pipe->read_end);
	pool->sys->close(pipe->write_end);
	free(pipe);
	pool->alive--;
}

void pipe_pool_finish(struct pipe_pool *pool)
{
	while (!list_empty(&pool->spare)) {
		struct pipe *pipe = container_of(pool->spare.next, struct pipe, link);

		list_remove(&pipe->link);
		pipe_destroy(pool, pipe);
	}
}

static struct pipe *pipe_create(struct pipe_pool *pool)
{
	struct pipe *pipe = malloc(sizeof(*pipe));
	int fds[2], size;

	if (pipe == NULL)
		return NULL;
	size = pool->sys->pipe(fds, PIPE_SIZE);
	if (size < 0) {
		free(pipe);
		return NULL;
	}
	*pipe = (struct pipe){.read_end = fds[0], .write_end = fds[1], .size = (size_t)size};
	list_init(&pipe->link);
	pool->alive++;
	if (size < PIPE_SIZE_MIN) {
		pipe_destroy(pool, pipe);
		return NULL;
	}
	return pipe;
}

struct pipe *pipe_pool_take(struct pipe_pool *pool)
{
	struct pipe *pipe;

	if (list_empty(&pool->spare))
		return pool->alive < pool->limit ? pipe_create(pool) : NULL;
	pipe = container_of(pool->spare.next, struct pipe, link);
	list_remove(&pipe->link);
	return pipe;
}

void pipe_pool_give_back(struct pipe_pool *pool, struct pipe *pipe)
{
	if (pipe->length > 0)
		pipe_destroy(pool, pipe);
	else
		list_append(&pool->spare, &pipe->link);
}
