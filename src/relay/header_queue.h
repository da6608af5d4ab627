/* SPDX-License-Identifier: MIT */
/*
 * A worker's sessions of one listener that wait for their header, the one that has waited longest
 * first. Balancers send their header at once, so when there are too many, or no room for others,
 * it is the first that is least likely to be honest.
 *
 * One thread's only. It lies beside those of other workers.
 */
#ifndef MMPROXY_RELAY_HEADER_QUEUE_H
#define MMPROXY_RELAY_HEADER_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct tcp_session;

/*
 * Milliseconds that a session may wait before it has to make room for others: more than a header
 * takes that comes at once, also where the host is busy, and not enough to starve anyone.
 */
#define HEADER_QUEUE_GRACE 100

/*
 * The same while more than a few wait. Of headers that come at once not so many are outstanding, so
 * it is a flood, and it goes the faster the shorter this is.
 */
#define HEADER_QUEUE_GRACE_CROWDED 20
#define HEADER_QUEUE_FEW           16

struct header_queue {
	_Alignas(64) struct list sessions; /* of struct tcp_session, by its `waiting` */
	unsigned count;
};

static inline void header_queue_init(struct header_queue *queue)
{
	list_init(&queue->sessions);
	queue->count = 0;
}

/* When did the first of them begin to wait? In milliseconds, the loop's clock; none: UINT64_MAX. */
uint64_t header_queue_oldest(const struct header_queue *queue);

/*
 * Who has waited long enough, in silence, to make room for others: of those that have waited
 * longest the first whose socket has nothing that is not read yet. NULL: nobody.
 */
struct tcp_session *header_queue_find(const struct header_queue *queue, uint64_t now);

/*
 * The session's header is not here yet: it waits in its listener's queue. If more than
 * max_waiting_headers do, those that have waited longest are closed, the silent ones first, and not
 * this one.
 */
void header_queue_enter(struct tcp_session *session);

/* It waits no longer. No effect on one that does not. */
void header_queue_leave(struct tcp_session *session);

#endif
