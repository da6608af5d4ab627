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
#include "offload/heritage.h"
#include "os/log.h"
#include "relay/session_view.h"
#include "relay/tcp.h"
#include "relay/udp.h"

struct news {
	struct list link;
	struct own_addresses *own;
};

static void use_update(struct worker *worker, struct worker_update *update)
{
	struct plugin_set *old = worker->plugins;

	worker->plugins = update->generation->plugins;
	plugin_set_seat_take(worker->plugins, worker->relay.tickets);
	worker_listeners_update(worker, update);
	plugin_set_seat_leave(old, worker->relay.tickets);
	eventfd_write(worker->adopted, 1);
}

static void read_updates(struct worker *worker, bool act)
{
	struct list updates;

	list_init(&updates);
	pthread_mutex_lock(&worker->inbox_lock);
	list_splice(&updates, &worker->updates);
	pthread_mutex_unlock(&worker->inbox_lock);
	while (!list_empty(&updates)) {
		struct worker_update *update =
			container_of(updates.next, struct worker_update, link);

		list_remove(&update->link);
		if (act)
			use_update(worker, update);
		worker_update_destroy(update);
	}
}

static void read_news(struct worker *worker, bool act)
{
	struct list inbox;

	list_init(&inbox);
	pthread_mutex_lock(&worker->inbox_lock);
	list_splice(&inbox, &worker->news);
	pthread_mutex_unlock(&worker->inbox_lock);
	while (!list_empty(&inbox)) {
		struct news *news = container_of(inbox.next, struct news, link);

		list_remove(&news->link);
		if (act)
			relay_set_own_addresses(&worker->relay, news->own);
		else
			refcount_drop(&news->own->refcount);
		free(news);
	}
}

struct ending {
	struct list link;
	uint64_t session;
};

