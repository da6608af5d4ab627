/* SPDX-License-Identifier: MIT */
/* A build without BPF: nobody has a datapath, so that nobody calls what follows the first two. */
#include <errno.h>
#include <stddef.h>

#include "offload/datapath.h"

#define UNUSED __attribute__((unused))

struct datapath *datapath_open(const char *directory UNUSED)
{
	errno = ENOSYS;
	return NULL;
}

void datapath_close(struct datapath *datapath UNUSED)
{
}

int datapath_observe(struct datapath *datapath UNUSED, uint64_t session UNUSED,
		     const struct offload_record *record UNUSED)
{
	return -ENOSYS;
}

int datapath_keep_record(struct datapath *datapath UNUSED, uint64_t session UNUSED,
			 const struct offload_record *record UNUSED)
{
	return -ENOSYS;
}

int datapath_read_record(struct datapath *datapath UNUSED, uint64_t session UNUSED,
			 struct offload_record *record UNUSED)
{
	return -ENOSYS;
}

int datapath_look(struct datapath *datapath UNUSED, uint64_t session UNUSED,
		  struct offload_session *noted UNUSED)
{
	return -ENOSYS;
}

int datapath_move(struct datapath *datapath UNUSED, const struct offload_move *move UNUSED)
{
	return -ENOSYS;
}

int datapath_end(struct datapath *datapath UNUSED, uint64_t session UNUSED)
{
	return -ENOSYS;
}

void datapath_forget(struct datapath *datapath UNUSED, uint64_t session UNUSED,
		     const struct offload_tuple tuples[static 2] UNUSED)
{
}

void datapath_forget_places(struct datapath *datapath UNUSED, uint64_t session UNUSED,
			    const struct offload_tuple tuples[static 2] UNUSED)
{
}

int datapath_find(struct datapath *datapath UNUSED, const struct offload_tuple *tuple UNUSED,
		  uint64_t *session UNUSED)
{
	return -ENOSYS;
}

int datapath_each(struct datapath *datapath UNUSED,
		  void (*each)(uint64_t session, void *context) UNUSED, void *context UNUSED)
{
	return -ENOSYS;
}

int datapath_events_fd(const struct datapath *datapath UNUSED)
{
	return -1;
}

void datapath_read_events(struct datapath *datapath UNUSED,
			  void (*ended)(uint64_t session, void *context) UNUSED,
			  void *context UNUSED)
{
}
