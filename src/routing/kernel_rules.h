/* SPDX-License-Identifier: MIT */
/*
 * The kernel's policy rules, as far as they decide where an upstream's answers go: read, added and
 * removed over NETLINK_ROUTE. Changing them takes CAP_NET_ADMIN, reading nothing.
 */
#ifndef MMPROXY_ROUTING_KERNEL_RULES_H
#define MMPROXY_ROUTING_KERNEL_RULES_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/prefix_set.h"
#include "routing/return_plan.h"

struct netlink;

/* A rule as it stands. */
struct kernel_rule {
	uint32_t priority;
	struct prefix from;  /* length 0: any */
	struct prefix to;    /* length 0: any */
	char iif[IFNAMSIZ];  /* "": any */
	uint32_t mark, mask; /* mask 0: any */
	uint32_t table;      /* 0: its action is not a lookup */
	uint8_t action;      /* FR_ACT_* */
	uint8_t protocol;    /* who made it */
	uint8_t family;      /* enum address_family */
	bool inverted;       /* `not` */
	bool narrow;         /* asks for more than the above: a port, a user, a TOS ... */
};

struct kernel_rules {
	struct kernel_rule *rules; /* in the kernel's order, which is by priority */
	size_t count;
};

/* All rules of a family. 0 or -errno; -EAFNOSUPPORT or -EOPNOTSUPP: this host has no such family.
 */
int kernel_rules_read(struct netlink *netlink, enum address_family family,
		      struct kernel_rules *rules);
void kernel_rules_finish(struct kernel_rules *rules);

/*
 * Does it apply to a packet that this host sends from `from` to `to` with this mark? `narrow` is
 * not looked at: what it asks for is not known here.
 */
bool kernel_rule_matches(const struct kernel_rule *rule, const struct address *to,
			 const struct address *from, uint32_t mark);

/* Is it the wanted rule, whoever made it? */
bool kernel_rule_is(const struct kernel_rule *rule, const struct return_rule *wanted);

/*
 * Adds a rule, tagged as ours, before those for the main table. 1: it has been added; 0: it is
 * there already, whoever made it (the kernel itself would add it again); or -errno.
 */
int kernel_rule_add(struct netlink *netlink, const struct return_rule *rule);
/* Removes it as often as it is there and tagged as ours. 1: it was; 0: it was not; or -errno. */
int kernel_rule_remove(struct netlink *netlink, const struct return_rule *rule);

#endif
