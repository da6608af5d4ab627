/* SPDX-License-Identifier: MIT */
/*
 * The table is cut into shards, each with a lock, a hash table with chains, and a queue of its
 * clients that have no session, by when they last asked. A lock is held for a few steps, whatever
 * the table holds: a chain has one or two clients, since nobody can aim at it (hash.h).
 *
 * When all places are taken the queue's head makes room: of the first few, one whose bucket is
 * full, so that nothing is lost with it, or else is full first. A client that keeps on asking stays
 * near the end of the queue, refused or not, so it cannot get rid of its past by waiting for a
 * flood of others. A client with sessions is not in the queue and never leaves: its sessions have
 * pointers to its place.
 */
#include "table.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "hash.h"

/* Enough that the workers rarely meet; so few that chance fills them evenly. */
#define TABLE_SHARDS 16U

/* Clients. Below, one shard: cut up, it would be full long before it has so many. */
#define TABLE_SHARDED_LEAST 4096U

/* Places at the queue's head that are looked at for the one to go. */
#define TABLE_CANDIDATES 8U

#define NANOSECONDS 1000000U /* of a millisecond */

/* Places are named by their numbers in the shard, counted from 1; 0 is none. */
struct ratelimit_place {
	uint8_t client[16];
	uint64_t full_at; /* nanoseconds, see bucket.h */
	uint32_t sessions;
	uint32_t next;  /* of the chain */
	uint32_t older; /* of the queue: only while there are no sessions */
	uint32_t newer;
};

struct shard {
	/* Workers that hold different locks do not share a cache line. */
	_Alignas(64) pthread_mutex_t lock;
	struct ratelimit_place *places;
	uint32_t *buckets;
	uint32_t used; /* places; those behind have never been used */
	uint32_t oldest, newest;
};

struct ratelimit_table {
	struct ratelimit_limits limits;
	struct ratelimit_key key;
	uint32_t shard_count;
	uint32_t shard_places;  /* places a shard */
	uint32_t shard_buckets; /* buckets a shard, a power of two */
	struct ratelimit_place *places;
	uint32_t *buckets;
	struct shard shards[TABLE_SHARDS];
};

static uint32_t power_of_two(uint32_t least)
{
	uint32_t power = 1;

	while (power < least)
		power *= 2;
	return power;
}

/* Memory that no client has reached yet is not there: large zeroed blocks come untouched. */
static int allocate(struct ratelimit_table *table)
{
	table->places = calloc(table->shard_count, table->shard_places * sizeof(*table->places));
	table->buckets = calloc(table->shard_count, table->shard_buckets * sizeof(*table->buckets));
	if (table->places == NULL || table->buckets == NULL)
		return -ENOMEM;
	/* So few bytes come whole or not at all: getrandom(2). */
	return getrandom(&table->key, sizeof(table->key), 0) < 0 ? -errno : 0;
}

struct ratelimit_table *ratelimit_table_create(const struct ratelimit_limits *limits)
{
	struct ratelimit_table *table = aligned_alloc(_Alignof(struct shard), sizeof(*table));
	int error;

	if (table == NULL)
		return NULL;
	memset(table, 0, sizeof(*table));
	table->limits = *limits;
	table->shard_count = limits->max_clients < TABLE_SHARDED_LEAST ? 1 : TABLE_SHARDS;
	table->shard_places = (limits->max_clients - 1) / table->shard_count + 1;
	table->shard_buckets = power_of_two(table->shard_places);
	error = allocate(table);
	if (error < 0) {
		free(table->places);
		free(table->buckets);
		free(table);
		errno = -error;
		return NULL;
	}
	for (uint32_t i = 0; i < table->shard_count; i++) {
		struct shard *shard = &table->shards[i];

		pthread_mutex_init(&shard->lock, NULL); /* cannot fail without attributes */
		shard->places = table->places + (size_t)i * table->shard_places;
		shard->buckets = table->buckets + (size_t)i * table->shard_buckets;
	}
	return table;
}

void ratelimit_table_destroy(struct ratelimit_table *table)
{
	if (table == NULL)
		return;
	for (uint32_t i = 0; i < table->shard_count; i++)
		pthread_mutex_destroy(&table->shards[i].lock);
	free(table->places);
	free(table->buckets);
	free(table);
}

static struct ratelimit_place *place_at(const struct shard *shard, uint32_t number)
{
	return number > 0 ? &shard->places[number - 1] : NULL;
}

static uint32_t number_of(const struct shard *shard, const struct ratelimit_place *place)
{
	return (uint32_t)(place - shard->places) + 1;
}

static void queue_append(struct shard *shard, struct ratelimit_place *place)
{
	struct ratelimit_place *newest = place_at(shard, shard->newest);

	place->older = shard->newest;
	place->newer = 0;
	shard->newest = number_of(shard, place);
	*(newest != NULL ? &newest->newer : &shard->oldest) = shard->newest;
}

