/* SPDX-License-Identifier: MIT */
/* A set-associative table: each key has a few places side by side. */
#include "base/denial_cache.h"

static unsigned first_place(uint64_t hash)
{
	return (unsigned)(hash % (DENIAL_CACHE_PLACES / DENIAL_CACHE_WAYS)) * DENIAL_CACHE_WAYS;
}

void denial_cache_add(struct denial_cache *cache, const struct flow_key *key, uint64_t hash,
		      const struct flow_key *who, uint64_t now)
{
	struct denial *places = &cache->places[first_place(hash)];
	struct denial *chosen = &places[0];

	/* Its own place, if it has one; else the one that is over first. */
	for (unsigned i = 0; i < DENIAL_CACHE_WAYS; i++) {
		if (places[i].until != 0 && flow_key_equal(&places[i].key, key)) {
			chosen = &places[i];
			break;
		}
		if (places[i].until < chosen->until)
			chosen = &places[i];
	}
	*chosen = (struct denial){*key, *who, now + DENIAL_CACHE_MEMORY};
}

const struct flow_key *denial_cache_find(const struct denial_cache *cache,
					 const struct flow_key *key, uint64_t hash, uint64_t now)
{
	const struct denial *places;

	if (cache == NULL)
		return NULL;
	places = &cache->places[first_place(hash)];
	for (unsigned i = 0; i < DENIAL_CACHE_WAYS; i++) {
		if (places[i].until > now && flow_key_equal(&places[i].key, key))
			return &places[i].who;
	}
	return NULL;
}
