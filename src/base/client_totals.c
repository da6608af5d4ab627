/* SPDX-License-Identifier: MIT */
/* A hash table with open addressing, at most half full. */
#include "base/client_totals.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Slots of the first table. */
#define FIRST_SIZE 256

void client_totals_init(struct client_totals *totals, const struct siphash_key *secret)
{
	*totals = (struct client_totals){.secret = *secret};
}

void client_totals_finish(struct client_totals *totals)
{
	free(totals->slots);
	totals->slots = NULL;
	totals->slot_count = totals->count = 0;
}

/* The client's place, or the free one where it would be. */
static struct client_total *slot_of(const struct client_totals *totals,
				    const struct address *client)
{
	uint64_t at = siphash_1_3(&totals->secret, client->ip, sizeof(client->ip)) + client->family;
	struct client_total *slot;

	do
		slot = &totals->slots[at++ & (totals->slot_count - 1)];
	while (slot->sessions > 0 && !address_equal_ip(&slot->client, client));
	return slot;
}

static int grow(struct client_totals *totals)
{
	struct client_totals larger = *totals;

	larger.slot_count = totals->slot_count > 0 ? totals->slot_count * 2 : FIRST_SIZE;
	larger.slots = calloc(larger.slot_count, sizeof(*larger.slots));
	if (larger.slots == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < totals->slot_count; i++) {
		const struct client_total *slot = &totals->slots[i];

		if (slot->sessions > 0)
			*slot_of(&larger, &slot->client) = *slot;
	}
	free(totals->slots);
	totals->slots = larger.slots;
	totals->slot_count = larger.slot_count;
	return 0;
}

int client_totals_add(struct client_totals *totals, const struct client_total *more)
{
	struct client_total *slot;

	if (totals->count * 2 >= totals->slot_count && grow(totals) < 0)
		return -ENOMEM;
	slot = slot_of(totals, &more->client);
	if (slot->sessions == 0) {
		totals->count++;
		slot->client = more->client;
		slot->client.port = 0;
	}
	slot->sessions += more->sessions;
	slot->bytes_from_client += more->bytes_from_client;
	slot->bytes_from_upstream += more->bytes_from_upstream;
	return 0;
}

int client_totals_merge(struct client_totals *totals, const struct client_totals *from)
{
	assert(totals != from);
	for (size_t i = 0; i < from->slot_count; i++) {
		if (from->slots[i].sessions > 0 && client_totals_add(totals, &from->slots[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int compare(const void *left, const void *right)
{
	const struct client_total *a = left, *b = right;
	uint64_t a_bytes = a->bytes_from_client + a->bytes_from_upstream;
	uint64_t b_bytes = b->bytes_from_client + b->bytes_from_upstream;

	if (a_bytes != b_bytes)
		return a_bytes < b_bytes ? 1 : -1;
	if (a->sessions != b->sessions)
		return a->sessions < b->sessions ? 1 : -1;
	if (a->client.family != b->client.family)
		return a->client.family - b->client.family;
	return memcmp(a->client.ip, b->client.ip, sizeof(a->client.ip));
}

size_t client_totals_top(struct client_totals *totals, struct client_total *top, size_t most)
{
	size_t count = 0;

	for (size_t i = 0; i < totals->slot_count; i++) {
		if (totals->slots[i].sessions > 0)
			totals->slots[count++] = totals->slots[i];
	}
	if (count == 0)
		return 0;
	qsort(totals->slots, count, sizeof(*totals->slots), compare);
	if (most > count)
		most = count;
	memcpy(top, totals->slots, most * sizeof(*top));
	return most;
}
