/* SPDX-License-Identifier: MIT */
/* Accepting connections, and judging the balancers that make them. */
#include "relay/tcp_listener.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "os/log.h"
#include "os/socket.h"
#include "os/sys.h"
#include "relay/budget.h"
#include "relay/relay.h"
#include "relay/session_log.h"
#include "relay/settings.h"
#include "relay/tcp.h"
#include "relay/tcp_room.h"

/* Connections taken in one go, before sessions that are alive get their turn. */
#define ACCEPTS_PER_TURN 64

/* Connections taken before a listener closes: as many as any accept queue holds. */
#define ACCEPTS_AT_CLOSE 65536

/* Room for one more session, or NULL and the reason why there is none. */
static const char *take_budgets(struct tcp_listener *listener)
{
	if (!budget_take(listener->budget))
		return "max_sessions of this listener is reached";
	if (!budget_take(listener->relay->descriptors)) {
		budget_give_back(listener->budget);
		return "there are as many sessions as descriptors for them";
	}
	return NULL;
}

static void give_budgets_back(struct tcp_listener *listener)
{
	budget_give_back(listener->budget);
	budget_give_back(listener->relay->descriptors);
}

static void log_pause(struct tcp_listener *listener, const char *why)
{
	const struct address nobody = {.family = ADDRESS_NONE};
	bool own = budget_is_full(listener->budget);
	const struct budget *budget = own ? listener->budget : listener->relay->descriptors;
	uint64_t suppressed;

	if (!relay_admit_line(listener->relay, &nobody, COUNTER_ACCEPT_PAUSED, &suppressed))
		return;
	log_warning(
		"listener", "accepting paused",
		LOG_TEXT("listener", listener->settings->listener_name), LOG_TEXT("why", why),
		LOG_NUMBER("sessions", atomic_load(&budget->used)),
		LOG_NUMBER("limit", atomic_load(&budget->limit)),
		LOG_TEXT("hint", own ? "raise max_sessions, or see who has them: mmproxyctl clients"
				     : "raise LimitNOFILE of the unit, or ulimit -n"),
		suppressed > 0 ? LOG_NUMBER("suppressed", suppressed) : LOG_NOTHING);
}

static void pause_accepting(struct tcp_listener *listener, const char *why)
{
	struct relay *relay = listener->relay;

	loop_timer_set(&relay->loop, &listener->retry, TCP_ROOM_INTERVAL);
	if (listener->paused)
		return;
	/* Not "for no events": EPOLLEXCLUSIVE cannot be modified. */
	loop_unwatch(&relay->loop, listener->fd);
	listener->paused = true;
	relay->paused++;
	counter_add(&relay->counters, COUNTER_ACCEPT_PAUSED, 1);
	log_pause(listener, why);
}

static bool has_room(struct tcp_listener *listener)
{
	return !budget_is_full(listener->budget) && !budget_is_full(listener->relay->descriptors);
}

/* Ends the pause if there is room; otherwise it goes on, without another word. */
static void resume_accepting(struct tcp_listener *listener)
{
	struct loop *loop = &listener->relay->loop;
	bool room = has_room(listener) || tcp_room_find(listener) != NULL;

	/* Level-triggered: whoever waits is reported in the next round. */
	if (!room || loop_watch(loop, listener->fd, listener->events, &listener->source) < 0) {
		loop_timer_set(loop, &listener->retry, TCP_ROOM_INTERVAL);
		return;
	}
	budget_stop_asking(listener->budget);
	budget_stop_asking(listener->relay->descriptors);
	listener->paused = false;
	listener->relay->paused--;
	timer_drop(&listener->retry);
}

static void retry_expired(struct timer *timer)
{
	struct tcp_listener *listener = container_of(timer, struct tcp_listener, retry);

	if (listener->paused)
		resume_accepting(listener);
}

void tcp_listeners_resume(struct relay *relay)
{
	struct list *link = &relay->listeners;

	while (relay->paused > 0 && (link = link->next) != &relay->listeners) {
		struct tcp_listener *listener = container_of(link, struct tcp_listener, link);

		if (listener->paused)
			resume_accepting(listener);
	}
}

static void refuse_balancer(struct tcp_listener *listener, int fd, const struct address *balancer)
{
	struct relay *relay = listener->relay;

	relay->sys->close(fd);
	give_budgets_back(listener);
	counter_add(&relay->counters, counter_of_close(CLOSE_BALANCER_NOT_ALLOWED), 1);
	session_log_stranger(relay, listener->settings, balancer);
}

static void connection_accepted(struct tcp_listener *listener, int fd,
				const struct sockaddr_storage *peer)
{
	const struct relay_settings *settings = listener->settings;
	const struct tcp_start start = {
		.fd = fd,
		.balancer = address_from_sockaddr(peer),
		.settings = settings,
		.listener_budget = listener->budget,
		.header_queue = listener->header_queue,
	};

	if (settings->subnets != NULL && !prefix_set_contains(settings->subnets, &start.balancer))
		refuse_balancer(listener, fd, &start.balancer);
	else
		tcp_start(listener->relay, &start);
}

