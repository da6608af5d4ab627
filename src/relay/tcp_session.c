/* SPDX-License-Identifier: MIT */
/* How a TCP session begins and ends, and where its events go in between. */
#include "relay/tcp_session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "os/sys.h"
#include "relay/budget.h"
#include "relay/client_counts.h"
#include "relay/header_queue.h"
#include "relay/session_log.h"
#include "relay/session_plugins.h"
#include "relay/tcp.h"
#include "relay/tcp_listener.h"
#include "relay/tcp_offload.h"
#include "wire/proxy_header.h"

static void client_ready(struct loop_source *source, uint32_t events);
static void upstream_ready(struct loop_source *source, uint32_t events);
static void timer_expired(struct timer *timer);
static void task_run(struct loop_task *task);

static void end_init(struct tcp_end *end, int fd,
		     void (*ready)(struct loop_source *source, uint32_t events))
{
	*end = (struct tcp_end){.source = {ready}, .fd = fd};
}

struct tcp_session *tcp_session_create(struct relay *relay, const struct tcp_start *start,
				       uint64_t id)
{
	struct tcp_session *session = calloc(1, sizeof(*session));

	if (session == NULL)
		return NULL;
	end_init(&session->client, start->fd, client_ready);
	end_init(&session->upstream, -1, upstream_ready);
	session->client.readable = session->client.writable = true;
	session->down.to_client = true;
	session->relay = relay;
	session->settings = start->settings;
	session->listener_budget = start->listener_budget;
	session->header_queue = start->header_queue;
	list_init(&session->waiting);
	timer_init(&session->timer, timer_expired);
	loop_task_init(&session->task, task_run);
	session->id = id;
	session->started = session->last_active = relay->loop.now;
	session->step_began = relay->sys->clock();
	session->balancer = session->client_address = start->balancer;
	session->state = TCP_HEADER;
	refcount_take(start->settings->owner);
	session_plugins_hold(relay, start->settings);
	list_append(&relay->sessions, &session->link);
	relay_count_session(relay, start->listener_budget, 1);
	return session;
}

void tcp_start(struct relay *relay, const struct tcp_start *start)
{
	struct tcp_session *session;

	counter_add(&relay->counters, COUNTER_SESSIONS_ACCEPTED, 1);
	budget_count(start->listener_budget);
	session = tcp_session_create(relay, start, relay_new_session_id(relay));
	if (session == NULL) {
		session_log_no_memory(relay, start->settings, &start->balancer);
		counter_add(&relay->counters, counter_of_close(CLOSE_NO_MEMORY), 1);
		relay->sys->close(start->fd);
		budget_give_back(start->listener_budget);
		budget_give_back(relay->descriptors);
		return;
	}
	tcp_header_start(session);
}

int tcp_session_watch(struct tcp_session *session, struct tcp_end *end, uint32_t more_events)
{
	int error =
		loop_watch(&session->relay->loop, end->fd,
			   EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET | more_events, &end->source);

	end->watched = error == 0;
	end->watches_out = (more_events & EPOLLOUT) != 0;
	if (error < 0) {
		session->failed_step = "epoll_ctl";
		session->error = error;
	}
	return error;
}

bool tcp_session_close_if_left(struct tcp_session *session)
{
	if (!session->client.broken || session->relay->sys->socket_error(session->client.fd) >= 0)
		return false;
	/* HAProxy resets its checks as soon as it has sent their header. */
	tcp_session_close(session, session->header_local ? CLOSE_CHECK_LEFT : CLOSE_CLIENT_LEFT);
	return true;
}

static void client_ready(struct loop_source *source, uint32_t events)
{
	struct tcp_session *session = container_of(source, struct tcp_session, client.source);

	tcp_end_note_events(&session->client, events);
	switch ((enum tcp_state)session->state) {
	case TCP_HEADER:
		tcp_header_client_ready(session);
		break;
	case TCP_VERDICT:
		tcp_verdict_client_ready(session);
		break;
	case TCP_DIAL:
		tcp_dial_ready(session);
		break;
	case TCP_RELAY:
	case TCP_RESETTING:
		tcp_relay_advance(session);
		break;
	case TCP_SETTLING:
	case TCP_MOVED:
	case TCP_OFFLOADED:
	case TCP_CLOSED:
		break;
	}
}

static void upstream_ready(struct loop_source *source, uint32_t events)
{
	struct tcp_session *session = container_of(source, struct tcp_session, upstream.source);

	tcp_end_note_events(&session->upstream, events);
	if (session->state == TCP_DIAL)
		tcp_dial_ready(session);
	else
		tcp_relay_advance(session);
}

