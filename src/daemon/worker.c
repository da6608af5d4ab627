/* SPDX-License-Identifier: MIT */
/* Worker threads and their inboxes. */
#include "daemon/worker.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/generation.h"
#include "host/plugin_set.h"
#include "host/ticket_pool.h"
#include "os/log.h"
#include "relay/tcp.h"
#include "relay/tcp_listener.h"
#include "relay/udp.h"

struct message {
	struct list link;
	enum {
		MESSAGE_GENERATION,
		MESSAGE_OWN_ADDRESSES,
	} kind;
	union {
		struct generation *generation;
		struct own_addresses *own;
	};
};

static void close_listeners(struct worker *worker)
{
	for (size_t i = 0; i < worker->listener_count; i++) {
		struct worker_listener *listener = &worker->listeners[i];

		if (listener->tcp != NULL)
			tcp_listener_destroy(listener->tcp);
		if (listener->udp != NULL)
			udp_listener_destroy(listener->udp);
	}
	free(worker->listeners);
	worker->listeners = NULL;
	worker->listener_count = 0;
}

/* A UDP listener receives for the flows that it has; one of TCP has done its part. */
static void drain_listeners(struct worker *worker)
{
	for (size_t i = 0; i < worker->listener_count; i++) {
		struct worker_listener *listener = &worker->listeners[i];

		if (listener->tcp != NULL)
			tcp_listener_destroy(listener->tcp);
		if (listener->udp != NULL)
			udp_listener_drain(listener->udp);
		listener->tcp = NULL;
	}
}

static void use_generation(struct worker *worker, const struct generation *generation)
{
	struct plugin_set *old = worker->plugins;

	worker->plugins = generation->plugins;
	plugin_set_seat_take(worker->plugins, worker->relay.tickets);
	for (size_t i = 0; i < worker->listener_count; i++) {
		struct worker_listener *listener = &worker->listeners[i];
		const struct relay_settings *settings =
			&generation->config.listeners[listener->listener].relay;

		if (listener->tcp != NULL)
			tcp_listener_set_settings(listener->tcp, settings);
		if (listener->udp != NULL)
			udp_listener_set_settings(listener->udp, settings);
	}
	plugin_set_seat_leave(old, worker->relay.tickets);
	eventfd_write(worker->adopted, 1);
}

/* Frees the message; `worker` may use what is in it, or be NULL at the very end. */
static void message_run(struct message *message, struct worker *worker)
{
	switch (message->kind) {
	case MESSAGE_GENERATION:
		if (worker != NULL)
			use_generation(worker, message->generation);
		generation_drop(message->generation);
		break;
	case MESSAGE_OWN_ADDRESSES:
		if (worker != NULL)
			relay_set_own_addresses(&worker->relay, message->own);
		else
			refcount_drop(&message->own->refcount);
		break;
	}
	free(message);
}

static void read_inbox(struct worker *worker, bool act)
{
	struct list mail;

	list_init(&mail);
	pthread_mutex_lock(&worker->inbox_lock);
	list_splice(&mail, &worker->inbox);
	pthread_mutex_unlock(&worker->inbox_lock);
	while (!list_empty(&mail)) {
		struct message *message = container_of(mail.next, struct message, link);

		list_remove(&message->link);
		message_run(message, act ? worker : NULL);
	}
}

static void return_call(struct worker_returns *returns, struct worker_call *call)
{
	pthread_mutex_lock(&returns->lock);
	list_append(&returns->calls, &call->link);
	pthread_mutex_unlock(&returns->lock);
	eventfd_write(returns->wake, 1);
}

static void run_calls(struct worker *worker, bool act)
{
	struct list calls;

	list_init(&calls);
	pthread_mutex_lock(&worker->inbox_lock);
	list_splice(&calls, &worker->calls);
	pthread_mutex_unlock(&worker->inbox_lock);
	while (!list_empty(&calls)) {
		struct worker_call *call = container_of(calls.next, struct worker_call, link);

		list_remove(&call->link);
		if (act)
			call->run(call, worker);
		return_call(worker->returns, call);
	}
}