static void queue_remove(struct shard *shard, const struct ratelimit_place *place)
{
	struct ratelimit_place *older = place_at(shard, place->older);
	struct ratelimit_place *newer = place_at(shard, place->newer);

	*(older != NULL ? &older->newer : &shard->oldest) = place->newer;
	*(newer != NULL ? &newer->older : &shard->newest) = place->older;
}

/* The lower half of a hash says the bucket, the upper half has said the shard. */
static uint32_t *bucket_of(const struct ratelimit_table *table, const struct shard *shard,
			   uint64_t hash)
{
	return &shard->buckets[hash & (table->shard_buckets - 1)];
}

static struct ratelimit_place *find(const struct shard *shard, const uint32_t *bucket,
				    const uint8_t client[static 16])
{
	struct ratelimit_place *place = place_at(shard, *bucket);

	while (place != NULL && memcmp(place->client, client, sizeof(place->client)) != 0)
		place = place_at(shard, place->next);
	return place;
}

static void chain_remove(const struct ratelimit_table *table, const struct shard *shard,
			 const struct ratelimit_place *place)
{
	uint32_t number = number_of(shard, place);
	uint32_t *link = bucket_of(table, shard, ratelimit_hash(&table->key, place->client));

	while (*link != number)
		link = &place_at(shard, *link)->next;
	*link = place->next;
}

/* Whose place is the next to be reused; NULL when everybody has sessions. */
static struct ratelimit_place *choose_leaving(const struct shard *shard, uint64_t now)
{
	struct ratelimit_place *place = place_at(shard, shard->oldest), *chosen = place;

	for (unsigned i = 0; i < TABLE_CANDIDATES && place != NULL; i++) {
		if (place->full_at < chosen->full_at)
			chosen = place;
		if (chosen->full_at <= now)
			break;
		place = place_at(shard, place->newer);
	}
	return chosen;
}

static struct ratelimit_place *take_place(const struct ratelimit_table *table, struct shard *shard,
					  uint32_t *bucket, const uint8_t client[static 16],
					  uint64_t now, bool *evicted)
{
	struct ratelimit_place *place;

	if (shard->used < table->shard_places) {
		place = place_at(shard, ++shard->used);
	} else {
		place = choose_leaving(shard, now);
		if (place == NULL)
			return NULL;
		*evicted = place->full_at > now;
		queue_remove(shard, place);
		chain_remove(table, shard, place);
	}
	*place = (struct ratelimit_place){.next = *bucket};
	memcpy(place->client, client, sizeof(place->client));
	*bucket = number_of(shard, place);
	queue_append(shard, place);
	return place;
}

/* Sessions first: who has enough of them does not pay for asking. */
static enum ratelimit_answer judge(const struct ratelimit_limits *limits,
				   struct ratelimit_place *place, uint64_t now)
{
	if (limits->max_sessions > 0 && place->sessions >= limits->max_sessions)
		return RATELIMIT_TOO_MANY;
	if (!ratelimit_bucket_take(&place->full_at, &limits->rate, now))
		return RATELIMIT_TOO_FAST;
	return RATELIMIT_ADMITTED;
}

enum ratelimit_answer ratelimit_table_begin(struct ratelimit_table *table,
					    const uint8_t client[static 16], uint64_t now,
					    struct ratelimit_place **place, bool *evicted)
{
	uint64_t hash = ratelimit_hash(&table->key, client);
	struct shard *shard = &table->shards[(hash >> 32) % table->shard_count];
	uint32_t *bucket = bucket_of(table, shard, hash);
	enum ratelimit_answer answer = RATELIMIT_TABLE_FULL;
	struct ratelimit_place *asking;

	*place = NULL;
	*evicted = false;
	now *= NANOSECONDS;
	pthread_mutex_lock(&shard->lock);
	asking = find(shard, bucket, client);
	if (asking == NULL)
		asking = take_place(table, shard, bucket, client, now, evicted);
	if (asking != NULL) {
		if (asking->sessions == 0)
			queue_remove(shard, asking);
		answer = judge(&table->limits, asking, now);
		if (answer == RATELIMIT_ADMITTED && table->limits.max_sessions > 0) {
			asking->sessions++;
			*place = asking;
		}
		if (asking->sessions == 0)
			queue_append(shard, asking);
	}
	pthread_mutex_unlock(&shard->lock);
	return answer;
}

void ratelimit_table_end(struct ratelimit_table *table, struct ratelimit_place *place)
{
	size_t number = (size_t)(place - table->places);
	struct shard *shard = &table->shards[number / table->shard_places];

	pthread_mutex_lock(&shard->lock);
	assert(place->sessions > 0);
	if (--place->sessions == 0)
		queue_append(shard, place);
	pthread_mutex_unlock(&shard->lock);
}
