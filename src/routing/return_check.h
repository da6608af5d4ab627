/* SPDX-License-Identifier: MIT */
/*
 * Does an upstream's answer come back? The kernel's own lookup decides, whatever rules and routes
 * it finds; only when it says no are those read to say why. Two things may be wrong at once, and
 * both are said.
 */
#ifndef MMPROXY_ROUTING_RETURN_CHECK_H
#define MMPROXY_ROUTING_RETURN_CHECK_H

#include <stdbool.h>

#include "routing/return_plan.h"

struct netlink;

enum return_rule_fault {
	RETURN_RULE_SOUND,       /* or not to be told from here: the lookup is sound */
	RETURN_RULE_MISSING,     /* no rule applies to the answers but the kernel's own three */
	RETURN_RULE_WRONG_TABLE, /* one applies, and its table has no local default; another table
				    has */
	RETURN_RULE_TOO_LATE,    /* another rule, or the main table before it, decides first */
	RETURN_RULE_NO_MARK, /* the upstream is not on loopback, and no mark tells its answers */
};

enum return_route_fault {
	RETURN_ROUTE_SOUND,
	RETURN_ROUTE_MISSING, /* the table that the rule names, or is to, has no local default */
};

/* Room for one sentence of evidence, with NUL. */
#define RETURN_EVIDENCE_SIZE 256

struct return_verdict {
	bool sound;
	bool elsewhere; /* the upstream's address is not this host's: in a container, or further */
	bool no_family; /* this host has no IPv6, or has it switched off */
	enum return_rule_fault rule;
	enum return_route_fault route;
	uint32_t table; /* that has or lacks the route: the rule's as it stands, or the plan's; 0 */
	char rule_evidence[RETURN_EVIDENCE_SIZE]; /* what is there instead; "" when sound */
	char route_evidence[RETURN_EVIDENCE_SIZE];
};

/*
 * What a lookup cannot see: whether an answer that is told by its mark carries it. For TCP either
 * net.ipv4.tcp_fwmark_accept or the table of return_mark_ruleset() sees to that; for UDP, and for
 * an upstream elsewhere, the table alone. Nor does it see firewalls, NAT and the reverse-path
 * filter. A connection that is tried does.
 *
 * Judges one of the plan's paths. 0, or -errno when the kernel could not be asked. Nothing is
 * changed, and no privilege is needed.
 */
int return_check(struct netlink *netlink, const struct return_plan *plan,
		 const struct return_path *path, struct return_verdict *verdict);

/* Was this program built with libmnl? */
bool return_check_supported(void);

/*
 * All of the plan's paths, over a socket of its own; `verdicts` has one for each. 0; -EOPNOTSUPP:
 * this program was built without libmnl; or -errno.
 */
int return_check_all(const struct return_plan *plan, struct return_verdict *verdicts);

/*
 * The client whose answers are looked up: of TEST-NET-3 (RFC 5737) or of the documentation prefix
 * (RFC 3849), which no client has.
 */
struct address return_check_client(enum address_family family);

#endif
