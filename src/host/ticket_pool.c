/* SPDX-License-Identifier: MIT */
/* Tickets, and the way of a verdict from whatever thread gives it to the session's worker. */
#include "host/ticket_pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/utf8.h"

/* A ticket's number, from the lowest bit: its place in the pool, the worker, how often it was used.
 */
#define PLACE_BITS  12
#define WORKER_BITS 8

_Static_assert(TICKET_POOL_SIZE <= 1 << PLACE_BITS, "a place fits into its bits");

void ticket_pool_init(struct ticket_pool *pool, unsigned worker)
{
	*pool = (struct ticket_pool){.worker = worker, .wake = -1};
	pthread_mutex_init(&pool->lock, NULL);
	list_init(&pool->free);
	list_init(&pool->completed);
}

void ticket_pool_finish(struct ticket_pool *pool)
{
	pthread_mutex_destroy(&pool->lock);
	free(pool->tickets);
}

void ticket_pool_attach(struct ticket_pool *pool, struct loop *loop, int wake)
{
	pthread_mutex_lock(&pool->lock);
	pool->loop = loop;
	pool->wake = wake;
	pthread_mutex_unlock(&pool->lock);
}

void ticket_pool_detach(struct ticket_pool *pool)
{
	ticket_pool_attach(pool, NULL, -1);
}

/* With the lock held. */
static void allocate(struct ticket_pool *pool)
{
	pool->tickets = calloc(TICKET_POOL_SIZE, sizeof(*pool->tickets));
	for (unsigned i = 0; pool->tickets != NULL && i < TICKET_POOL_SIZE; i++) {
		list_append(&pool->free, &pool->tickets[i].link);
	}
}

struct ticket *ticket_pool_take(struct ticket_pool *pool, struct plugin_session *session,
				struct mmproxy_instance *instance, const struct ticket_fate *fate)
{
	struct ticket *ticket = NULL;

	pthread_mutex_lock(&pool->lock);
	if (pool->tickets == NULL)
		allocate(pool);
	if (!list_empty(&pool->free)) {
		ticket = container_of(pool->free.next, struct ticket, link);
		list_remove(&ticket->link);
		timer_init(&ticket->timer, fate->expired);
		ticket->session = session;
		ticket->fate = fate;
		ticket->instance = instance;
		ticket->use++;
		ticket->state = TICKET_AWAITED;
		ticket->why[0] = '\0';
	}
	pthread_mutex_unlock(&pool->lock);
	return ticket;
}

enum ticket_state ticket_pool_release(struct ticket_pool *pool, struct ticket *ticket)
{
	enum ticket_state state;

	timer_drop(&ticket->timer);
	pthread_mutex_lock(&pool->lock);
	state = ticket->state;
	ticket->state = TICKET_FREE;
	/* From the inbox, if it is there. To the end: a number is not used again for long. */
	list_remove(&ticket->link);
	list_append(&pool->free, &ticket->link);
	pthread_mutex_unlock(&pool->lock);
	return state;
}

mmproxy_ticket ticket_number(const struct ticket_pool *pool, const struct ticket *ticket)
{
	uint64_t place = (uint64_t)(ticket - pool->tickets);

	return ticket->use << (PLACE_BITS + WORKER_BITS) | (uint64_t)pool->worker << PLACE_BITS |
	       place;
}

int ticket_pool_complete(struct ticket_pool *pool, struct mmproxy_instance *instance,
			 mmproxy_ticket number, int verdict, const char *why)
{
	size_t place = number & ((1 << PLACE_BITS) - 1);
	struct ticket *ticket = NULL;

	pthread_mutex_lock(&pool->lock);
	if (pool->tickets != NULL && place < TICKET_POOL_SIZE)
		ticket = &pool->tickets[place];
	if (ticket == NULL || ticket->state != TICKET_AWAITED || ticket->instance != instance ||
	    ticket_number(pool, ticket) != number) {
		pthread_mutex_unlock(&pool->lock);
		return -ESTALE;
	}
	ticket->state = TICKET_COMPLETED;
	ticket->verdict = verdict;
	why = why != NULL ? why : "";
	snprintf(ticket->why, sizeof(ticket->why), "%.*s", (int)utf8_cut(why, TICKET_WHY_SIZE - 1),
		 why);
	list_append(&pool->completed, &ticket->link);
	/* Under the lock: the descriptor is the worker's, and goes with it. */
	eventfd_write(pool->wake, 1);
	pthread_mutex_unlock(&pool->lock);
	return 0;
}

void ticket_pool_deliver(struct ticket_pool *pool)
{
	for (;;) {
		struct ticket *ticket = NULL;

		/* One at a time: what a session does now may void the tickets of others. */
		pthread_mutex_lock(&pool->lock);
		if (!list_empty(&pool->completed))
			ticket = container_of(pool->completed.next, struct ticket, link);
		pthread_mutex_unlock(&pool->lock);
		if (ticket == NULL)
			return;
		ticket->fate->completed(ticket);
	}
}
