/* SPDX-License-Identifier: MIT */
/*
 * All that is known of the way to one upstream and back: what the rules say, what the probes met,
 * and whose sockets are at the upstream's port. Gathered here, judged by check_path.c.
 */
#ifndef MMPROXY_DOCTOR_PATH_FACTS_H
#define MMPROXY_DOCTOR_PATH_FACTS_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "doctor/examine.h"
#include "doctor/processes.h"
#include "routing/return_check.h"
#include "routing/return_plan.h"

struct netlink;

/* Where the upstream is, seen from here. */
enum path_place {
	PATH_LOCAL,   /* an address of this host */
	PATH_BEHIND,  /* on the network of an interface: a container, a bridge */
	PATH_BEYOND,  /* behind a gateway */
	PATH_NOWHERE, /* there is no route */
};

/* Other addresses with the upstream's port that are named. */
#define PATH_FACTS_OTHERS 3

struct path_other {
	struct address address;
	struct process process; /* pid 0: not known */
};

struct path_facts {
	const struct return_plan *plan; /* of this one path */
	const struct return_path *path;
	const char *config; /* the configuration's file, for commands that name it */
	enum routing_mode mode;
	bool udp;
	struct return_verdict verdict;
	struct path_findings findings;

	enum path_place place;
	/*
	 * PATH_LOCAL, told by a mark that only connection tracking would bring back: the kernel has
	 * no route for an answer without its mark, and drops it before it could get one.
	 */
	bool unrouted;
	char interface[IFNAMSIZ]; /* PATH_BEHIND, PATH_BEYOND */
	struct address gateway;   /* PATH_BEYOND */

	/* Sockets of this namespace; of a server elsewhere nothing is known. */
	bool served;      /* one is given what arrives for the upstream */
	bool by_wildcard; /* it is bound to all addresses: the kernel chooses whence it answers */
	struct address bound;        /* served: to what it is bound */
	struct address answers_from; /* by_wildcard: that choice; ADDRESS_NONE: no route */
	struct path_other others[PATH_FACTS_OTHERS]; /* who listens there at other addresses */
	size_t other_count;
};

struct path_sources {
	struct netlink *routes;  /* of NETLINK_ROUTE */
	struct netlink *sockets; /* of NETLINK_SOCK_DIAG, or NULL */
	struct examiner *examiner;
};

/*
 * Fills in what the kernel says; plan, path, config, mode and udp are the caller's. 0; -EINTR:
 * interrupted; -errno: it could not be done.
 */
int path_facts_read(struct path_facts *facts, const struct path_sources *sources);

/* Has the host this upstream's address family? Without it, nothing else is known. */
static inline bool path_has_family(const struct path_facts *facts)
{
	return !facts->verdict.no_family;
}

#endif
