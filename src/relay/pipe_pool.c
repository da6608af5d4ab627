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
	while (pool->spare != NULL) {
		struct pipe *pipe = pool->spare;

		pool->spare = pipe->next;
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
	pool->alive++;
	if (size < PIPE_SIZE_MIN) {
		pipe_destroy(pool, pipe);
		return NULL;
	}
	return pipe;
}

struct pipe *pipe_pool_take(struct pipe_pool *pool)
{
	struct pipe *pipe = pool->spare;

	if (pipe == NULL)
		return pool->alive < pool->limit ? pipe_create(pool) : NULL;
	pool->spare = pipe->next;
	return pipe;
}

void pipe_pool_give_back(struct pipe_pool *pool, struct pipe *pipe)
{
	if (pipe->length > 0) {
		pipe_destroy(pool, pipe);
		return;
	}
	pipe->next = pool->spare;
	pool->spare = pipe;
}
