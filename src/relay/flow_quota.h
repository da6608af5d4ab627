/* SPDX-License-Identifier: MIT */
/*
 * How many flows a UDP listener may have, all its sockets together. A socket that needs room makes
 * it among its own flows; but one that has less than its share takes the room from the others: it
 * goes over the limit by one flow and posts a notice, and whoever has more than a share lets one
 * go. So a flood that comes in by one socket can't lock out the clients of another.
 */
#ifndef MMPROXY_RELAY_FLOW_QUOTA_H
#define MMPROXY_RELAY_FLOW_QUOTA_H

#include <stdbool.h>

#include "relay/budget.h"

/* Flows that may be over the limit at once, until others have answered the notices. */
#define FLOW_QUOTA_OVERDRAFT 16

struct flow_quota {
	struct budget flows;
	unsigned share; /* of each socket, at least 1; 0: there is but one socket */
	int notices;    /* eventfd with EFD_SEMAPHORE: flows that somebody is to let go; or -1 */
};

/* For `limit` flows, at least one a socket. Returns 0 or -errno. */
int flow_quota_init(struct flow_quota *quota, unsigned limit, unsigned sockets);
void flow_quota_finish(struct flow_quota *quota);

/* Room for a flow of a socket that has `count` of them, as others are asked to let one go. */
bool flow_quota_overdraw(struct flow_quota *quota, unsigned count);

/* Is a socket that has `count` flows to let one go now? Then one notice is taken down. */
bool flow_quota_owes(const struct flow_quota *quota, unsigned count);

#endif
