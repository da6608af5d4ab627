/* SPDX-License-Identifier: MIT */
/*
 * One listener's word that a dial of its has timed out, from any worker to the main thread, which
 * looks into it. Until it has looked, further ones say nothing new and cost nothing.
 */
#ifndef MMPROXY_RELAY_DIAL_TIMEOUTS_H
#define MMPROXY_RELAY_DIAL_TIMEOUTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>

#include "base/address.h"

struct dial_timeouts {
	atomic_uint told; /* a bit for each family of upstreams */
	int wake;         /* eventfd of whoever looks into it */
};

static inline unsigned dial_timeouts_bit(enum address_family family)
{
	return family == ADDRESS_IPV4 ? 1 : 2;
}

static inline void dial_timeouts_tell(struct dial_timeouts *timeouts, enum address_family family)
{
	unsigned bit = dial_timeouts_bit(family);

	if ((atomic_fetch_or(&timeouts->told, bit) & bit) == 0)
		eventfd_write(timeouts->wake, 1);
}

static inline bool dial_timeouts_told(struct dial_timeouts *timeouts, enum address_family family)
{
	return (atomic_load(&timeouts->told) & dial_timeouts_bit(family)) != 0;
}

/* The next one is to be told again. */
static inline void dial_timeouts_forget(struct dial_timeouts *timeouts, enum address_family family)
{
	atomic_fetch_and(&timeouts->told, ~dial_timeouts_bit(family));
}

#endif
