/* SPDX-License-Identifier: MIT */
/* What an earlier process has left in the kernel: sessions and flows that it carries on. */
#ifndef MMPROXY_OFFLOAD_HERITAGE_H
#define MMPROXY_OFFLOAD_HERITAGE_H

#include <stddef.h>
#include <stdint.h>

struct datapath;

/* Their numbers, in no order. */
struct heritage_list {
	uint64_t *ids;
	size_t count, room;
};

struct heritage {
	struct heritage_list sessions; /* of TCP */
	struct heritage_list flows;    /* of UDP */
	unsigned *flow_workers; /* which worker takes each over; NULL: as their numbers say */
	uint64_t last;          /* the highest number of all; 0: there are none */
};

/*
 * Finds them, and forgets what can't go on: sessions whose packets were that process's. Before any
 * session is observed. 0 or -errno, with what was found; finish it in either case.
 */
int heritage_find(struct heritage *heritage, struct datapath *datapath);
void heritage_finish(struct heritage *heritage);

#endif
