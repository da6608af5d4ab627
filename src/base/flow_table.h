/* SPDX-License-Identifier: MIT */
/*
 * Which UDP flow does a datagram belong to, and which one leaves when there is no room? A hash
 * table whose keys an attacker may pick, so its hash is keyed with a secret; and two queues by last
 * use.
 *
 * A flow starts in the first queue and moves to the second when it is assured: both sides have
 * spoken, and then the client again. Room is made in the first queue while there is anything in it.
 * So a flood of clients that are never heard of twice pushes out one another, not the flows that
 * are alive. (The kernel's connection tracking does the same.)
 *
 * The table owns no flow; whoever does embeds a struct flow_entry.
 */
#ifndef MMPROXY_BASE_FLOW_TABLE_H
#define MMPROXY_BASE_FLOW_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/list.h"
#include "base/siphash.h"

#define FLOW_TABLE_STEPS 64

/*
 * Where every datagram has a header: the client and the destination that it names. Where only the
 * first has: the balancer's own address, and no destination.
 */
struct flow_key {
	struct address source;
	struct address destination;
};

bool flow_key_equal(const struct flow_key *a, const struct flow_key *b);

struct flow_entry {
	struct flow_entry *next; /* of the same bucket */
	struct list link;        /* of its queue */
	uint64_t hash;
	uint64_t last_used; /* milliseconds, the caller's clock */
	struct flow_key key;
	bool assured;
};

struct flow_table {
	struct siphash_key secret;
	struct flow_entry **buckets;
	size_t mask;
	unsigned count;
	unsigned fresh_count; /* of them */
	struct list fresh;    /* not assured; least recently used first */
	struct list assured;  /* least recently used first */
};

/* For about `capacity` flows: more only make it slower. Returns 0 or -ENOMEM. */
int flow_table_init(struct flow_table *table, unsigned capacity, const struct siphash_key *secret);
void flow_table_finish(struct flow_table *table); /* empty by then */

uint64_t flow_table_hash(const struct flow_table *table, const struct flow_key *key);

/* NULL when there is none. */
struct flow_entry *flow_table_find(const struct flow_table *table, const struct flow_key *key,
				   uint64_t hash);

/* Fills the entry. The key must not be in the table. */
void flow_table_add(struct flow_table *table, struct flow_entry *entry, const struct flow_key *key,
		    uint64_t hash, uint64_t now);
void flow_table_remove(struct flow_table *table, struct flow_entry *entry);

void flow_table_touch(struct flow_table *table, struct flow_entry *entry, uint64_t now);
/*
 * It was used at a time that has passed, but after what is known of it. Looks for its place among
 * FLOW_TABLE_STEPS others that were used later; if that is not enough, it takes the time of the
 * last of them, so that the queues stay in order.
 */
void flow_table_touch_at(struct flow_table *table, struct flow_entry *entry, uint64_t when);
/* Is a use as well. Not for one that is assured already. */
void flow_table_assure(struct flow_table *table, struct flow_entry *entry, uint64_t now);

/* Who leaves next to make room; NULL when the table is empty. */
struct flow_entry *flow_table_expendable(const struct flow_table *table);

/* Who has not been used for longest, assured or not; NULL when the table is empty. */
struct flow_entry *flow_table_oldest(const struct flow_table *table);

#endif