/* After the round's events: closing a listener must not meet an event for it. */
static void inbox_run(struct loop_task *task)
{
	struct worker *worker = container_of(task, struct worker, inbox_task);

	atomic_store(&worker->pongs, atomic_load(&worker->pings));
	read_inbox(worker, true);
	run_calls(worker, true);
	ticket_pool_deliver(worker->relay.tickets);
	if (atomic_load(&worker->ending) == WORKER_RUNS)
		return;
	drain_listeners(worker);
	worker->draining = true;
	if (atomic_load(&worker->ending) == WORKER_STOPS)
		loop_stop(&worker->relay.loop);
}

static void inbox_ready(struct loop_source *source, uint32_t events)
{
	struct worker *worker = container_of(source, struct worker, inbox_source);
	eventfd_t count;

	(void)events;
	eventfd_read(worker->inbox_event, &count);
	loop_defer(&worker->relay.loop, &worker->inbox_task);
}

static bool worker_has_ended(const struct worker *worker)
{
	return worker->relay.loop.stopping ||
	       (worker->draining && worker->relay.session_count == 0);
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;

	plugin_set_seat_take(worker->plugins, worker->relay.tickets);
	while (!worker_has_ended(worker))
		loop_run_once(&worker->relay.loop, -1);
	close_listeners(worker);
	tcp_close_all(&worker->relay);
	/* Whatever was closed above is freed in a last round. */
	loop_run_once(&worker->relay.loop, 0);
	plugin_set_seat_leave(worker->plugins, worker->relay.tickets);
	atomic_store(&worker->over, true);
	eventfd_write(worker->done, 1);
	return NULL;
}

/* Takes the socket over. Returns 0 or -ENOMEM. */
static int create_listener(struct worker *worker, const struct worker_socket *socket,
			   const struct relay_settings *settings)
{
	struct worker_listener *listener = &worker->listeners[worker->listener_count];

	*listener = (struct worker_listener){.listener = socket->listener};
	if (settings->protocol == RELAY_PROTOCOL_UDP) {
		const struct udp_listener_start start = {
			.fd = socket->fd,
			.settings = settings,
			.quota = socket->quota,
			.member = socket->quota_member,
		};

		listener->udp = udp_listener_create(&worker->relay, &start);
	} else {
		listener->tcp =
			tcp_listener_create(&worker->relay, socket->fd, settings, socket->budget);
	}
	if (listener->tcp == NULL && listener->udp == NULL)
		return -ENOMEM;
	worker->listener_count++;
	return 0;
}

/* Every descriptor is taken over, also when one of the listeners cannot be made. */
static int create_listeners(struct worker *worker, const struct worker_options *options)
{
	const struct config *config = &options->generation->config;
	int error = 0;

	worker->listeners = calloc(options->socket_count, sizeof(*worker->listeners));
	if (worker->listeners == NULL)
		error = -ENOMEM;
	for (size_t i = 0; i < options->socket_count; i++) {
		const struct worker_socket *socket = &options->sockets[i];

		if (error < 0)
			close(socket->fd);
		else
			error = create_listener(worker, socket,
						&config->listeners[socket->listener].relay);
	}
	return error;
}

static int open_inbox(struct worker *worker)
{
	worker->inbox_event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (worker->inbox_event < 0)
		return -errno;
	pthread_mutex_init(&worker->inbox_lock, NULL);
	ticket_pool_attach(worker->relay.tickets, &worker->relay.loop, worker->inbox_event);
	return loop_watch(&worker->relay.loop, worker->inbox_event, EPOLLIN, &worker->inbox_source);
}

static void worker_finish(struct worker *worker)
{
	ticket_pool_detach(worker->relay.tickets);
	if (worker->inbox_event >= 0) {
		read_inbox(worker, false);
		run_calls(worker, false);
		pthread_mutex_destroy(&worker->inbox_lock);
		close(worker->inbox_event);
	}
	close_listeners(worker);
	tcp_close_all(&worker->relay);
	loop_run_once(&worker->relay.loop, 0);
	udp_finish(&worker->relay);
	relay_finish(&worker->relay);
}

