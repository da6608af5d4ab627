/* SPDX-License-Identifier: MIT */
/*
 * What is known of each client: its bucket, and how many sessions it has. For any number of threads
 * at once. Of bounded size: a client that has no session makes room for another.
 */
#ifndef RATELIMIT_TABLE_H
#define RATELIMIT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bucket.h"

struct ratelimit_limits {
	struct ratelimit_rate rate; /* of new sessions */
	uint32_t max_sessions;      /* at once; 0: no limit, and sessions are not counted */
	uint32_t max_clients;       /* at least 1; what a table has is a little more at the most */
};

enum ratelimit_answer {
	RATELIMIT_ADMITTED,
	RATELIMIT_TOO_FAST,
	RATELIMIT_TOO_MANY,
	RATELIMIT_TABLE_FULL, /* admitted, and not counted: all others have sessions */
};

struct ratelimit_table;
struct ratelimit_place;

/* NULL with errno set: ENOMEM, or what getrandom() has to say. */
struct ratelimit_table *ratelimit_table_create(const struct ratelimit_limits *limits);
void ratelimit_table_destroy(struct ratelimit_table *table); /* takes NULL */

/*
 * A session begins: `client` is whatever the caller knows one by, `now` is in milliseconds. *place
 * is what ratelimit_table_end() wants at the end of the session, or NULL: nothing was counted.
 * *evicted says whether another client was forgotten although its bucket was not full yet.
 */
enum ratelimit_answer ratelimit_table_begin(struct ratelimit_table *table,
					    const uint8_t client[static 16], uint64_t now,
					    struct ratelimit_place **place, bool *evicted);

/* Once for each place that was handed out. */
void ratelimit_table_end(struct ratelimit_table *table, struct ratelimit_place *place);

#endif
