/* SPDX-License-Identifier: MIT */
/* A build without BPF: nobody has a datapath. */
#include <errno.h>
#include <stddef.h>

#include "offload/kernel_datapath.h"

struct datapath *kernel_datapath_open(const char *directory)
{
	(void)directory;
	errno = ENOSYS;
	return NULL;
}

void kernel_datapath_close(struct datapath *datapath)
{
	(void)datapath;
}

int kernel_datapath_events(const struct datapath *datapath)
{
	(void)datapath;
	return -1;
}

void kernel_datapath_read(struct datapath *datapath, void (*ended)(uint64_t session, void *context),
			  void *context)
{
	(void)datapath;
	(void)ended;
	(void)context;
}