int worker_start(struct worker *worker, const struct worker_options *options)
{
	int error;

	*worker = (struct worker){
		.done = options->done,
		.adopted = options->adopted,
		.returns = options->returns,
		.inbox_event = -1,
	};
	worker->plugins = options->generation->plugins;
	list_init(&worker->inbox);
	list_init(&worker->calls);
	worker->inbox_source.ready = inbox_ready;
	loop_task_init(&worker->inbox_task, inbox_run);
	error = relay_init(&worker->relay, &options->relay);
	if (error < 0) {
		for (size_t i = 0; i < options->socket_count; i++)
			close(options->sockets[i].fd);
		return error;
	}
	error = create_listeners(worker, options);
	if (error == 0)
		error = open_inbox(worker);
	if (error == 0)
		error = -pthread_create(&worker->thread, NULL, worker_main, worker);
	if (error < 0)
		worker_finish(worker);
	worker->started = error == 0;
	return error;
}

static int send_message(struct worker *worker, const struct message *content)
{
	struct message *message = malloc(sizeof(*message));

	if (message == NULL)
		return -ENOMEM;
	*message = *content;
	pthread_mutex_lock(&worker->inbox_lock);
	list_append(&worker->inbox, &message->link);
	pthread_mutex_unlock(&worker->inbox_lock);
	eventfd_write(worker->inbox_event, 1);
	return 0;
}

int worker_send_generation(struct worker *worker, struct generation *generation)
{
	const struct message message = {
		.kind = MESSAGE_GENERATION,
		.generation = generation_take(generation),
	};
	int error = send_message(worker, &message);

	if (error < 0)
		generation_drop(generation);
	return error;
}

int worker_send_own_addresses(struct worker *worker, struct own_addresses *own)
{
	const struct message message = {.kind = MESSAGE_OWN_ADDRESSES, .own = own};
	int error;

	refcount_take(&own->refcount);
	error = send_message(worker, &message);
	if (error < 0)
		refcount_drop(&own->refcount);
	return error;
}

void worker_send_call(struct worker *worker, struct worker_call *call)
{
	pthread_mutex_lock(&worker->inbox_lock);
	list_append(&worker->calls, &call->link);
	pthread_mutex_unlock(&worker->inbox_lock);
	eventfd_write(worker->inbox_event, 1);
}

void worker_send_ping(struct worker *worker)
{
	atomic_fetch_add(&worker->pings, 1);
	eventfd_write(worker->inbox_event, 1);
}

bool worker_is_alive(const struct worker *worker)
{
	return atomic_load(&worker->pongs) == atomic_load(&worker->pings);
}

bool worker_is_over(const struct worker *worker)
{
	return atomic_load(&worker->over);
}

int worker_returns_init(struct worker_returns *returns)
{
	pthread_mutex_init(&returns->lock, NULL);
	list_init(&returns->calls);
	returns->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return returns->wake < 0 ? -errno : 0;
}

void worker_returns_finish(struct worker_returns *returns)
{
	worker_returns_run(returns);
	if (returns->wake >= 0)
		close(returns->wake);
	pthread_mutex_destroy(&returns->lock);
}

void worker_returns_run(struct worker_returns *returns)
{
	struct list calls;

	list_init(&calls);
	pthread_mutex_lock(&returns->lock);
	list_splice(&calls, &returns->calls);
	pthread_mutex_unlock(&returns->lock);
	while (!list_empty(&calls)) {
		struct worker_call *call = container_of(calls.next, struct worker_call, link);

		list_remove(&call->link);
		call->done(call);
	}
}

void worker_send_drain(struct worker *worker)
{
	atomic_store(&worker->ending, WORKER_DRAINS);
	eventfd_write(worker->inbox_event, 1);
}

void worker_send_stop(struct worker *worker)
{
	atomic_store(&worker->ending, WORKER_STOPS);
	eventfd_write(worker->inbox_event, 1);
}

void worker_join(struct worker *worker)
{
	if (!worker->started)
		return;
	pthread_join(worker->thread, NULL);
	worker_finish(worker);
	worker->started = false;
}
