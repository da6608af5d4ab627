/* SPDX-License-Identifier: MIT */
/* A build without BPF: every session stays a relay. */
#include <errno.h>
#include <stdio.h>

#include "daemon/offload.h"
#include "daemon/server_state.h"
#include "os/log.h"

void offload_init(struct offload *offload)
{
	*offload = (struct offload){.remembered = -1, .lock = -1, .notices = -1};
}

/* The configuration remarks upon it already. */
int offload_open(struct server *server)
{
	snprintf(server->offload.why, sizeof(server->offload.why),
		 "this program was built without libbpf");
	return 0;
}

int offload_try(struct server *server)
{
	(void)server;
	return 0;
}

int offload_watch(struct server *server)
{
	(void)server;
	return 0;
}

void offload_admit(struct server *server, struct generation *generation)
{
	(void)server;
	(void)generation;
}

void offload_reloaded(struct server *server)
{
	(void)server;
}

int offload_count_live(const struct server *server, uint64_t *live)
{
	(void)server;
	(void)live;
	return -ENOSYS;
}

void offload_finish(struct server *server)
{
	(void)server;
}
