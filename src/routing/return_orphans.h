/* SPDX-License-Identifier: MIT */
/*
 * What carries our tag on this host, whoever has put it there: most of it is needed by an instance
 * that runs, and what is not has been left by one that crashed.
 */
#ifndef MMPROXY_ROUTING_RETURN_ORPHANS_H
#define MMPROXY_ROUTING_RETURN_ORPHANS_H

#include "routing/return_item.h"

struct netlink;

/* Takes the item over. */
typedef void return_orphans_each(struct return_item *item, void *context);

/*
 * Calls `each` for every rule, then every route, then every table of nftables that may be ours.
 * What it removes of them is not looked at again. What cannot be read is left out.
 */
void return_orphans_find(struct netlink *netlink, return_orphans_each *each, void *context);

#endif
