/* SPDX-License-Identifier: MIT */
/*
 * UDP flows as the kernel datapath has them: handed over, looked at, taken back. A part of the seam
 * that is struct datapath; any thread may call at any time.
 */
#ifndef MMPROXY_OFFLOAD_UDP_DATAPATH_H
#define MMPROXY_OFFLOAD_UDP_DATAPATH_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "offload/datapath.h"
#include "offload/udp_layout.h"

/* By what the kernel knows a flow's datagrams. */
struct udp_places {
	uint64_t id;
	struct offload_udp_key key; /* from the balancer */
	struct offload_tuple reply; /* from the upstream */
};

struct udp_datapath_calls {
	/*
	 * From now on its datagrams are the kernel's. 0; -EEXIST: one of its places is another
	 * flow's; -E2BIG: there are as many as can be; or another -errno, and nothing is changed.
	 */
	int (*give)(struct datapath *datapath, const struct udp_places *places,
		    const struct offload_udp_flow *flow, const struct offload_udp_record *record);
	/* Its datagrams are the daemon's again; what it has counted is still to be seen. */
	void (*take)(struct datapath *datapath, const struct udp_places *places);
	/* 0 or -errno. */
	int (*look)(struct datapath *datapath, uint64_t id, struct offload_udp_flow *noted);
	/* After it has been taken: there is no such flow any more. */
	void (*forget)(struct datapath *datapath, uint64_t id);
	/*
	 * By which interface does what `from` sends leave for `to`? Its index, or -errno.
	 */
	int (*way_out)(struct datapath *datapath, const struct address *from,
		       const struct address *to);
	/* Would this host take what `from` sends to `to`, if it came by lo? 0 or -errno. */
	int (*way_in)(struct datapath *datapath, const struct address *from,
		      const struct address *to);
	/* What is known of it beside that. 0 or -errno. */
	int (*read_record)(struct datapath *datapath, uint64_t id,
			   struct offload_udp_record *record);
	int (*keep_record)(struct datapath *datapath, uint64_t id,
			   const struct offload_udp_record *record);
	/* Whose is a reply with this tuple? 0 and its number, or -ENOENT. */
	int (*find)(struct datapath *datapath, const struct offload_tuple *reply, uint64_t *id);
	/* Calls `each` for every flow there is, which it may forget. 0 or -errno. */
	int (*each)(struct datapath *datapath, void (*each)(uint64_t id, void *context),
		    void *context);
};

static inline int udp_datapath_give(struct datapath *datapath, const struct udp_places *places,
				    const struct offload_udp_flow *flow,
				    const struct offload_udp_record *record)
{
	return datapath->udp->give(datapath, places, flow, record);
}

static inline void udp_datapath_take(struct datapath *datapath, const struct udp_places *places)
{
	datapath->udp->take(datapath, places);
}

static inline int udp_datapath_look(struct datapath *datapath, uint64_t id,
				    struct offload_udp_flow *noted)
{
	return datapath->udp->look(datapath, id, noted);
}

static inline void udp_datapath_forget(struct datapath *datapath, uint64_t id)
{
	datapath->udp->forget(datapath, id);
}

static inline int udp_datapath_way_out(struct datapath *datapath, const struct address *from,
				       const struct address *to)
{
	return datapath->udp->way_out(datapath, from, to);
}

static inline int udp_datapath_way_in(struct datapath *datapath, const struct address *from,
				      const struct address *to)
{
	return datapath->udp->way_in(datapath, from, to);
}

static inline int udp_datapath_read_record(struct datapath *datapath, uint64_t id,
					   struct offload_udp_record *record)
{
	return datapath->udp->read_record(datapath, id, record);
}

static inline int udp_datapath_keep_record(struct datapath *datapath, uint64_t id,
					   const struct offload_udp_record *record)
{
	return datapath->udp->keep_record(datapath, id, record);
}

static inline int udp_datapath_find(struct datapath *datapath, const struct offload_tuple *reply,
				    uint64_t *id)
{
	return datapath->udp->find(datapath, reply, id);
}

static inline int udp_datapath_each(struct datapath *datapath,
				    void (*each)(uint64_t id, void *context), void *context)
{
	return datapath->udp->each(datapath, each, context);
}

#endif