/* Takes room for somebody who waits to be accepted, and makes it if need be. */
static const char *take_or_make_room(struct tcp_listener *listener)
{
	const char *why = take_budgets(listener);
	struct tcp_session *leaving;

	if (why == NULL)
		return NULL;
	leaving = tcp_room_find(listener);
	if (leaving == NULL)
		return why;
	tcp_room_make(leaving);
	return take_budgets(listener);
}

/* Takes one connection. Returns false when there is none to be had now. */
static bool accept_one(struct tcp_listener *listener)
{
	struct relay *relay = listener->relay;
	const char *why = take_or_make_room(listener);
	struct tcp_session *leaving;
	struct sockaddr_storage peer;
	int fd;

	if (why != NULL) {
		pause_accepting(listener, why);
		return false;
	}
	fd = relay->sys->accept(listener->fd, &peer);
	if (fd >= 0) {
		connection_accepted(listener, fd, &peer);
		return true;
	}
	give_budgets_back(listener);
	switch (fd) {
	case -EAGAIN:
		return false;
	case -ECONNABORTED:
	case -EINTR:
	case -ENETDOWN:
	case -EPROTO:
	case -ENOPROTOOPT:
	case -EHOSTDOWN:
	case -ENONET:
	case -EHOSTUNREACH:
	case -EOPNOTSUPP:
	case -ENETUNREACH:
	case -EPERM:
	case -ETIMEDOUT:
		/* accept(2): errors of the connection that was waiting, not of the listener. */
		counter_add(&relay->counters, COUNTER_ACCEPT_ERRORS, 1);
		return true;
	default:
		/* Others have taken the descriptors that were counted on. */
		leaving = fd == -EMFILE || fd == -ENFILE ? tcp_room_find_descriptor(relay) : NULL;
		if (leaving != NULL) {
			tcp_room_make(leaving);
			return true;
		}
		pause_accepting(listener, log_error_text(fd));
		return false;
	}
}

static void listener_ready(struct loop_source *source, uint32_t events)
{
	struct tcp_listener *listener = container_of(source, struct tcp_listener, source);

	(void)events;
	/* Level-triggered: for the first one somebody waits, and nobody makes room for nobody. */
	for (unsigned i = 0; i < ACCEPTS_PER_TURN && !listener->paused; i++) {
		if ((i > 0 && !has_room(listener)) || !accept_one(listener))
			break;
	}
}

static void use_settings(struct tcp_listener *listener, const struct relay_settings *settings)
{
	refcount_take(settings->owner);
	listener->settings = settings;
	/* What it accepts inherits these. */
	socket_set_liveness(listener->relay->sys, listener->fd, settings->user_timeout,
			    settings->keepalive);
}

struct tcp_listener *tcp_listener_create(struct relay *relay,
					 const struct tcp_listener_start *start)
{
	struct tcp_listener *listener = calloc(1, sizeof(*listener));
	int error;

	if (listener == NULL) {
		relay->sys->close(start->fd);
		errno = ENOMEM;
		return NULL;
	}
	listener->source.ready = listener_ready;
	listener->relay = relay;
	listener->budget = start->budget;
	listener->header_queue = start->header_queue;
	listener->fd = start->fd;
	/* A connection that comes in is one worker's: the others need not wake for it. */
	listener->events = start->shared ? EPOLLIN | EPOLLEXCLUSIVE : EPOLLIN;
	listener->lives_on = start->lives_on;
	timer_init(&listener->retry, retry_expired);
	use_settings(listener, start->settings);
	list_append(&relay->listeners, &listener->link);
	error = loop_watch(&relay->loop, start->fd, listener->events, &listener->source);
	if (error < 0) {
		listener->paused = true; /* nothing to be taken */
		relay->paused++;
		listener->lives_on = true;
		tcp_listener_destroy(listener);
		errno = -error;
		return NULL;
	}
	return listener;
}

void tcp_listener_set_settings(struct tcp_listener *listener, const struct relay_settings *settings,
			       struct budget *budget, struct header_queue *header_queue)
{
	const struct relay_settings *old = listener->settings;

	listener->budget = budget;
	listener->header_queue = header_queue;
	use_settings(listener, settings);
	refcount_drop(old->owner);
}

/* Those who wait in the queue would be reset. */
static void accept_rest(struct tcp_listener *listener)
{
	if (listener->paused)
		resume_accepting(listener);
	for (unsigned i = 0; i < ACCEPTS_AT_CLOSE && !listener->paused; i++) {
		if (!accept_one(listener))
			break;
	}
}

void tcp_listener_destroy(struct tcp_listener *listener)
{
	if (!listener->lives_on)
		accept_rest(listener);
	if (listener->paused)
		listener->relay->paused--;
	else /* closing does not end the watch of a socket that has other descriptors */
		loop_unwatch(&listener->relay->loop, listener->fd);
	timer_drop(&listener->retry);
	listener->relay->sys->close(listener->fd);
	list_remove(&listener->link);
	refcount_drop(listener->settings->owner);
	/* Only ever called from outside the loop's round of events. */
	free(listener);
}
