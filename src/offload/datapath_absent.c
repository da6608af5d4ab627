/* SPDX-License-Identifier: MIT */
/* A build without BPF: every session stays a relay. */
#include <errno.h>
#include <stddef.h>

#include "offload/datapath.h"

struct datapath *datapath_open(const char *directory)
{
	(void)directory;
	errno = ENOSYS;
	return NULL;
}

void datapath_close(struct datapath *datapath)
{
	(void)datapath;
}

int datapath_observe(struct datapath *datapath, uint64_t session,
		     const struct offload_tuple tuples[static 2])
{
	(void)datapath;
	(void)session;
	(void)tuples;
	return -ENOSYS;
}

int datapath_look(struct datapath *datapath, uint64_t session, struct offload_session *noted)
{
	(void)datapath;
	(void)session;
	(void)noted;
	return -ENOSYS;
}

int datapath_move(struct datapath *datapath, const struct offload_move *move)
{
	(void)datapath;
	(void)move;
	return -ENOSYS;
}

void datapath_forget(struct datapath *datapath, uint64_t session,
		     const struct offload_tuple tuples[static 2])
{
	(void)datapath;
	(void)session;
	(void)tuples;
}

int datapath_events_fd(const struct datapath *datapath)
{
	(void)datapath;
	return -1;
}

void datapath_read_events(struct datapath *datapath, void (*ended)(uint64_t session, void *context),
			  void *context)
{
	(void)datapath;
	(void)ended;
	(void)context;
}
