/* SPDX-License-Identifier: MIT */
/*
 * The counter registry: one table (counter.def) and the close reasons name every counter there is.
 * Each worker has its own set and is its only writer; anyone may read and add sets up.
 */
#ifndef MMPROXY_BASE_COUNTER_H
#define MMPROXY_BASE_COUNTER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/close_reason.h"

enum counter {
#define COUNTER(id, name, sentence) COUNTER_##id,
#include "base/counter.def"
#undef COUNTER
	COUNTER_FIRST_CLOSED, /* one for each close reason from here on */
	COUNTER_COUNT = COUNTER_FIRST_CLOSED + CLOSE_REASON_COUNT,
};

struct counter_set {
	_Atomic uint64_t values[COUNTER_COUNT];
};

/* The only writer needs no locked instruction, a reader in another thread no more than this. */
static inline void counter_add(struct counter_set *set, enum counter counter, uint64_t amount)
{
	_Atomic uint64_t *value = &set->values[counter];

	atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + amount,
			      memory_order_relaxed);
}

static inline uint64_t counter_read(const struct counter_set *set, enum counter counter)
{
	return atomic_load_explicit(&set->values[counter], memory_order_relaxed);
}

static inline enum counter counter_of_close(enum close_reason reason)
{
	return (enum counter)(COUNTER_FIRST_CLOSED + reason);
}

/* Writes the counter's name, at most COUNTER_NAME_SIZE bytes with its NUL. */
#define COUNTER_NAME_SIZE 64
void counter_name(enum counter counter, char name[static COUNTER_NAME_SIZE]);

#endif
