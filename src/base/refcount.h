/* SPDX-License-Identifier: MIT */
/* A count of holders, to be embedded in what is shared between threads and freed by the last. */
#ifndef MMPROXY_BASE_REFCOUNT_H
#define MMPROXY_BASE_REFCOUNT_H

#include <stdatomic.h>

struct refcount {
	atomic_uint holders;
	void (*destroy)(struct refcount *refcount); /* called once, by whoever lets go last */
};

static inline void refcount_init(struct refcount *refcount, void (*destroy)(struct refcount *))
{
	atomic_init(&refcount->holders, 1);
	refcount->destroy = destroy;
}

static inline void refcount_take(struct refcount *refcount)
{
	atomic_fetch_add_explicit(&refcount->holders, 1, memory_order_relaxed);
}

static inline void refcount_drop(struct refcount *refcount)
{
	if (atomic_fetch_sub_explicit(&refcount->holders, 1, memory_order_acq_rel) == 1)
		refcount->destroy(refcount);
}

#endif
