/* SPDX-License-Identifier: MIT */
/* Judges a listener by itself: can its addresses be had, and whom does it let in? */
#ifndef MMPROXY_DOCTOR_CHECK_LISTENER_H
#define MMPROXY_DOCTOR_CHECK_LISTENER_H

#include <stdbool.h>

#include "doctor/processes.h"

struct config_listener;
struct diagnosis;
struct listen_endpoint;
struct netlink;

/* What came of trying an address. */
struct listen_facts {
	int error;             /* 0, or -errno of the try */
	const char *step;      /* the call that failed */
	struct process holder; /* -EADDRINUSE: who has it; pid 0: not known */
	bool may_look; /* this process may see whose sockets are whose, and bind low ports */
};

/* `sockets`: of NETLINK_SOCK_DIAG, or NULL. */
void listen_facts_read(struct listen_facts *facts, const struct config_listener *listener,
		       const struct listen_endpoint *endpoint, struct netlink *sockets);

/* Adds the result `listen` of one address. Pure. */
void check_listen_judge(const struct listen_facts *facts, const struct listen_endpoint *endpoint,
			struct diagnosis *diagnosis);

/* Adds the result `subnets`. Pure. */
void check_subnets_judge(const struct config_listener *listener, struct diagnosis *diagnosis);

/* Both, for all addresses of the listener. */
void check_listener(const struct config_listener *listener, struct netlink *sockets,
		    struct diagnosis *diagnosis);

#endif
