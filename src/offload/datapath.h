/* SPDX-License-Identifier: MIT */
/*
 * The kernel datapath as the relay sees it: sessions that it tells the kernel of, and what the
 * kernel has seen of them. Any thread may call at any time. Where the program was built without
 * BPF there is none to be had, and datapath_open() says so.
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
 * From now on the kernel notes what passes of this session. 0; -EEXIST: one of its tuples is
 * another session's; -E2BIG: there are as many as can be; or another -errno.
 */
int datapath_observe(struct datapath *datapath, uint64_t session,
		     const struct offload_record *record);

/* What a later daemon is to know of it. 0 or -errno. */
int datapath_keep_record(struct datapath *datapath, uint64_t session,
			 const struct offload_record *record);
int datapath_read_record(struct datapath *datapath, uint64_t session,
			 struct offload_record *record);

/* What it has noted. 0 or -errno. */
int datapath_look(struct datapath *datapath, uint64_t session, struct offload_session *noted);

/* 0: packets go from leg to leg; -EAGAIN: something has come in since; or another -errno. */
int datapath_move(struct datapath *datapath, const struct offload_move *move);

/* Ends a session that was moved, and has it told as an event. 0; -ENOENT: there is none. */
int datapath_end(struct datapath *datapath, uint64_t session);

/* The session's packets are the sockets' again, or nobody's. */
void datapath_forget(struct datapath *datapath, uint64_t session,
		     const struct offload_tuple tuples[static 2]);

/* The first half of that: its end is still to be seen. */
void datapath_forget_places(struct datapath *datapath, uint64_t session,
			    const struct offload_tuple tuples[static 2]);

/* Whose is a packet with this tuple? 0 and its session, or -ENOENT. */
int datapath_find(struct datapath *datapath, const struct offload_tuple *tuple, uint64_t *session);

/* Calls `each` for every session there is, which it may forget. 0 or -errno. */
int datapath_each(struct datapath *datapath, void (*each)(uint64_t session, void *context),
		  void *context);

/* Readable when there are events. */
int datapath_events_fd(const struct datapath *datapath);

/* Calls `ended` for each session that has ended since the last call. One thread at a time. */
void datapath_read_events(struct datapath *datapath, void (*ended)(uint64_t session, void *context),
			  void *context);

#endif
