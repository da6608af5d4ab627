/* SPDX-License-Identifier: MIT */
/*
 * UDP clients that were refused a moment ago: a datagram of theirs costs one look in here, instead
 * of another verdict. Bounded: a client may push out another that hashes near it, which is then
 * judged once more.
 */
#ifndef MMPROXY_BASE_DENIAL_CACHE_H
#define MMPROXY_BASE_DENIAL_CACHE_H

#include <stdint.h>

#include "base/address.h"
#include "base/flow_table.h"

/* Clients that are remembered, and how many places one of them may have. */
#define DENIAL_CACHE_PLACES 4096
#define DENIAL_CACHE_WAYS   4

/*
 * Milliseconds. Short, so that a client who is let in again notices little of it, and not prolonged
 * by asking: whoever goes on sending is judged again each time it is over.
 */
#define DENIAL_CACHE_MEMORY 5000

struct denial {
	struct flow_key key; /* of its flow, as the flow table has it */
	struct flow_key who; /* the client and the destination, which need not be in the key */
	uint64_t until;      /* milliseconds, the caller's clock; 0: nobody */
};

struct denial_cache {
	struct denial places[DENIAL_CACHE_PLACES];
};

/* `hash`: flow_table_hash() of the key. */
void denial_cache_add(struct denial_cache *cache, const struct flow_key *key, uint64_t hash,
		      const struct flow_key *who, uint64_t now);

/* Who was refused under this key; NULL: nobody was of late. Takes a NULL cache. */
const struct flow_key *denial_cache_find(const struct denial_cache *cache,
					 const struct flow_key *key, uint64_t hash, uint64_t now);

#endif
