/* SPDX-License-Identifier: MIT */
/*
 * The kernel datapath as the relay sees it: sessions that it tells the kernel of, and what the
 * kernel has seen of them. A seam, as struct sys is one. Any thread may call at any time.
 */
#ifndef MMPROXY_OFFLOAD_DATAPATH_H
#define MMPROXY_OFFLOAD_DATAPATH_H

#include <stdint.h>

#include "offload/layout.h"

/* The index of lo, in every network namespace. */
#define DATAPATH_LOOPBACK 1

struct datapath;

struct datapath_calls {
	/*
	 * From now on the kernel notes what passes of this session. 0; -EEXIST: one of its tuples
	 * is another session's; -E2BIG: there are as many as can be; or another -errno.
	 */
	int (*observe)(struct datapath *datapath, uint64_t session,
		       const struct offload_record *record);
	/* What a later daemon is to know of it. 0 or -errno. */
	int (*keep_record)(struct datapath *datapath, uint64_t session,
			   const struct offload_record *record);
	int (*read_record)(struct datapath *datapath, uint64_t session,
			   struct offload_record *record);
	/* What it has noted. 0 or -errno. */
	int (*look)(struct datapath *datapath, uint64_t session, struct offload_session *noted);
	/*
	 * By which way do packets go on that came by the interface `from`, when they are those of a
	 * leg whose own come by `to`? An enum offload_way; -ENETUNREACH: the kernel, as it is set
	 * up, would not take them.
	 */
	int (*find_way)(struct datapath *datapath, unsigned from, unsigned to,
			const struct offload_tuple *tuple);
	/* 0: packets go from leg to leg; -EAGAIN: something has come in since; or another -errno.
	 */
	int (*move)(struct datapath *datapath, const struct offload_move *move);
	/* Ends a session that was moved, and has it told as an event. 0; -ENOENT: there is none. */
	int (*end)(struct datapath *datapath, uint64_t session);
	/* The session's packets are the sockets' again, or nobody's; its end is still to be seen.
	 */
	void (*forget_places)(struct datapath *datapath, uint64_t session,
			      const struct offload_tuple tuples[static 2]);
	/* The same, and there is no such session any more. */
	void (*forget)(struct datapath *datapath, uint64_t session,
		       const struct offload_tuple tuples[static 2]);
	/* Connection tracking will see no more packets of this tuple. Best effort. */
	void (*untrack)(struct datapath *datapath, const struct offload_tuple *tuple);
	/* Whose is a packet with this tuple? 0 and its session, or -ENOENT. */
	int (*find)(struct datapath *datapath, const struct offload_tuple *tuple,
		    uint64_t *session);
	/* Calls `each` for every session there is, which it may forget. 0 or -errno. */
	int (*each)(struct datapath *datapath, void (*each)(uint64_t session, void *context),
		    void *context);
	/*
	 * A socket in the place of a leg's that was closed without a word: for somebody who has to
	 * speak to its far end. Nothing is sent; what is on its way is lost. A descriptor or
	 * -errno.
	 */
	int (*revive)(struct datapath *datapath, const struct offload_record *record,
		      const struct offload_session *noted, enum offload_leg_name leg);
	/*
	 * Asks a leg's far end for a sign of life, as a keepalive does; the kernel notes the
	 * answer. 0 or -errno.
	 */
	int (*probe)(struct datapath *datapath, const struct offload_record *record,
		     const struct offload_session *noted, enum offload_leg_name leg);
};

struct udp_datapath_calls;

struct datapath {
	const struct datapath_calls *calls;
	const struct udp_datapath_calls *udp; /* NULL: flows stay relays */
};

static inline int datapath_observe(struct datapath *datapath, uint64_t session,
				   const struct offload_record *record)
{
	return datapath->calls->observe(datapath, session, record);
}

static inline int datapath_keep_record(struct datapath *datapath, uint64_t session,
				       const struct offload_record *record)
{
	return datapath->calls->keep_record(datapath, session, record);
}

static inline int datapath_read_record(struct datapath *datapath, uint64_t session,
				       struct offload_record *record)
{
	return datapath->calls->read_record(datapath, session, record);
}

static inline int datapath_look(struct datapath *datapath, uint64_t session,
				struct offload_session *noted)
{
	return datapath->calls->look(datapath, session, noted);
}

static inline int datapath_find_way(struct datapath *datapath, unsigned from, unsigned to,
				    const struct offload_tuple *tuple)
{
	return datapath->calls->find_way(datapath, from, to, tuple);
}

static inline void datapath_untrack(struct datapath *datapath, const struct offload_tuple *tuple)
{
	datapath->calls->untrack(datapath, tuple);
}

static inline int datapath_move(struct datapath *datapath, const struct offload_move *move)
{
	return datapath->calls->move(datapath, move);
}

static inline int datapath_end(struct datapath *datapath, uint64_t session)
{
	return datapath->calls->end(datapath, session);
}

static inline void datapath_forget_places(struct datapath *datapath, uint64_t session,
					  const struct offload_tuple tuples[static 2])
{
	datapath->calls->forget_places(datapath, session, tuples);
}

static inline void datapath_forget(struct datapath *datapath, uint64_t session,
				   const struct offload_tuple tuples[static 2])
{
	datapath->calls->forget(datapath, session, tuples);
}

static inline int datapath_find(struct datapath *datapath, const struct offload_tuple *tuple,
				uint64_t *session)
{
	return datapath->calls->find(datapath, tuple, session);
}

static inline int datapath_each(struct datapath *datapath,
				void (*each)(uint64_t session, void *context), void *context)
{
	return datapath->calls->each(datapath, each, context);
}

static inline int datapath_revive(struct datapath *datapath, const struct offload_record *record,
				  const struct offload_session *noted, enum offload_leg_name leg)
{
	return datapath->calls->revive(datapath, record, noted, leg);
}

static inline int datapath_probe(struct datapath *datapath, const struct offload_record *record,
				 const struct offload_session *noted, enum offload_leg_name leg)
{
	return datapath->calls->probe(datapath, record, noted, leg);
}

#endif
