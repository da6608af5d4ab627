/* SPDX-License-Identifier: MIT */
/* A table of flows: chained buckets, and the two queues of who was used when. */
#include "base/flow_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int flow_table_init(struct flow_table *table, unsigned capacity, const struct siphash_key *secret)
{
	size_t buckets = 16;

	while (buckets < capacity)
		buckets *= 2;
	*table = (struct flow_table){.secret = *secret, .mask = buckets - 1};
	list_init(&table->fresh);
	list_init(&table->assured);
	/* Zeroed pages that nobody has touched cost nothing. */
	table->buckets = calloc(buckets, sizeof(struct flow_entry *));
	return table->buckets != NULL ? 0 : -ENOMEM;
}

void flow_table_finish(struct flow_table *table)
{
	free(table->buckets);
	table->buckets = NULL;
}

/* Every byte that tells two addresses apart, and no padding. */
static uint8_t *pack(uint8_t *to, const struct address *address)
{
	memcpy(to, address->ip, sizeof(address->ip));
	memcpy(to + 16, &address->port, sizeof(address->port));
	to[18] = address->family;
	return to + 19;
}

uint64_t flow_table_hash(const struct flow_table *table, const struct flow_key *key)
{
	uint8_t packed[2 * 19];

	pack(pack(packed, &key->source), &key->destination);
	return siphash_1_3(&table->secret, packed, sizeof(packed));
}

static struct flow_entry **bucket_of(const struct flow_table *table, uint64_t hash)
{
	return &table->buckets[hash & table->mask];
}

bool flow_key_equal(const struct flow_key *a, const struct flow_key *b)
{
	return address_equal(&a->source, &b->source) &&
	       address_equal(&a->destination, &b->destination);
}

struct flow_entry *flow_table_find(const struct flow_table *table, const struct flow_key *key,
				   uint64_t hash)
{
	struct flow_entry *entry = *bucket_of(table, hash);

	while (entry != NULL && (entry->hash != hash || !flow_key_equal(&entry->key, key)))
		entry = entry->next;
	return entry;
}

void flow_table_add(struct flow_table *table, struct flow_entry *entry, const struct flow_key *key,
		    uint64_t hash, uint64_t now)
{
	struct flow_entry **bucket = bucket_of(table, hash);

	*entry = (struct flow_entry){
		.next = *bucket,
		.hash = hash,
		.last_used = now,
		.key = *key,
	};
	*bucket = entry;
	list_append(&table->fresh, &entry->link);
	table->count++;
	table->fresh_count++;
}

void flow_table_remove(struct flow_table *table, struct flow_entry *entry)
{
	struct flow_entry **place = bucket_of(table, entry->hash);

	while (*place != entry)
		place = &(*place)->next;
	*place = entry->next;
	list_remove(&entry->link);
	table->count--;
	table->fresh_count -= !entry->assured;
}

void flow_table_touch(struct flow_table *table, struct flow_entry *entry, uint64_t now)
{
	entry->last_used = now;
	list_remove(&entry->link);
	list_append(entry->assured ? &table->assured : &table->fresh, &entry->link);
}

void flow_table_touch_at(struct flow_table *table, struct flow_entry *entry, uint64_t when)
{
	struct list *queue = entry->assured ? &table->assured : &table->fresh;
	struct list *after;

	list_remove(&entry->link);
	after = queue->previous;
	for (unsigned i = 0; after != queue; after = after->previous) {
		uint64_t used = container_of(after, struct flow_entry, link)->last_used;

		if (used <= when)
			break;
		if (++i == FLOW_TABLE_STEPS) {
			when = used;
			break;
		}
	}
	entry->last_used = when;
	/* Before the one that follows it is at the end of what comes first. */
	list_append(after->next, &entry->link);
}

void flow_table_assure(struct flow_table *table, struct flow_entry *entry, uint64_t now)
{
	entry->assured = true;
	table->fresh_count--;
	flow_table_touch(table, entry, now);
}

static struct flow_entry *first_of(const struct list *queue)
{
	return list_empty(queue) ? NULL : container_of(queue->next, struct flow_entry, link);
}

struct flow_entry *flow_table_expendable(const struct flow_table *table)
{
	struct flow_entry *fresh = first_of(&table->fresh);

	return fresh != NULL ? fresh : first_of(&table->assured);
}

struct flow_entry *flow_table_oldest(const struct flow_table *table)
{
	struct flow_entry *fresh = first_of(&table->fresh);
	struct flow_entry *assured = first_of(&table->assured);

	if (fresh == NULL || assured == NULL)
		return fresh != NULL ? fresh : assured;
	return fresh->last_used <= assured->last_used ? fresh : assured;
}
