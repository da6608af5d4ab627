/* SPDX-License-Identifier: MIT */
/* What a worker receives from: its part of each listener, through reloads and the last drain. */
#include <errno.h>
#include <stdlib.h>

#include "daemon/generation.h"
#include "daemon/worker.h"
#include "os/log.h"
#include "os/sys.h"
#include "relay/tcp_listener.h"
#include "relay/udp.h"

/* Milliseconds between two looks at UDP listeners that drain. */
#define SWEEP_INTERVAL 100

struct worker_listener {
	struct list link;         /* worker->listeners */
	struct tcp_listener *tcp; /* or */
	struct udp_listener *udp;
	uint64_t id;       /* of its socket; 0: it is draining */
	bool is_in_update; /* while one is being used */
};

static void destroy(struct worker_listener *listener)
{
	if (listener->tcp != NULL)
		tcp_listener_destroy(listener->tcp);
	if (listener->udp != NULL)
		udp_listener_destroy(listener->udp);
	list_remove(&listener->link);
	free(listener);
}

static struct worker_listener *find(struct worker *worker, uint64_t id)
{
	for (struct list *link = worker->listeners.next; link != &worker->listeners;
	     link = link->next) {
		struct worker_listener *listener = container_of(link, struct worker_listener, link);

		if (listener->id == id)
			return listener;
	}
	return NULL;
}

/* UDP listeners whose last flow has ended, in all workers. */
static void sweep(struct loop_task *task)
{
	struct worker *worker = container_of(task, struct worker, sweep_task);
	struct list *link = worker->listeners.next;
	bool left = false;

	while (link != &worker->listeners) {
		struct worker_listener *listener = container_of(link, struct worker_listener, link);

		link = link->next;
		if (listener->id != 0)
			continue;
		if (udp_listener_is_drained(listener->udp))
			destroy(listener);
		else
			left = true;
	}
	if (left)
		loop_timer_set(&worker->relay.loop, &worker->sweep, SWEEP_INTERVAL);
}

static void sweep_expired(struct timer *timer)
{
	struct worker *worker = container_of(timer, struct worker, sweep);

	loop_defer(&worker->relay.loop, &worker->sweep_task);
}

/* A UDP listener receives for the flows that it has; one of TCP has done its part. */
static void end(struct worker *worker, struct worker_listener *listener)
{
	if (listener->tcp != NULL) {
		destroy(listener);
		return;
	}
	listener->id = 0;
	udp_listener_drain(listener->udp);
	loop_defer(&worker->relay.loop, &worker->sweep_task);
}

/* Takes the descriptor over. Returns 0 or -errno. */
static int begin(struct worker *worker, const struct worker_socket *socket,
		 const struct relay_settings *settings)
{
	struct worker_listener *listener = calloc(1, sizeof(*listener));
	int error;

	if (listener == NULL) {
		worker->relay.sys->close(socket->fd);
		return -ENOMEM;
	}
	if (settings->protocol == RELAY_PROTOCOL_UDP) {
		const struct udp_listener_start start = {
			.fd = socket->fd,
			.settings = settings,
			.quota = socket->quota,
			.member = socket->quota_member,
		};

		listener->udp = udp_listener_create(&worker->relay, &start);
	} else {
		const struct tcp_listener_start start = {
			.fd = socket->fd,
			.settings = settings,
			.budget = socket->budget,
			.header_queue = socket->header_queue,
			.shared = socket->shared,
			.lives_on = socket->lives_on,
		};

		listener->tcp = tcp_listener_create(&worker->relay, &start);
	}
	if (listener->tcp == NULL && listener->udp == NULL) {
		error = -errno;
		free(listener);
		return error;
	}
	listener->id = socket->id;
	listener->is_in_update = true;
	list_append(&worker->listeners, &listener->link);
	return 0;
}

static void go_on(struct worker_listener *listener, const struct worker_socket *socket,
		  const struct relay_settings *settings)
{
	if (listener->tcp != NULL)
		tcp_listener_set_settings(listener->tcp, settings, socket->budget,
					  socket->header_queue);
	if (listener->udp != NULL)
		udp_listener_set_settings(listener->udp, settings);
	listener->is_in_update = true;
}

static void end_others(struct worker *worker)
{
	struct list *link = worker->listeners.next;

	while (link != &worker->listeners) {
		struct worker_listener *listener = container_of(link, struct worker_listener, link);

		link = link->next;
		if (!listener->is_in_update && listener->id != 0)
			end(worker, listener);
		else
			listener->is_in_update = false;
	}
}

void worker_listeners_init(struct worker *worker)
{
	list_init(&worker->listeners);
	loop_task_init(&worker->sweep_task, sweep);
	timer_init(&worker->sweep, sweep_expired);
}

int worker_listeners_update(struct worker *worker, struct worker_update *update)
{
	const struct config *config = &update->generation->config;
	int error = 0;

	for (size_t i = 0; i < update->count; i++) {
		struct worker_socket *socket = &update->sockets[i];
		const struct config_listener *listener = &config->listeners[socket->listener];
		struct worker_listener *old = find(worker, socket->id);
		int failed = 0;

		if (old != NULL)
			go_on(old, socket, &listener->relay);
		else if (socket->fd >= 0 && !worker->draining)
			failed = begin(worker, socket, &listener->relay);
		else
			continue;
		socket->fd = -1;
		if (failed < 0) {
			log_error("listener", "a worker cannot take over a socket",
				  LOG_TEXT("listener", listener->name), LOG_ERRNO("error", failed));
			error = error < 0 ? error : failed;
		}
	}
	end_others(worker);
	return error;
}

void worker_listeners_drain(struct worker *worker)
{
	struct list *link = worker->listeners.next;

	while (link != &worker->listeners) {
		struct worker_listener *listener = container_of(link, struct worker_listener, link);

		link = link->next;
		if (listener->id != 0)
			end(worker, listener);
	}
}

void worker_listeners_close(struct worker *worker)
{
	struct list *link = worker->listeners.next;

	while (link != &worker->listeners) {
		struct worker_listener *listener = container_of(link, struct worker_listener, link);

		link = link->next;
		destroy(listener);
	}
	timer_drop(&worker->sweep);
	loop_task_drop(&worker->sweep_task);
}
