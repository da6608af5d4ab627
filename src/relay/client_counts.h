/* SPDX-License-Identifier: MIT */
/*
 * How many sessions and flows each client has at a listener, in all workers together, where the
 * listener limits that. Asked when a session begins and ends, never for a byte. A client is an IPv4
 * address or a /64 of IPv6, which a subscriber has at the least.
 *
 * A client takes memory from its first session to its last, so sessions bound the table's size.
 */
#ifndef MMPROXY_RELAY_CLIENT_COUNTS_H
#define MMPROXY_RELAY_CLIENT_COUNTS_H

#include <pthread.h>
#include <stddef.h>

#include "base/siphash.h"

/* Workers meet in one lock of these only where two clients hash alike. */
#define CLIENT_COUNTS_LOCKS 64

struct address;
struct client_count; /* of one client at one listener */

struct client_counts {
	struct siphash_key secret;
	struct client_count **buckets;
	size_t mask;
	struct client_counts_lock {
		_Alignas(64) pthread_mutex_t mutex;
	} locks[CLIENT_COUNTS_LOCKS]; /* of the buckets, by their number */
};

/* For about `capacity` clients: more only make it slower. Returns 0 or -ENOMEM. */
int client_counts_init(struct client_counts *counts, unsigned capacity,
		       const struct siphash_key *secret);
void client_counts_finish(struct client_counts *counts); /* nobody is counted by then */

/*
 * One more of this client at `listener`, which is any address that stands for it. Returns 0 and
 * what to give back; -EDQUOT when the client has `limit` already (0: no limit); or -ENOMEM.
 */
int client_counts_take(struct client_counts *counts, const void *listener,
		       const struct address *client, unsigned limit, struct client_count **count);

/* Takes NULL, for whoever was not counted. */
void client_counts_give_back(struct client_counts *counts, struct client_count *count);

#endif
