/* SPDX-License-Identifier: MIT */
/* Sessions that wait for their header, and which of them go when there are too many. */
#include "relay/header_queue.h"

#include "os/sys.h"
#include "relay/tcp_session.h"

/* How many are looked at for one that is silent. */
#define LOOKS 8

static struct tcp_session *first_of(const struct header_queue *queue)
{
	return container_of(queue->sessions.next, struct tcp_session, waiting);
}

uint64_t header_queue_oldest(const struct header_queue *queue)
{
	return list_empty(&queue->sessions) ? UINT64_MAX : first_of(queue)->started;
}

/* A worker that got no CPU finds a connection old whose header has come, and is not read yet. */
static bool has_something_to_say(const struct tcp_session *session)
{
	return session->relay->sys->unread(session->client.fd) > 0;
}

/* Of those that have waited longest, since `before` or earlier. NULL: none of them. */
static struct tcp_session *find_silent(const struct header_queue *queue, uint64_t before)
{
	struct list *link = queue->sessions.next;

	for (unsigned i = 0; i < LOOKS && link != &queue->sessions; i++, link = link->next) {
		struct tcp_session *session = container_of(link, struct tcp_session, waiting);

		if (session->started > before)
			return NULL;
		if (!has_something_to_say(session))
			return session;
	}
	return NULL;
}

struct tcp_session *header_queue_find(const struct header_queue *queue, uint64_t now)
{
	uint64_t grace =
		queue->count > HEADER_QUEUE_FEW ? HEADER_QUEUE_GRACE_CROWDED : HEADER_QUEUE_GRACE;

	return now >= grace ? find_silent(queue, now - grace) : NULL;
}

/* This worker's part of max_waiting_headers. */
static unsigned queue_limit(const struct tcp_session *session)
{
	unsigned workers = session->relay->worker_count;

	return (session->settings->max_waiting_headers + workers - 1) / workers;
}

static void make_room_beside(const struct tcp_session *session)
{
	struct tcp_session *silent = find_silent(session->header_queue, UINT64_MAX);

	tcp_header_evicted(silent != NULL && silent != session ? silent
							       : first_of(session->header_queue));
}

void header_queue_enter(struct tcp_session *session)
{
	struct header_queue *queue = session->header_queue;
	struct relay *relay = session->relay;

	list_append(&queue->sessions, &session->waiting);
	queue->count++;
	if (relay->worker_count > 1 && !timer_is_set(&relay->room))
		loop_timer_set(&relay->loop, &relay->room, HEADER_QUEUE_GRACE);
	if (session->settings->max_waiting_headers == 0)
		return;
	while (queue->count > queue_limit(session))
		make_room_beside(session);
}

void header_queue_leave(struct tcp_session *session)
{
	if (list_empty(&session->waiting))
		return;
	list_remove(&session->waiting);
	session->header_queue->count--;
}
