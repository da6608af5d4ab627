/* SPDX-License-Identifier: MIT */
/*
 * How many sessions may live at once, shared by all workers: one for the process, so that no
 * session is accepted whose second descriptor would be missing at the dial, and one for each
 * listener.
 */
#ifndef MMPROXY_RELAY_BUDGET_H
#define MMPROXY_RELAY_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct budget {
	atomic_uint used;       /* a place is taken before it is known whether somebody waits */
	atomic_uint limit;      /* 0: none */
	atomic_uint alive;      /* sessions or flows that there are */
	_Atomic uint64_t begun; /* that ever were */
	atomic_bool wanted;     /* somebody waits for room, and has none to make */
};

static inline bool budget_take(struct budget *budget)
{
	unsigned limit = atomic_load_explicit(&budget->limit, memory_order_relaxed);

	if (atomic_fetch_add_explicit(&budget->used, 1, memory_order_relaxed) < limit || limit == 0)
		return true;
	atomic_fetch_sub_explicit(&budget->used, 1, memory_order_relaxed);
	return false;
}

/* Whatever the limit: the caller has just given one back, or keeps another bound. */
static inline unsigned budget_take_anyway(struct budget *budget)
{
	return atomic_fetch_add_explicit(&budget->used, 1, memory_order_relaxed);
}

/* One has begun. */
static inline void budget_count(struct budget *budget)
{
	atomic_fetch_add_explicit(&budget->begun, 1, memory_order_relaxed);
}

static inline void budget_give_back(struct budget *budget)
{
	atomic_fetch_sub_explicit(&budget->used, 1, memory_order_relaxed);
}

static inline bool budget_is_full(const struct budget *budget)
{
	unsigned limit = atomic_load_explicit(&budget->limit, memory_order_relaxed);

	return limit > 0 && atomic_load_explicit(&budget->used, memory_order_relaxed) >= limit;
}

/* Other workers may have sessions that can be done without. They look by themselves. */
static inline void budget_ask_for_room(struct budget *budget)
{
	atomic_store_explicit(&budget->wanted, true, memory_order_relaxed);
}

static inline bool budget_wants_room(const struct budget *budget)
{
	return atomic_load_explicit(&budget->wanted, memory_order_relaxed);
}

static inline void budget_stop_asking(struct budget *budget)
{
	if (budget_wants_room(budget))
		atomic_store_explicit(&budget->wanted, false, memory_order_relaxed);
}

#endif
