/* SPDX-License-Identifier: MIT */
/* Room for new sessions, made by those that wait for their header. */
#include "relay/tcp_room.h"

#include "relay/budget.h"
#include "relay/header_queue.h"
#include "relay/relay.h"
#include "relay/tcp_listener.h"
#include "relay/tcp_session.h"

/*
 * Connections that make room in TCP_ROOM_INTERVAL, of each worker. Without a bound a flood that
 * comes back as soon as it is let go takes the CPU that live sessions need.
 */
#define ROOM_PER_INTERVAL 64

/* Who has waited for a header for longest, at any of this worker's listeners; NULL: it has none. */
static struct header_queue *oldest_queue(const struct relay *relay)
{
	struct header_queue *oldest = NULL;

	for (const struct list *link = relay->listeners.next; link != &relay->listeners;
	     link = link->next) {
		struct header_queue *queue =
			container_of(link, struct tcp_listener, link)->header_queue;

		if (oldest == NULL || header_queue_oldest(queue) < header_queue_oldest(oldest))
			oldest = queue;
	}
	return oldest;
}

/* Whose room can be had now, of this queue. */
static struct tcp_session *find_in(struct relay *relay, const struct header_queue *queue)
{
	uint64_t interval = relay->loop.now / TCP_ROOM_INTERVAL;

	if (relay->room_interval != interval) {
		relay->room_interval = interval;
		relay->room_made = 0;
	}
	if (queue == NULL || relay->room_made >= ROOM_PER_INTERVAL)
		return NULL;
	return header_queue_find(queue, relay->loop.now);
}

struct tcp_session *tcp_room_find_descriptor(struct relay *relay)
{
	return find_in(relay, oldest_queue(relay));
}

struct tcp_session *tcp_room_find(struct tcp_listener *listener)
{
	struct relay *relay = listener->relay;
	struct budget *budget = relay->descriptors;
	struct header_queue *queue = oldest_queue(relay);
	struct tcp_session *found;

	if (budget_is_full(listener->budget)) {
		budget = listener->budget;
		queue = listener->header_queue;
	}
	found = find_in(relay, queue);
	if (found == NULL)
		budget_ask_for_room(budget);
	return found;
}

void tcp_room_make(struct tcp_session *session)
{
	session->relay->room_made++;
	tcp_header_evicted(session);
}

/*
 * Does somebody want room in this budget? Then as many connections make it as may, of this queue
 * (NULL: of any).
 */
static bool leave_room(struct relay *relay, struct budget *budget, struct header_queue *queue)
{
	if (!budget_wants_room(budget))
		return false;
	for (;;) {
		struct tcp_session *found =
			find_in(relay, queue != NULL ? queue : oldest_queue(relay));

		if (found == NULL)
			return true;
		tcp_room_make(found);
		budget_stop_asking(budget);
	}
}

void tcp_room_leave(struct timer *timer)
{
	struct relay *relay = container_of(timer, struct relay, room);
	bool wanted = leave_room(relay, relay->descriptors, NULL), waiting = false;

	for (struct list *link = relay->listeners.next; link != &relay->listeners;
	     link = link->next) {
		struct tcp_listener *listener = container_of(link, struct tcp_listener, link);

		wanted = leave_room(relay, listener->budget, listener->header_queue) || wanted;
		waiting = waiting || !list_empty(&listener->header_queue->sessions);
	}
	if (waiting)
		loop_timer_set(&relay->loop, timer,
			       wanted ? TCP_ROOM_INTERVAL : HEADER_QUEUE_GRACE);
}
