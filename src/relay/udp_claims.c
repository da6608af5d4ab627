/* SPDX-License-Identifier: MIT */
/* Claims on pairs of client and upstream. Whatever is in a bucket is read under the lock. */
#include "relay/udp_claims.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "offload/udp_datapath.h"

int udp_claims_init(struct udp_claims *claims, unsigned capacity, const struct siphash_key *secret)
{
	size_t buckets = 16;

	while (buckets < capacity)
		buckets *= 2;
	*claims = (struct udp_claims){.secret = *secret, .mask = buckets - 1};
	claims->buckets = calloc(buckets, sizeof(struct udp_claim *));
	if (claims->buckets == NULL)
		return -ENOMEM;
	pthread_mutex_init(&claims->lock, NULL);
	pthread_mutex_init(&claims->turn, NULL);
	return 0;
}

void udp_claims_finish(struct udp_claims *claims)
{
	if (claims->buckets == NULL)
		return;
	pthread_mutex_destroy(&claims->lock);
	pthread_mutex_destroy(&claims->turn);
	free(claims->buckets);
	claims->buckets = NULL;
}

/* The upstreams are few, so the client alone spreads the claims. */
static struct udp_claim **bucket_of(const struct udp_claims *claims, const struct address *client)
{
	uint8_t packed[sizeof(client->ip) + sizeof(client->port)];

	memcpy(packed, client->ip, sizeof(client->ip));
	memcpy(packed + sizeof(client->ip), &client->port, sizeof(client->port));
	return &claims->buckets[siphash_1_3(&claims->secret, packed, sizeof(packed)) &
				claims->mask];
}

static void take_back(struct udp_claim *claim)
{
	if (claim->places != NULL)
		udp_datapath_take(claim->datapath, claim->places);
	claim->places = NULL;
}

static void unlink_claim(struct udp_claims *claims, struct udp_claim *claim)
{
	struct udp_claim **place = bucket_of(claims, &claim->client);

	while (*place != claim)
		place = &(*place)->next;
	*place = claim->next;
	claim->stands = false;
	take_back(claim);
}

static struct udp_claim *find(const struct udp_claims *claims, const struct address *client,
			      const struct address *upstream)
{
	struct udp_claim *claim = *bucket_of(claims, client);

	while (claim != NULL && (!address_equal(&claim->client, client) ||
				 !address_equal(&claim->upstream, upstream)))
		claim = claim->next;
	return claim;
}

static struct udp_claim *find_twin(const struct udp_claims *claims, const struct udp_claim *claim)
{
	return find(claims, &claim->client, &claim->upstream);
}

/* Names are unique, and a reload makes another copy of them. */
static bool same_flow(const struct udp_claim *a, const struct udp_claim *b)
{
	return address_equal(&a->destination, &b->destination) &&
	       strcmp(a->listener, b->listener) == 0;
}

enum udp_claim_result udp_claim_make(struct udp_claims *claims, struct udp_claim *claim)
{
	enum udp_claim_result result = UDP_CLAIM_NEW;
	struct udp_claim **bucket, *twin;

	pthread_mutex_lock(&claims->lock);
	twin = find_twin(claims, claim);
	if (twin != NULL && !same_flow(twin, claim)) {
		result = UDP_CLAIM_REFUSED;
	} else {
		if (twin != NULL) {
			unlink_claim(claims, twin);
			atomic_store_explicit(&twin->lost, true, memory_order_relaxed);
			result = UDP_CLAIM_TAKEN_OVER;
		}
		bucket = bucket_of(claims, &claim->client);
		claim->next = *bucket;
		claim->stands = true;
		atomic_store_explicit(&claim->lost, false, memory_order_relaxed);
		*bucket = claim;
	}
	pthread_mutex_unlock(&claims->lock);
	return result;
}

bool udp_claim_stands(struct udp_claims *claims, const struct udp_claim *claim)
{
	bool stands;

	pthread_mutex_lock(&claims->lock);
	stands = claim->stands;
	pthread_mutex_unlock(&claims->lock);
	return stands;
}

bool udp_claim_has_forerunner(struct udp_claims *claims, const struct udp_claim *claim)
{
	const struct udp_claim *twin;
	bool has;

	pthread_mutex_lock(&claims->lock);
	twin = find_twin(claims, claim);
	has = twin != NULL && same_flow(twin, claim);
	pthread_mutex_unlock(&claims->lock);
	return has;
}

void udp_claims_take_turn(struct udp_claims *claims)
{
	pthread_mutex_lock(&claims->turn);
}

void udp_claims_end_turn(struct udp_claims *claims)
{
	pthread_mutex_unlock(&claims->turn);
}

int udp_claim_hand_over(struct udp_claims *claims, struct udp_claim *claim,
			struct datapath *datapath, const struct udp_places *places,
			const struct offload_udp_flow *flow,
			const struct offload_udp_record *record)
{
	int error = -ESTALE;

	/* Whoever takes it over has to find all of it in the kernel, or nothing. */
	pthread_mutex_lock(&claims->lock);
	if (claim->stands)
		error = udp_datapath_give(datapath, places, flow, record);
	if (error == 0) {
		claim->datapath = datapath;
		claim->places = places;
	}
	pthread_mutex_unlock(&claims->lock);
	return error;
}

void udp_claim_leave(struct udp_claims *claims, struct udp_claim *claim)
{
	pthread_mutex_lock(&claims->lock);
	claim->places = NULL;
	pthread_mutex_unlock(&claims->lock);
}

void udp_claim_take_back(struct udp_claims *claims, struct udp_claim *claim)
{
	pthread_mutex_lock(&claims->lock);
	take_back(claim);
	pthread_mutex_unlock(&claims->lock);
}

struct udp_claim *udp_claim_find(struct udp_claims *claims, const struct address *client,
				 const struct address *upstream, const void *owner)
{
	struct udp_claim *claim;

	pthread_mutex_lock(&claims->lock);
	claim = find(claims, client, upstream);
	if (claim != NULL && claim->owner != owner)
		claim = NULL;
	pthread_mutex_unlock(&claims->lock);
	return claim;
}

bool udp_claim_exists(struct udp_claims *claims, const struct address *client,
		      const struct address *upstream)
{
	bool exists;

	pthread_mutex_lock(&claims->lock);
	exists = find(claims, client, upstream) != NULL;
	pthread_mutex_unlock(&claims->lock);
	return exists;
}

void udp_claim_drop(struct udp_claims *claims, struct udp_claim *claim)
{
	pthread_mutex_lock(&claims->lock);
	if (claim->stands)
		unlink_claim(claims, claim);
	pthread_mutex_unlock(&claims->lock);
}