static void read_endings(struct worker *worker, bool act)
{
	struct list endings;

	list_init(&endings);
	pthread_mutex_lock(&worker->inbox_lock);
	list_splice(&endings, &worker->endings);
	pthread_mutex_unlock(&worker->inbox_lock);
	while (!list_empty(&endings)) {
		struct ending *ending = container_of(endings.next, struct ending, link);

		list_remove(&ending->link);
		if (act)
			tcp_offload_ended(&worker->relay, ending->session);
		free(ending);
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
	/* Before the updates: one that was sent before the end is used before it. */
	const int ending = atomic_load(&worker->ending);

	atomic_store(&worker->pongs, atomic_load(&worker->pings));
	read_news(worker, true);
	read_updates(worker, true);
	run_calls(worker, true);
	read_endings(worker, true);
	ticket_pool_deliver(worker->relay.tickets);
	if (ending == WORKER_RUNS)
		return;
	worker_listeners_drain(worker);
	if (atomic_load(&worker->leaves)) {
		tcp_offload_leave(&worker->relay);
		udp_offload_leave(&worker->relay);
	}
	worker->draining = true;
	if (ending == WORKER_STOPS)
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
	return worker->relay.loop.stopping || (worker->draining && list_empty(&worker->listeners) &&
					       worker->relay.session_count == 0);
}

static unsigned heir_of_flow(const struct heritage *heritage, size_t flow, unsigned count)
{
	return heritage->flow_workers != NULL ? heritage->flow_workers[flow]
					      : session_worker(heritage->flows.ids[flow], count);
}

/* Sessions that the kernel has carried on meanwhile. */
static void adopt(struct worker *worker)
{
	const struct heritage *heritage = worker->heritage;
	const unsigned index = worker->index, count = worker->relay.worker_count;

	relay_number_after(&worker->relay, heritage->last, index);
	for (size_t i = 0; i < heritage->sessions.count; i++)
		if (session_worker(heritage->sessions.ids[i], count) == index)
			tcp_adopt(&worker->relay, heritage->sessions.ids[i]);
	for (size_t i = 0; i < heritage->flows.count; i++)
		if (heir_of_flow(heritage, i, count) == index)
			udp_adopt(&worker->relay, heritage->flows.ids[i]);
}

static void await(sem_t *semaphore)
{
	while (sem_wait(semaphore) < 0 && errno == EINTR)
		;
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;

	plugin_set_seat_take(worker->plugins, worker->relay.tickets);
	await(&worker->may_adopt);
	/* Not before: plugins hear of their ends, in this thread. */
	if (atomic_load(&worker->ending) == WORKER_RUNS)
		adopt(worker);
	sem_post(&worker->adopts);
	while (!worker_has_ended(worker))
		loop_run_once(&worker->relay.loop, -1);
	worker_listeners_close(worker);
	tcp_close_all(&worker->relay);
	/* Whatever was closed above is freed in a last round. */
	loop_run_once(&worker->relay.loop, 0);
	plugin_set_seat_leave(worker->plugins, worker->relay.tickets);
	atomic_store(&worker->over, true);
	eventfd_write(worker->done, 1);
	return NULL;
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
	sem_destroy(&worker->may_adopt);
	sem_destroy(&worker->adopts);
	ticket_pool_detach(worker->relay.tickets);
	if (worker->inbox_event >= 0) {
		read_news(worker, false);
		read_updates(worker, false);
		run_calls(worker, false);
		read_endings(worker, false);
		pthread_mutex_destroy(&worker->inbox_lock);
		close(worker->inbox_event);
	}
	worker_listeners_close(worker);
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
	worker->heritage = options->heritage;
	worker->index = options->relay.worker;
	worker->plugins = options->update->generation->plugins;
	worker_listeners_init(worker);
	sem_init(&worker->may_adopt, 0, 0);
	sem_init(&worker->adopts, 0, 0);
	list_init(&worker->news);
	list_init(&worker->updates);
	list_init(&worker->calls);
	list_init(&worker->endings);
	worker->inbox_source.ready = inbox_ready;
	loop_task_init(&worker->inbox_task, inbox_run);
	error = relay_init(&worker->relay, &options->relay);
	if (error < 0) {
		worker_update_destroy(options->update);
		return error;
	}
	error = worker_listeners_update(worker, options->update);
	worker_update_destroy(options->update);
	if (error == 0)
		error = open_inbox(worker);
	if (error == 0)
		error = -pthread_create(&worker->thread, NULL, worker_main, worker);
	if (error < 0)
		worker_finish(worker);
	worker->started = error == 0;
	return error;
}

void worker_begin(struct worker *worker)
{
	sem_post(&worker->may_adopt);
}

void worker_wait(struct worker *worker)
{
	await(&worker->adopts);
}

struct worker_update *worker_update_create(struct generation *generation, size_t room)
{
	struct worker_update *update =
		calloc(1, sizeof(*update) + room * sizeof(update->sockets[0]));

	if (update != NULL)
		update->generation = generation_take(generation);
	return update;
}

void worker_update_add(struct worker_update *update, const struct worker_socket *socket)
{
	update->sockets[update->count++] = *socket;
}

void worker_update_destroy(struct worker_update *update)
{
	if (update == NULL)
		return;
	for (size_t i = 0; i < update->count; i++) {
		if (update->sockets[i].fd >= 0)
			close(update->sockets[i].fd);
	}
	generation_drop(update->generation);
	free(update);
}

/* Puts it on one of the inbox's lists. */
static void deliver(struct worker *worker, struct list *list, struct list *link)
{
	pthread_mutex_lock(&worker->inbox_lock);
	list_append(list, link);
	pthread_mutex_unlock(&worker->inbox_lock);
	eventfd_write(worker->inbox_event, 1);
}

void worker_send_update(struct worker *worker, struct worker_update *update)
{
	deliver(worker, &worker->updates, &update->link);
}

int worker_send_own_addresses(struct worker *worker, struct own_addresses *own)
{
	struct news *news = malloc(sizeof(*news));

	if (news == NULL)
		return -ENOMEM;
	refcount_take(&own->refcount);
	news->own = own;
	deliver(worker, &worker->news, &news->link);
	return 0;
}

void worker_send_call(struct worker *worker, struct worker_call *call)
{
	deliver(worker, &worker->calls, &call->link);
}

void worker_send_ending(struct worker *worker, uint64_t session)
{
	struct ending *ending = malloc(sizeof(*ending));

	if (ending == NULL)
		return;
	ending->session = session;
	deliver(worker, &worker->endings, &ending->link);
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

void worker_send_drain(struct worker *worker, bool leave)
{
	atomic_store(&worker->leaves, leave);
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
	worker_begin(worker); /* perhaps it never was let */
	pthread_join(worker->thread, NULL);
	worker_finish(worker);
	worker->started = false;
}
