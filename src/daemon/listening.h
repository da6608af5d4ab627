/* SPDX-License-Identifier: MIT */
/*
 * What outlives a configuration: the sockets behind an address that is listened on, and what a
 * listener's sessions share. Both are counted; each generation holds those of its listeners, so
 * that they are there for as long as one of its sessions. Only the main thread takes and drops
 * them.
 */
#ifndef MMPROXY_DAEMON_LISTENING_H
#define MMPROXY_DAEMON_LISTENING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/refcount.h"
#include "os/listen.h"
#include "relay/budget.h"
#include "relay/dial_timeouts.h"
#include "relay/flow_quota.h"
#include "relay/header_queue.h"
#include "relay/settings.h"

/*
 * One address that is listened on. What we open ourselves has one socket a worker, in a
 * SO_REUSEPORT group. What was passed cannot be joined by others: as many sockets as came.
 */
struct listening {
	struct refcount refcount;
	enum relay_protocol protocol;
	struct listen_endpoint endpoint;
	struct budget *descriptors; /* from which `charged` sessions were taken for it */
	unsigned charged;
	bool passed; /* the descriptors are the process's own, and stay open */
	bool handed; /* the workers have them */
	unsigned socket_count;
	struct listening_socket {
		uint64_t id; /* by which a worker knows it, unique in this process */
		int fd;      /* -1: handed over */
	} sockets[];
};

/* What a listener's sessions share in all workers. */
struct listener_share {
	struct refcount refcount;
	struct list link; /* server->shares */
	enum relay_protocol protocol;
	struct budget sessions;             /* TCP */
	struct header_queue *header_queues; /* the same: one a worker */
	struct flow_quota flows;            /* UDP */
	struct budget *descriptors;         /* as above */
	unsigned charged;
	char *name; /* of the listener, as of its last generation */
};

/* What a listener's sessions come to. */
struct listener_figures {
	const char *name;
	enum relay_protocol protocol;
	uint64_t sessions; /* or flows, alive */
	uint64_t begun;    /* that ever were */
	uint64_t limit;    /* of those alive: its own, or what the descriptors allow */
};

/* A listener of a generation. */
struct generation_listener {
	struct listener_share *share;
	struct listening **listenings;
	size_t listening_count;
	struct dial_timeouts dial_timeouts;
	unsigned hinted; /* families whose timeouts the log has explained; see daemon/dial_hint.h */
};

/* With room for so many sockets, none open. NULL when out of memory. */
struct listening *listening_create(enum relay_protocol protocol,
				   const struct listen_endpoint *endpoint, unsigned sockets);

/* On `shares`. NULL when out of memory. */
struct listener_share *listener_share_create(struct list *shares, const char *name,
					     enum relay_protocol protocol, unsigned workers);

/* It goes on under another name; without memory for it, under the old one. */
void listener_share_rename(struct listener_share *share, const char *name);

/* `descriptors`: of all TCP sessions. */
struct listener_figures listener_share_figures(const struct listener_share *share,
					       const struct budget *descriptors);

/* Is socket number `index` one that worker number `worker` receives from? */
bool listening_is_for(const struct listening *listening, unsigned index, unsigned worker,
		      unsigned worker_count);
/* Do several workers accept from the same socket? */
bool listening_is_shared(const struct listening *listening, unsigned worker_count);

/* How many sockets all its addresses have together. */
unsigned generation_listener_sockets(const struct generation_listener *listener);

/* Adds one, and holds it. 0 or -ENOMEM. */
int generation_listener_add(struct generation_listener *listener, struct listening *listening);
void generation_listener_finish(struct generation_listener *listener);

#endif
