/* SPDX-License-Identifier: MIT */
/*
 * The host's own addresses, for the source policy, and a descriptor that tells when they change.
 */
#ifndef MMPROXY_OS_OWN_ADDRESSES_H
#define MMPROXY_OS_OWN_ADDRESSES_H

#include "base/refcount.h"
#include "base/source_policy.h"

struct own_addresses {
	struct refcount refcount;
	struct source_own own; /* sealed sets, never NULL */
};

/* A list with one holder, or NULL with errno set. */
struct own_addresses *own_addresses_read(void);

/* A netlink descriptor that is readable after a change; -errno when there is none to be had. */
int own_addresses_open_notices(void);
/* Empties it. */
void own_addresses_drain_notices(int fd);

#endif