static void timer_expired(struct timer *timer)
{
	struct tcp_session *session = container_of(timer, struct tcp_session, timer);

	switch ((enum tcp_state)session->state) {
	case TCP_HEADER:
		tcp_header_expired(session);
		break;
	case TCP_DIAL:
		tcp_dial_expired(session);
		break;
	case TCP_RELAY:
	case TCP_RESETTING:
		tcp_relay_expired(session);
		break;
	case TCP_SETTLING:
		tcp_settling_expired(session);
		break;
	case TCP_MOVED:
	case TCP_OFFLOADED:
		tcp_carried_expired(session);
		break;
	case TCP_VERDICT: /* its plugins' ticket has a timer of its own */
	case TCP_CLOSED:
		break;
	}
}

static void task_run(struct loop_task *task)
{
	struct tcp_session *session = container_of(task, struct tcp_session, task);

	if (session->state == TCP_CLOSED)
		free(session);
	else
		tcp_relay_advance(session);
}

static const char *header_text(const struct tcp_session *session)
{
	if (session->header_version == 0)
		return NULL;
	if (session->header_local)
		return "local";
	return session->header_version == PROXY_VERSION_1 ? "v1" : "v2";
}

/* Where the upstream sees the client, when that is not the client's own port. */
static struct address replaced_source(const struct tcp_session *session)
{
	struct sockaddr_storage source;

	if (!session->port_replaced || session->upstream.fd < 0 ||
	    session->relay->sys->local_address(session->upstream.fd, &source) < 0)
		return (struct address){.family = ADDRESS_NONE};
	return address_from_sockaddr(&source);
}

static struct session_end end_of(const struct tcp_session *session, enum close_reason reason)
{
	return (struct session_end){
		.settings = session->settings,
		.reason = reason,
		.id = session->id,
		.started = session->started,
		.header = header_text(session),
		.client = session->client_address,
		.upstream_sees = replaced_source(session),
		.balancer = session->balancer,
		.destination = session->destination_address,
		.failed_step = session->failed_step,
		.error = session->error,
		.bytes_from_client = session->up.bytes,
		.bytes_from_upstream = session->down.bytes,
	};
}

static void close_end(struct tcp_session *session, struct tcp_end *end, bool reset)
{
	end->source.ready = loop_ignore;
	if (end->fd < 0)
		return;
	if (reset)
		session->relay->sys->reset_on_close(end->fd);
	session->relay->sys->close(end->fd);
	end->fd = -1;
}

/* Has the stream bytes that its sink has not got? */
static bool unfinished(const struct stream *stream, const struct tcp_end *source)
{
	return stream->held != NULL || (stream->pipe != NULL && stream->pipe->length > 0) ||
	       (source->readable && !stream->finished);
}

/* A reset says "not finished": it goes to whoever might take the end for an orderly one. */
static bool ends_with_reset(const struct tcp_session *session, enum close_reason reason)
{
	switch (close_reason_kind(reason)) {
	case CLOSE_KIND_FAIL:
		return true;
	case CLOSE_KIND_QUIET:
		return false;
	case CLOSE_KIND_REFUSE:
		return reason == CLOSE_PLUGIN_RESET;
	case CLOSE_KIND_END:
		break;
	}
	if (reason == CLOSE_IDLE_TIMEOUT)
		return unfinished(&session->up, &session->client) ||
		       unfinished(&session->down, &session->upstream);
	return reason != CLOSE_FINISHED;
}

void tcp_session_close(struct tcp_session *session, enum close_reason reason)
{
	struct relay *relay = session->relay;
	struct session_end end;
	bool reset;

	/* First: it may bring the last figures, and sockets to tell the far ends by. */
	if (session->offload != NULL)
		tcp_offload_close(session, reason);
	end = end_of(session, reason);
	reset = ends_with_reset(session, reason);
	session_log_end(relay, &end);
	counter_add(&relay->counters, counter_of_close(reason), 1);
	session_plugins_close(session->plugins, &end);
	session->plugins = NULL;
	stream_discard(relay, &session->up);
	stream_discard(relay, &session->down);
	close_end(session, &session->client, reset);
	close_end(session, &session->upstream, reset);
	timer_drop(&session->timer);
	header_queue_leave(session);
	list_remove(&session->link);
	client_counts_give_back(relay->client_counts, session->client_count);
	relay_count_session(relay, session->listener_budget, -1);
	session->state = TCP_CLOSED;

	session_plugins_release(relay, session->settings);
	budget_give_back(session->listener_budget);
	if (!session->without_sockets)
		budget_give_back(relay->descriptors);
	refcount_drop(session->settings->owner); /* with it the listener's budget may go */
	tcp_listeners_resume(relay);
	/* This round's events may still name the session. */
	loop_task_drop(&session->task);
	loop_defer(&relay->loop, &session->task);
}

void tcp_close_all(struct relay *relay)
{
	while (!list_empty(&relay->sessions)) {
		struct tcp_session *session =
			container_of(relay->sessions.next, struct tcp_session, link);
		bool stays = relay->leaving && session->state == TCP_OFFLOADED;

		tcp_session_close(session, stays ? CLOSE_LEFT_TO_KERNEL : CLOSE_SHUTDOWN);
	}
}
