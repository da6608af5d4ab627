/* SPDX-License-Identifier: MIT */
/*
 * Questions to the workers, on their way. What a gather holds is freed when its last call is back,
 * which may be long after the client has had its answer.
 */
#include "daemon/control/gather.h"

#include <stdlib.h>

#include "daemon/control/state.h"
#include "daemon/server_state.h"
#include "os/sys.h"

/* Milliseconds that a worker has to answer. */
#define PATIENCE 2000

/*
 * A walk over a worker's sessions holds them up. The next one has to wait three times as long as
 * the last took, this many milliseconds at most: whoever asks without a break gets a quarter of a
 * worker.
 */
#define REST_TIMES 3
#define REST_MAX   1000

/* Calls to one worker. A client has one at a time, so these are of clients that came and went. */
#define CALLS_MAX 64

static struct loop *loop_of(struct control_gather *gather)
{
	return &gather->control->server->loop;
}

static void gather_free(struct control_gather *gather)
{
	for (unsigned i = 0; i < gather->count; i++) {
		if (gather->question->discard != NULL)
			gather->question->discard(gather->calls[i].found);
	}
	if (gather->question->release != NULL)
		gather->question->release(gather->data);
	free(gather);
}

static void walk_is_over(struct control_gather *gather)
{
	struct control *control = gather->control;
	uint64_t rest = (sys_linux.clock() - gather->began) * REST_TIMES / 1000;

	control->walk = NULL;
	loop_timer_set(&control->server->loop, &control->rest, rest < REST_MAX ? rest : REST_MAX);
}

void control_gather_abandon(struct control_gather *gather)
{
	struct control *control = gather->control;

	if (gather->connection != NULL)
		gather->connection->gather = NULL;
	gather->connection = NULL;
	atomic_store(&gather->abandoned, true);
	timer_drop(&gather->timer);
	list_remove(&gather->link);
	for (unsigned i = 0; i < gather->count; i++)
		control->workers[gather->calls[i].worker].overdue += gather->calls[i].sent;
	if (control->walk == gather)
		walk_is_over(gather);
	if (gather->under_way == 0)
		gather_free(gather);
}

static void conclude(struct control_gather *gather)
{
	gather->question->reply(gather);
	control_gather_abandon(gather);
}

static void conclude_when_complete(struct control_gather *gather)
{
	if (gather->awaited > 0 ||
	    (gather->question->awaits_adoption && gather->control->server->adoptions_awaited > 0))
		return;
	conclude(gather);
}

static void patience_expired(struct timer *timer)
{
	conclude(container_of(timer, struct control_gather, timer));
}

/* On the worker's thread. */
static void call_run(struct worker_call *worker_call, struct worker *worker)
{
	struct control_call *call = container_of(worker_call, struct control_call, call);

	if (atomic_load(&call->gather->abandoned))
		return;
	if (call->gather->question->ask != NULL)
		call->gather->question->ask(call, worker);
	call->ran = true;
}

static void call_done(struct worker_call *worker_call)
{
	struct control_call *call = container_of(worker_call, struct control_call, call);
	struct control_gather *gather = call->gather;
	struct control_worker *worker = &gather->control->workers[call->worker];

	call->sent = false;
	worker->calls--;
	gather->under_way--;
	if (atomic_load(&gather->abandoned)) {
		worker->overdue--;
		if (gather->under_way == 0)
			gather_free(gather);
		return;
	}
	if (call->answer == CONTROL_UNANSWERED)
		gather->awaited--;
	call->answer = call->ran ? CONTROL_ANSWERED : CONTROL_WORKER_ENDED;
	conclude_when_complete(gather);
}

static void send_call(struct control_gather *gather, struct control_call *call)
{
	struct control_worker *known = &gather->control->workers[call->worker];
	struct worker *worker = &gather->control->server->workers[call->worker];

	if (worker_is_over(worker)) {
		call->answer = CONTROL_WORKER_ENDED;
		return;
	}
	/* It has not answered the last one either. */
	if (known->overdue > 0 || known->calls >= CALLS_MAX)
		return;
	call->sent = true;
	known->calls++;
	gather->awaited++;
	gather->under_way++;
	worker_send_call(worker, &call->call);
}

