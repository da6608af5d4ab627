/* SPDX-License-Identifier: MIT */
/*
 * One worker's relay: what its sessions share and only its thread touches. Everything that a
 * session would otherwise have to own while it is idle is borrowed from here.
 */
#ifndef MMPROXY_RELAY_RELAY_H
#define MMPROXY_RELAY_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/histogram.h"
#include "base/list.h"
#include "base/log_limiter.h"
#include "os/loop.h"
#include "os/own_addresses.h"
#include "relay/budget.h"
#include "relay/pipe_pool.h"

/*
 * The hot buffer: what one read takes at most, and so the most that a copied direction of a session
 * holds while its writer is blocked (a spliced one: its pipe, see pipe_pool.c). 64 KiB fits a
 * second-level cache beside everything else.
 */
#define RELAY_HOT_SIZE 65536

struct client_counts;
struct datapath;
struct dial_result;
struct ticket_pool;
struct udp_claims;
struct udp_workspace;

struct relay {
	struct loop loop;
	const struct sys *sys;
	uint8_t *hot; /* RELAY_HOT_SIZE bytes, borrowed for the length of a call */
	struct pipe_pool pipes;
	struct counter_set counters;
	struct histogram header_latency; /* of TCP: accepted until a sound header was read */
	struct histogram dial_latency;   /* the same: dialled until connected */
	struct log_limiter log_limiter;
	struct own_addresses *own_addresses; /* one holder of it */
	struct budget *descriptors;          /* the process's sessions */
	struct list sessions;
	struct list listeners; /* of TCP */
	struct list udp_listeners;
	struct ticket_pool *tickets;   /* for plugins' deferred verdicts; outlives the relay */
	struct udp_claims *udp_claims; /* of all workers */
	struct client_counts *client_counts; /* the same */
	struct datapath *datapath;           /* the same; NULL: all sessions stay relays */
	void *offloads; /* struct tcp_offload of sessions the kernel carries; tsearch(3) */
	struct list offloads_ended; /* those of sessions that have ended, oldest first */
	struct timer offload_timer; /* of the first of them */
	bool leaving;               /* what the kernel carries is left to it, as mmproxy stops */
	struct timer room; /* the next look whether other workers want some; see tcp_room.h */
	struct udp_workspace *udp;      /* NULL until there is a UDP listener */
	_Atomic unsigned session_count; /* with UDP flows, which are in no list here */
	unsigned worker_count;
	uint64_t last_session; /* the newest session's id */
	unsigned paused;       /* listeners that wait for a descriptor */
	bool without_splice;   /* the kernel, or a filter, has refused it */
	unsigned room_made;    /* in this interval; see tcp_room.c */
	uint64_t room_interval;
};

struct relay_options {
	const struct sys *sys;
	unsigned worker; /* 0 to worker_count - 1 */
	unsigned worker_count;
	unsigned pipe_limit; /* pipes this worker may hold at once */
	struct budget *descriptors;
	struct ticket_pool *tickets;
	struct udp_claims *udp_claims;
	struct client_counts *client_counts;
	struct datapath *datapath;           /* or NULL */
	struct own_addresses *own_addresses; /* taken over, also when relay_init() fails */
};

/* 0 or -errno. */
int relay_init(struct relay *relay, const struct relay_options *options);
/* Every session and listener is closed by then. */
void relay_finish(struct relay *relay);

/* Takes over one holder of `own`. */
void relay_set_own_addresses(struct relay *relay, struct own_addresses *own);

/*
 * May a line about this peer and subject be written now? Counts it when not; when so, *suppressed
 * says how many were held back since the last.
 */
bool relay_admit_line(struct relay *relay, const struct address *peer, unsigned subject,
		      uint64_t *suppressed);

/* One session or flow of a listener's more, or one less. Anyone may read both counts. */
static inline void relay_count_session(struct relay *relay, struct budget *listener, int change)
{
	unsigned count = atomic_load_explicit(&relay->session_count, memory_order_relaxed);

	/* The one is this worker's alone. */
	atomic_store_explicit(&relay->session_count, count + (unsigned)change,
			      memory_order_relaxed);
	atomic_fetch_add_explicit(&listener->alive, (unsigned)change, memory_order_relaxed);
}

/* Counts what it took to keep the client's port. */
void relay_count_dial(struct relay *relay, const struct dial_result *result);

/* Unique in this process: each worker counts in steps of their number, from a place of its own. */
uint64_t relay_new_session_id(struct relay *relay);

/* The loop's clock at a time that another process has told, in seconds since the epoch. */
uint64_t relay_time_of(const struct relay *relay, uint64_t seconds);

/* All later ones are higher than this one, which another process has given. */
void relay_number_after(struct relay *relay, uint64_t session, unsigned worker);

#endif
