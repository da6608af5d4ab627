/* SPDX-License-Identifier: MIT */
/*
 * How many flows a UDP listener may have, all its sockets together. A socket makes room among its
 * own flows. But the kernel decides which socket a client comes to, and one that is full of
 * strangers must not lock out the clients of another: a socket that has fewer fresh flows (not
 * assured, see base/flow_table.h) than another takes a place over the limit, and asks the one with
 * the most to let one go. Assured flows make room only when there is no fresh one anywhere.
 */
#ifndef MMPROXY_RELAY_FLOW_QUOTA_H
#define MMPROXY_RELAY_FLOW_QUOTA_H

#include <stdbool.h>

#include "relay/budget.h"

/* Flows that may be over the limit for the moment that it takes others to make room. */
#define FLOW_QUOTA_OVERDRAFT 64

/* One socket. Each has a cache line of its own. */
struct flow_quota_member {
	atomic_uint count; /* flows that it has */
	atomic_uint fresh; /* those of them that are not assured */
	atomic_uint debt;  /* flows that it has been asked to let go */
	int notices;       /* eventfd: it has been asked */
} __attribute__((aligned(64)));

struct flow_quota {
	struct budget flows;
	unsigned member_count;
	struct flow_quota_member *members;
};

enum flow_room {
	FLOW_ROOM_TAKEN, /* there is a place */
	FLOW_ROOM_EVICT, /* it is taken, but one of the socket's own flows must go for it */
	FLOW_ROOM_NONE,
};

/* For `limit` flows, at least one a socket. Returns 0 or -errno; finish it in either case. */
int flow_quota_init(struct flow_quota *quota, unsigned limit, unsigned sockets);
void flow_quota_finish(struct flow_quota *quota); /* takes a zeroed one */

/* Room for one more flow of this member. */
enum flow_room flow_quota_take(struct flow_quota *quota, struct flow_quota_member *member);

/* A flow of the member has ended: evicted, or by itself. */
void flow_quota_give_back(struct flow_quota *quota, struct flow_quota_member *member, bool evicted);

/* Must this member let a flow go that it has been asked for? Takes that off its debt. */
bool flow_quota_owes(struct flow_quota *quota, struct flow_quota_member *member);

/* A member's own counts have changed. */
static inline void flow_quota_publish(struct flow_quota_member *member, unsigned count,
				      unsigned fresh)
{
	atomic_store_explicit(&member->count, count, memory_order_relaxed);
	atomic_store_explicit(&member->fresh, fresh, memory_order_relaxed);
}

#endif
