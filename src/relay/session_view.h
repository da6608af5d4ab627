/* SPDX-License-Identifier: MIT */
/*
 * What a session or flow looks like from outside. All of this is called on the worker's thread,
 * between two rounds of events; what it returns is plain data that any thread may read.
 */
#ifndef MMPROXY_RELAY_SESSION_VIEW_H
#define MMPROXY_RELAY_SESSION_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/prefix_set.h"
#include "relay/settings.h"

struct client_totals;
struct relay;

/* Room for a listener's name and its NUL. */
#define SESSION_VIEW_LISTENER_SIZE 65

/* Addresses are ADDRESS_NONE where there is none, or where no header has said it yet. */
struct session_view {
	uint64_t id;
	char listener[SESSION_VIEW_LISTENER_SIZE];
	enum relay_protocol protocol;
	const char *state;  /* "header", "verdict", "dial", "relay" or "reset" */
	const char *header; /* "v1", "v2", "spp" or "local"; NULL: none was read yet */
	struct address client;
	struct address balancer;
	struct address destination;
	struct address upstream;
	uint64_t started; /* milliseconds, a clock that all workers share */
	uint64_t age;     /* milliseconds, as of the walk */
	uint64_t idle;
	uint64_t bytes_from_client;
	uint64_t bytes_from_upstream;
	uint64_t datagrams_from_client; /* UDP */
	uint64_t datagrams_from_upstream;
};

/* Which sessions are meant; zeroed, it is all of them. */
struct session_filter {
	struct prefix client;                      /* ADDRESS_NONE: any, also one not known yet */
	char listener[SESSION_VIEW_LISTENER_SIZE]; /* empty: any */
	uint64_t older;                            /* milliseconds that it has lived at least */
};

/* Of those that match the `limit` oldest. */
struct session_list {
	struct session_view *views;
	size_t count;
	size_t capacity;
	size_t limit;
	uint64_t matched; /* all of them, also those past the limit */
};

/* `limit` is at least 1. Finish it in any case. */
void session_list_init(struct session_list *list, size_t limit);
void session_list_finish(struct session_list *list);

/* Adds what matches of a relay's sessions and flows. Returns 0 or -ENOMEM. */
int session_list_fill(struct session_list *list, const struct relay *relay,
		      const struct session_filter *filter);

/* Adds what matches of another list, on any thread. Returns 0 or -ENOMEM. */
int session_list_merge(struct session_list *list, const struct session_list *from);

/* The oldest first. Nothing is added afterwards. */
void session_list_sort(struct session_list *list);

/* Adds up the sessions and flows whose client is known. Returns 0 or -ENOMEM. */
int session_total_clients(const struct relay *relay, struct client_totals *totals);

/* Ends a session or flow. Returns false when the relay has none with this id. */
bool session_kill(struct relay *relay, uint64_t id);

/* The worker that has, or would have, the session of this id, which is not 0. */
unsigned session_worker(uint64_t id, unsigned worker_count);

#endif
