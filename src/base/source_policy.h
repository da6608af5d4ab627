/* SPDX-License-Identifier: MIT */
/*
 * Which client addresses a header may name. With IP_TRANSPARENT the kernel takes many that no
 * honest client has, and turns some of them (multicast, broadcast, 0.0.0.0) into 127.0.0.1 or ::1:
 * a header could then log in as a trusted local process. Judged after parsing, before anything else
 * sees the address; a connection's own endpoints (LOCAL, UNKNOWN) are not judged here.
 */
#ifndef MMPROXY_BASE_SOURCE_POLICY_H
#define MMPROXY_BASE_SOURCE_POLICY_H

#include <stdbool.h>

#include "base/address.h"
#include "base/close_reason.h"
#include "base/prefix_set.h"

/* The host's own addresses, as far as the policy must know them. */
struct source_own {
	const struct prefix_set *addresses;  /* of its interfaces */
	const struct prefix_set *broadcasts; /* directed broadcasts of its subnets */
};

/*
 * Returns true when `client` may be dialled from. Otherwise *reason says which rule refused it.
 * `permit` (may be NULL) opens any range except those that no socket can send from: unspecified,
 * multicast and broadcast.
 */
bool source_policy_permits(const struct address *client, const struct prefix_set *permit,
			   const struct source_own *own, enum close_reason *reason);

#endif