static void ask(struct control_gather *gather)
{
	list_remove(&gather->link);
	list_append(&gather->control->gathers, &gather->link);
	gather->began = sys_linux.clock();
	if (gather->question->walks)
		gather->control->walk = gather;
	loop_timer_set(loop_of(gather), &gather->timer, PATIENCE);
	for (unsigned i = 0; i < gather->count; i++)
		send_call(gather, &gather->calls[i]);
	conclude_when_complete(gather);
}

static void rest_is_over(struct timer *timer)
{
	struct control *control = container_of(timer, struct control, rest);

	if (!list_empty(&control->waiting))
		ask(container_of(control->waiting.next, struct control_gather, link));
}

static struct control_gather *gather_create(struct control_connection *connection,
					    const struct control_question *question, unsigned first,
					    unsigned count)
{
	struct control_gather *gather =
		calloc(1, sizeof(*gather) + count * sizeof(gather->calls[0]));

	if (gather == NULL)
		return NULL;
	gather->question = question;
	gather->control = connection->control;
	gather->connection = connection;
	gather->count = count;
	list_init(&gather->link);
	timer_init(&gather->timer, patience_expired);
	for (unsigned i = 0; i < count; i++) {
		gather->calls[i].call.run = call_run;
		gather->calls[i].call.done = call_done;
		gather->calls[i].gather = gather;
		gather->calls[i].worker = first + i;
	}
	return gather;
}

void control_gather_start(struct control_connection *connection,
			  const struct control_question *question, void *data, unsigned first,
			  unsigned count)
{
	struct control *control = connection->control;
	struct control_gather *gather = gather_create(connection, question, first, count);

	if (gather == NULL) {
		if (question->release != NULL)
			question->release(data);
		control_reply(connection, NULL);
		return;
	}
	gather->data = data;
	connection->gather = gather;
	connection->busy = true;
	if (question->walks && (control->walk != NULL || timer_is_set(&control->rest)))
		list_append(&control->waiting, &gather->link);
	else
		ask(gather);
}

void control_gather_name_unanswered(const struct control_gather *gather, json_t *result)
{
	json_t *workers = NULL;

	for (unsigned i = 0; i < gather->count; i++) {
		if (gather->calls[i].answer != CONTROL_UNANSWERED)
			continue;
		if (workers == NULL)
			workers = json_array();
		json_array_append_new(workers, json_integer(gather->calls[i].worker));
	}
	if (workers != NULL)
		json_object_set_new(result, "unanswered", workers);
}

/* Its call comes back only when its thread is joined. */
static void note_ended_workers(struct control_gather *gather)
{
	for (unsigned i = 0; i < gather->count; i++) {
		struct control_call *call = &gather->calls[i];

		if (!call->sent || call->answer != CONTROL_UNANSWERED ||
		    !worker_is_over(&gather->control->server->workers[call->worker]))
			continue;
		call->answer = CONTROL_WORKER_ENDED;
		gather->awaited--;
	}
}

void control_gather_look(struct control *control)
{
	for (struct list *link = control->gathers.next, *next = link->next;
	     link != &control->gathers; link = next, next = link->next) {
		struct control_gather *gather = container_of(link, struct control_gather, link);

		note_ended_workers(gather);
		conclude_when_complete(gather);
	}
}

void control_gather_init(struct control *control)
{
	list_init(&control->gathers);
	list_init(&control->waiting);
	timer_init(&control->rest, rest_is_over);
}

static void abandon_all(struct list *gathers)
{
	for (struct list *link = gathers->next, *next = link->next; link != gathers;
	     link = next, next = link->next)
		control_gather_abandon(container_of(link, struct control_gather, link));
}

void control_gather_close(struct control *control)
{
	abandon_all(&control->gathers);
	abandon_all(&control->waiting);
	timer_drop(&control->rest);
}
