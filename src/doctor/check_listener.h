/* SPDX-License-Identifier: MIT */
/* Judges a listener by itself: can its addresses be had, whom does it let in, and do they get
 * there?
 */
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

/* What becomes of packets that were redirected to 127.0.0.0/8, and of the answers. */
struct localnet_facts {
	bool routed; /* net.ipv4.conf.*.route_localnet is on for some interface */
	bool kept;   /* a policy rule, such as the return path's, keeps the answers on this host */
};

/* `routes`: of NETLINK_ROUTE. */
void localnet_facts_read(struct localnet_facts *facts, struct netlink *routes);

/* Adds the result `route-localnet`. Pure. */
void check_localnet_judge(const struct config_listener *listener,
			  const struct localnet_facts *facts, struct diagnosis *diagnosis);

/* All three, the first for each address of the listener. */
void check_listener(const struct config_listener *listener, struct netlink *routes,
		    struct netlink *sockets, struct diagnosis *diagnosis);

#endif
