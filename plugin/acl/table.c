/* SPDX-License-Identifier: MIT */
/*
 * One hash table for the prefixes of both families and all lengths, asked once for each length that
 * occurs, the longest first. So a question takes as many steps as the lists have different lengths
 * (at most 33 for IPv4 and 129 for IPv6, in most lists fewer than ten), however many prefixes they
 * have. A trie would take a step for each bit, or megabytes for wide steps; a sorted array a step
 * for each doubling of the list, and its nested prefixes would have to be cut apart.
 *
 * Lists of bad addresses are often made by machines from what strangers do, so a stranger may have
 * a say in what stands in them. Therefore the hash is a random member of a family that is proven to
 * be strongly universal (Dietzfelbinger's multiply-shift for vectors: any two keys meet in a bucket
 * with the probability of chance, whoever chose them before the numbers were drawn), and entries
 * that meet are chained, so that nobody pays for his neighbours. Clients only ask, and see no hash.
 *
 * An entry has 28 bytes and its share of the buckets 4 to 8, which is 3.3 MB for 100,000 prefixes.
 * Room that growing leaves behind the last entry is never touched, so it is no memory.
 */
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Entries and buckets at first; a power of two. */
#define TABLE_CAPACITY_LEAST 16U

/* Entries are numbered with 32 bits. */
#define TABLE_CAPACITY_MOST (1U << 30)

/* Number of an entry that is none. */
#define NONE UINT32_MAX

/* The lengths that occur in a family, the longest first. */
struct lengths {
	uint8_t lengths[129];
	unsigned count;
};

struct acl_table {
	struct acl_entry *entries;
	uint32_t *buckets; /* as many as `capacity` */
	uint32_t count;
	uint32_t capacity;
	struct lengths ipv4;
	struct lengths ipv6;
	uint64_t factors[6]; /* of the hash: a summand, four words, family and length */
};

struct acl_table *acl_table_create(void)
{
	struct acl_table *table = calloc(1, sizeof(*table));

	if (table == NULL)
		return NULL;
	/* So few bytes come whole or not at all: getrandom(2). */
	if (getrandom(table->factors, sizeof(table->factors), 0) < 0) {
		int error = errno;

		free(table);
		errno = error;
		return NULL;
	}
	return table;
}

void acl_table_destroy(struct acl_table *table)
{
	if (table == NULL)
		return;
	free(table->entries);
	free(table->buckets);
	free(table);
}

/* The upper half of the sum is the hash, and any bits of it are as good as others. */
static uint32_t hash(const struct acl_table *table, const struct acl_prefix *prefix)
{
	uint32_t kind = prefix->length | (prefix->ipv6 ? 256U : 0U);
	uint64_t sum = table->factors[0] + table->factors[5] * kind;
	uint32_t words[4];

	memcpy(words, prefix->ip, sizeof(words));
	for (unsigned i = 0; i < 4; i++)
		sum += table->factors[i + 1] * words[i];
	return (uint32_t)(sum >> 32);
}

static uint32_t *bucket_of(const struct acl_table *table, const struct acl_prefix *prefix)
{
	return &table->buckets[hash(table, prefix) & (table->capacity - 1)];
}

static struct acl_entry *find_exact(const struct acl_table *table, const struct acl_prefix *prefix)
{
	uint32_t number = *bucket_of(table, prefix);

	while (number != NONE) {
		struct acl_entry *entry = &table->entries[number];

		if (entry->prefix.length == prefix->length && entry->prefix.ipv6 == prefix->ipv6 &&
		    memcmp(entry->prefix.ip, prefix->ip, sizeof(prefix->ip)) == 0)
			return entry;
		number = entry->next;
	}
	return NULL;
}

static void link_entry(struct acl_table *table, uint32_t number)
{
	uint32_t *bucket = bucket_of(table, &table->entries[number].prefix);

	table->entries[number].next = *bucket;
	*bucket = number;
}

static int grow(struct acl_table *table)
{
	uint32_t capacity = table->capacity > 0 ? table->capacity * 2 : TABLE_CAPACITY_LEAST;
	struct acl_entry *entries;
	uint32_t *buckets;

	if (capacity > TABLE_CAPACITY_MOST)
		return -ENOMEM;
	entries = reallocarray(table->entries, capacity, sizeof(*entries));
	if (entries == NULL)
		return -ENOMEM;
	table->entries = entries;
	buckets = reallocarray(table->buckets, capacity, sizeof(*buckets));
	if (buckets == NULL)
		return -ENOMEM;
	memset(buckets, 0xff, capacity * sizeof(*buckets)); /* each is NONE */
	table->buckets = buckets;
	table->capacity = capacity;
	for (uint32_t number = 0; number < table->count; number++)
		link_entry(table, number);
	return 0;
}

static void note_length(struct lengths *lengths, uint8_t length)
{
	unsigned place = 0;

	while (place < lengths->count && lengths->lengths[place] > length)
		place++;
	if (place < lengths->count && lengths->lengths[place] == length)
		return;
	memmove(&lengths->lengths[place + 1], &lengths->lengths[place], lengths->count - place);
	lengths->lengths[place] = length;
	lengths->count++;
}

int acl_table_add(struct acl_table *table, const struct acl_prefix *prefix,
		  struct acl_entry **entry)
{
	if (table->count > 0) {
		*entry = find_exact(table, prefix);
		if (*entry != NULL)
			return 1;
	}
	if (table->count == table->capacity) {
		int error = grow(table);

		if (error < 0)
			return error;
	}
	*entry = &table->entries[table->count];
	**entry = (struct acl_entry){.prefix = *prefix};
	link_entry(table, table->count++);
	note_length(prefix->ipv6 ? &table->ipv6 : &table->ipv4, prefix->length);
	return 0;
}

const struct acl_entry *acl_table_find(const struct acl_table *table,
				       const struct acl_prefix *address)
{
	const struct lengths *lengths = address->ipv6 ? &table->ipv6 : &table->ipv4;
	struct acl_prefix prefix = *address;

	for (unsigned i = 0; i < lengths->count; i++) {
		const struct acl_entry *entry;

		/* Each is shorter than the one before, so bits are only ever taken away. */
		acl_prefix_shorten(&prefix, lengths->lengths[i]);
		entry = find_exact(table, &prefix);
		if (entry != NULL)
			return entry;
	}
	return NULL;
}

size_t acl_table_count(const struct acl_table *table)
{
	return table->count;
}
