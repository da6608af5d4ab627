/* SPDX-License-Identifier: MIT */
/* A hash table of chained counts. Whatever is in a bucket is read under the bucket's lock. */
#include "relay/client_counts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"

/* Bytes of an IPv6 address that tell two clients apart. */
#define IPV6_CLIENT_BYTES 8

/* What a client is known by. */
struct client_key {
	const void *listener;
	uint8_t ip[16]; /* zero behind what makes a client */
	uint8_t family;
};

struct client_count {
	struct client_count *next;
	uint64_t hash;
	struct client_key key;
	unsigned sessions;
};

int client_counts_init(struct client_counts *counts, unsigned capacity,
		       const struct siphash_key *secret)
{
	size_t buckets = CLIENT_COUNTS_LOCKS;

	while (buckets < capacity)
		buckets *= 2;
	*counts = (struct client_counts){.secret = *secret, .mask = buckets - 1};
	/* Zeroed pages that nobody has touched cost nothing. */
	counts->buckets = calloc(buckets, sizeof(struct client_count *));
	if (counts->buckets == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < CLIENT_COUNTS_LOCKS; i++)
		pthread_mutex_init(&counts->locks[i].mutex, NULL);
	return 0;
}

void client_counts_finish(struct client_counts *counts)
{
	if (counts->buckets == NULL)
		return;
	for (unsigned i = 0; i < CLIENT_COUNTS_LOCKS; i++)
		pthread_mutex_destroy(&counts->locks[i].mutex);
	free(counts->buckets);
	counts->buckets = NULL;
}

static struct client_key key_of(const void *listener, const struct address *client)
{
	struct client_key key = {.listener = listener, .family = client->family};

	memcpy(key.ip, client->ip,
	       client->family == ADDRESS_IPV6 ? IPV6_CLIENT_BYTES : sizeof(key.ip));
	return key;
}

static bool keys_equal(const struct client_key *a, const struct client_key *b)
{
	return a->listener == b->listener && a->family == b->family &&
	       memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

/* Without the padding. */
static uint64_t hash_of(const struct client_counts *counts, const struct client_key *key)
{
	uint8_t packed[sizeof(key->listener) + sizeof(key->ip) + sizeof(key->family)];

	memcpy(packed, &key->listener, sizeof(key->listener));
	memcpy(packed + sizeof(key->listener), key->ip, sizeof(key->ip));
	packed[sizeof(packed) - 1] = key->family;
	return siphash_1_3(&counts->secret, packed, sizeof(packed));
}

static pthread_mutex_t *lock_of(struct client_counts *counts, uint64_t hash)
{
	return &counts->locks[hash % CLIENT_COUNTS_LOCKS].mutex;
}

static struct client_count **bucket_of(const struct client_counts *counts, uint64_t hash)
{
	return &counts->buckets[hash & counts->mask];
}

/* The client's count, or a new one of 0; NULL when out of memory. */
static struct client_count *obtain(struct client_counts *counts, const struct client_key *key,
				   uint64_t hash)
{
	struct client_count **bucket = bucket_of(counts, hash), *count = *bucket;

	while (count != NULL && (count->hash != hash || !keys_equal(&count->key, key)))
		count = count->next;
	if (count != NULL)
		return count;
	count = calloc(1, sizeof(*count));
	if (count == NULL)
		return NULL;
	count->next = *bucket;
	count->hash = hash;
	count->key = *key;
	*bucket = count;
	return count;
}

int client_counts_take(struct client_counts *counts, const void *listener,
		       const struct address *client, unsigned limit, struct client_count **count)
{
	const struct client_key key = key_of(listener, client);
	uint64_t hash = hash_of(counts, &key);
	pthread_mutex_t *lock = lock_of(counts, hash);
	struct client_count *found;
	int error = 0;

	pthread_mutex_lock(lock);
	found = obtain(counts, &key, hash);
	if (found == NULL)
		error = -ENOMEM;
	else if (limit > 0 && found->sessions >= limit)
		error = -EDQUOT;
	else
		found->sessions++;
	pthread_mutex_unlock(lock);
	*count = error == 0 ? found : NULL;
	return error;
}

void client_counts_give_back(struct client_counts *counts, struct client_count *count)
{
	pthread_mutex_t *lock;

	if (count == NULL)
		return;
	lock = lock_of(counts, count->hash);
	pthread_mutex_lock(lock);
	if (--count->sessions == 0) {
		struct client_count **place = bucket_of(counts, count->hash);

		while (*place != count)
			place = &(*place)->next;
		*place = count->next;
		free(count);
	}
	pthread_mutex_unlock(lock);
}
