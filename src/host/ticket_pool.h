/* SPDX-License-Identifier: MIT */
/*
 * A worker's tickets: verdicts that plugins have put off. A ticket is taken and given back on the
 * worker's thread; in between any thread may complete it, which puts it into the worker's inbox and
 * wakes the worker. The pool is bounded, allocated when the first ticket is taken, and nothing that
 * completes a ticket can fail for want of memory.
 */
#ifndef MMPROXY_HOST_TICKET_POOL_H
#define MMPROXY_HOST_TICKET_POOL_H

#include <mmproxy/plugin.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "base/log_limiter.h"
#include "base/timer_wheel.h"

struct loop;
struct mmproxy_instance;
struct plugin_session;

/* Tickets that one worker may have out. */
#define TICKET_POOL_SIZE 1024

/* A plugin's reason, with its NUL. */
#define TICKET_WHY_SIZE 121

struct ticket;

/* What becomes of a ticket that its session has not given back; each is to give it back. */
struct ticket_fate {
	void (*completed)(struct ticket *ticket); /* the verdict is there */
	void (*expired)(struct timer *timer);     /* ticket->timer has run out */
};

enum ticket_state {
	TICKET_FREE,
	TICKET_AWAITED,   /* handed out */
	TICKET_COMPLETED, /* the verdict is in the worker's inbox */
};

struct ticket {
	struct list link;   /* pool->free or pool->completed */
	struct timer timer; /* the entry's timeout; the worker's alone, as are the next three */
	struct plugin_session *session;
	const struct ticket_fate *fate;
	struct mmproxy_instance *instance;
	uint64_t use; /* how many times it has been taken: makes its number unique */
	enum ticket_state state;
	int verdict;
	char why[TICKET_WHY_SIZE]; /* empty: none was given */
};

struct ticket_pool {
	pthread_mutex_t lock; /* of the lists and of what a ticket says, but for its timer */
	struct ticket *tickets;
	struct list free;
	struct list completed;
	unsigned worker;
	int wake;          /* eventfd that wakes the worker; -1 while there is none to wake */
	struct loop *loop; /* the worker's; as all below only for its thread */
	struct log_limiter log_limiter;
};

void ticket_pool_init(struct ticket_pool *pool, unsigned worker);
void ticket_pool_finish(struct ticket_pool *pool);

/* The worker's loop is there, and an eventfd upon which it calls ticket_pool_deliver(). */
void ticket_pool_attach(struct ticket_pool *pool, struct loop *loop, int wake);
/* They are going; no ticket is out any more. */
void ticket_pool_detach(struct ticket_pool *pool);

/* `fate` outlives the ticket. NULL when all are out, or memory is. */
struct ticket *ticket_pool_take(struct ticket_pool *pool, struct plugin_session *session,
				struct mmproxy_instance *instance, const struct ticket_fate *fate);

/*
 * The ticket is void from now on. Returns what it was: TICKET_AWAITED when nobody has completed it,
 * and so its plugin believes that somebody waits.
 */
enum ticket_state ticket_pool_release(struct ticket_pool *pool, struct ticket *ticket);

mmproxy_ticket ticket_number(const struct ticket_pool *pool, const struct ticket *ticket);

/*
 * From any thread. Returns 0, or -ESTALE when the number is not of a ticket that the instance
 * awaits here.
 */
int ticket_pool_complete(struct ticket_pool *pool, struct mmproxy_instance *instance,
			 mmproxy_ticket number, int verdict, const char *why);

/* Whose pool a ticket's number is of. */
static inline unsigned ticket_worker(mmproxy_ticket number)
{
	return (unsigned)(number >> 12) & 0xff;
}

/* Hands each completed ticket to its fate. */
void ticket_pool_deliver(struct ticket_pool *pool);

#endif
