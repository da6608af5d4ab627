/* SPDX-License-Identifier: MIT */
/*
 * The kernel datapath as a worker sees it: sessions that it tells the kernel of, and what the
 * kernel has seen of them. Any thread may call at any time. Where the program was built without
 * BPF, there is none to be had, and datapath_open() says so.
 */
#ifndef MMPROXY_OFFLOAD_DATAPATH_H
#define MMPROXY_OFFLOAD_DATAPATH_H

#include <stdint.h>

#include "offload/layout.h"

struct datapath;

/* Of what is pinned in `directory`. NULL with errno: see programs_open(); ENOSYS: built without. */
struct datapath *datapath_open(const char *directory);
void datapath_close(struct datapath *datapath); /* takes NULL */

/*
 * From now on the kernel notes what passes of this session. `tuples` are those of the packets that
 * arrive by each leg, by enum offload_leg_name. 0; -EEXIST: a session has one of them; or another
 * -errno.
 */
int datapath_observe(struct datapath *datapath, uint64_t session,
		     const struct offload_tuple tuples[static 2]);

/* What it has noted. 0 or -errno. */
int datapath_look(struct datapath *datapath, uint64_t session, struct offload_session *noted);

/* 0: packets go from leg to leg; -EAGAIN: something has come in since; or another -errno. */
int datapath_move(struct datapath *datapath, const struct offload_move *move);

/* The session's packets are the sockets' again, or nobody's. */
void datapath_forget(struct datapath *datapath, uint64_t session,
		     const struct offload_tuple tuples[static 2]);

/* Readable when there are events. */
int datapath_events_fd(const struct datapath *datapath);

/* Calls `ended` for each session that has ended since the last call. One thread at a time. */
void datapath_read_events(struct datapath *datapath, void (*ended)(uint64_t session, void *context),
			  void *context);

#endif
