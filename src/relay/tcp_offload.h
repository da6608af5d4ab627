/* SPDX-License-Identifier: MIT */
/*
 * A session that the kernel carries, for the files of tcp_session.h alone:
 *
 *   RELAY      first of all; from some exchanges on the kernel notes what passes, and a moment to
 *              hand it over is looked for (tcp_handover.h)
 *   SETTLING   there was none: bytes are passed on only when that leaves nothing unsent
 *   MOVED      the kernel carries the packets; the sockets send again what was not acknowledged
 *   OFFLOADED  there are no sockets
 *
 * It ends when the kernel says so; or by somebody's decision, and then it gets sockets again, to
 * speak to both ends.
 */
#ifndef MMPROXY_RELAY_TCP_OFFLOAD_H
#define MMPROXY_RELAY_TCP_OFFLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/close_reason.h"
#include "base/list.h"
#include "offload/layout.h"

struct address;
struct relay;
struct tcp_session;

/* Of a session that the kernel knows of; and for a while after its end, for late packets. */
struct tcp_offload {
	uint64_t id;                    /* the session's; first, as a tree finds it by this */
	struct tcp_session *session;    /* NULL after its end */
	struct list link;               /* after its end: relay->offloads_ended */
	struct offload_tuple tuples[2]; /* by enum offload_leg_name */
	uint64_t bytes[2];              /* that were delivered before it moved */
	uint64_t next; /* milliseconds, the loop's clock: a try; then, the end of patience with far
			  ends that have not got all that our sockets sent; then, the release */
	uint64_t probed[2]; /* the same: when a far end was last asked for a sign; */
	uint64_t before[2]; /* last_seen, as the kernel had noted it then */
	uint16_t wait;      /* between tries, or looks; milliseconds */
	uint16_t tries;     /* so far, in this state */
	uint8_t probes[2];  /* that were not answered */
};

/* By id, for tsearch(3). */
static inline int tcp_offload_compare(const void *left, const void *right)
{
	const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

/* tcp_offload.c */

/* NULL when out of memory. */
struct tcp_offload *tcp_offload_create(struct tcp_session *session,
				       const struct offload_record *record);

/* RELAY: bytes have moved. */
void tcp_offload_consider(struct tcp_session *session);

void tcp_settling_expired(struct tcp_session *session);

/* tcp_carried.c */

/* The kernel has it: MOVED. Events that this round has fetched already find another state. */
void tcp_carried_begin(struct tcp_session *session);

/* A new session is one that the kernel carries already. 0 or -ENOMEM. */
int tcp_offload_adopted(struct tcp_session *session, const struct offload_record *record);

void tcp_carried_expired(struct tcp_session *session);

/* Brings what was delivered, and when, up to date. For any session. */
void tcp_offload_look(struct tcp_session *session);

/* The same, of one that is carried, and what the kernel has noted. False: it knows none such. */
bool tcp_carried_look(struct tcp_session *session, struct offload_session *noted);

/* tcp_carried_end.c */

/* For relay_init() and relay_finish(). */
void tcp_offload_init(struct relay *relay);
void tcp_offload_finish(struct relay *relay);

/* The kernel forgets the session, and this is freed. */
void tcp_offload_forget(struct relay *relay, struct tcp_offload *offload);

/* Closes what sockets there are, without a word to the far ends. */
void tcp_carried_abandon(struct tcp_session *session);

/*
 * Before a session that the kernel knows of is closed, in whatever state: the kernel lets go of it,
 * and where its far ends are to be told, it has sockets again.
 */
void tcp_offload_close(struct tcp_session *session, enum close_reason reason);

/* tcp_twin.c: dialling for a client whose address and port the kernel carries a session of. */

/* Ends such a session, which is over for the client: it begins another. */
void tcp_twin_end(struct relay *relay, const struct address *client,
		  const struct address *upstream);
/* Ends this one: both far ends are told. */
void tcp_twin_reset(struct relay *relay, uint64_t session, const struct offload_record *record);
/* Is there one? */
bool tcp_twin_exists(const struct relay *relay, const struct address *client,
		     const struct address *upstream);

#endif
