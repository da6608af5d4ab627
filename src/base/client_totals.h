/* SPDX-License-Identifier: MIT */
/*
 * What each client has of the sessions that live, added up by its address. Clients may pick their
 * addresses, so the table's hash is keyed with a secret.
 */
#ifndef MMPROXY_BASE_CLIENT_TOTALS_H
#define MMPROXY_BASE_CLIENT_TOTALS_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/siphash.h"

struct client_total {
	struct address client; /* its port does not count */
	uint64_t sessions;     /* 0: the place in the table is free */
	uint64_t bytes_from_client;
	uint64_t bytes_from_upstream;
};

struct client_totals {
	struct siphash_key secret;
	struct client_total *slots; /* a power of two of them; NULL: none yet */
	size_t slot_count;
	size_t count; /* clients */
};

void client_totals_init(struct client_totals *totals, const struct siphash_key *secret);
void client_totals_finish(struct client_totals *totals);

/* Adds to the client's total, or begins it. Returns 0 or -ENOMEM with nothing changed. */
int client_totals_add(struct client_totals *totals, const struct client_total *more);

/* Adds all of `from`, which is another one, maybe with another secret. Returns 0 or -ENOMEM. */
int client_totals_merge(struct client_totals *totals, const struct client_totals *from);

/*
 * Writes the `most` clients with the most bytes, both ways together, the first one first; of two
 * with as many, the one with more sessions. Returns how many. Nothing but client_totals_finish()
 * may follow.
 */
size_t client_totals_top(struct client_totals *totals, struct client_total *top, size_t most);

#endif
