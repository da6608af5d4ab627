/* SPDX-License-Identifier: MIT */
/* Commands that the workers have to be asked for. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/client_totals.h"
#include "base/report.h"
#include "daemon/control/gather.h"
#include "daemon/control/state.h"
#include "daemon/offload.h"
#include "daemon/routing.h"
#include "daemon/server_state.h"
#include "os/descriptors.h"
#include "os/log.h"
#include "relay/session_view.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unversioned"
#endif

static void set_text(json_t *object, const char *name, const char *text)
{
	json_object_set_new(object, name, text != NULL ? json_string(text) : json_null());
}

static void ask_all(struct control_connection *connection, const struct control_question *question,
		    void *data)
{
	control_gather_start(connection, question, data, 0,
			     connection->control->server->worker_count);
}

/* status */

static void status_ask(struct control_call *call, struct worker *worker)
{
	call->number = worker->relay.session_count;
}

static json_t *workers_to_json(const struct control_gather *gather)
{
	json_t *workers = json_array();

	for (unsigned i = 0; i < gather->count; i++) {
		const struct control_call *call = &gather->calls[i];
		json_t *object = json_object();

		control_set_number(object, "worker", call->worker);
		json_object_set_new(object, "alive",
				    json_boolean(call->answer == CONTROL_ANSWERED));
		if (call->answer == CONTROL_ANSWERED)
			control_set_number(object, "sessions", call->number);
		if (call->answer == CONTROL_WORKER_ENDED)
			json_object_set_new(object, "ended", json_true());
		json_array_append_new(workers, object);
	}
	return workers;
}

static json_t *last_reload_to_json(const struct server *server)
{
	json_t *object;

	if (server->reloads.last == 0)
		return json_null();
	object = json_object();
	json_object_set_new(object, "ok", json_boolean(!server->reloads.last_failed));
	control_set_number(object, "time", server->reloads.last);
	json_object_set_new(object, "mistakes", control_lines(&server->reloads.mistakes));
	return object;
}

static json_t *routing_to_json(const struct server *server)
{
	const struct routing_state state = routing_look(server);
	json_t *object = json_object();

	set_text(object, "mode", state.mode);
	if (state.managed) {
		control_set_number(object, "managed", state.items);
		control_set_number(object, "missing", state.missing);
		control_set_number(object, "put_back", state.put_back);
	}
	return object;
}

static json_t *offload_to_json(const struct server *server)
{
	const struct offload *offload = &server->offload;
	const struct config *config = &server->generation->config;
	struct loopback_needs needs = {0};
	json_t *object = json_object();
	uint64_t live;

	set_text(object, "mode",
		 server->datapath != NULL || config_wants_offload(config, &needs) ? "auto" : "off");
	json_object_set_new(object, "in_use", json_boolean(server->datapath != NULL));
	if (server->datapath == NULL) {
		json_object_set_new(object, "why", control_text(offload->why));
		return object;
	}
	json_object_set_new(object, "directory", control_text(config->offload_directory));
	json_object_set_new(object, "interfaces", control_text(offload->interfaces));
	if (offload_count_live(server, &live) == 0)
		control_set_number(object, "live", live);
	return object;
}

static void status_reply(struct control_gather *gather)
{
	const struct server *server = gather->control->server;
	json_t *result = json_object(), *descriptors = json_object();

	set_text(result, "version", PACKAGE_VERSION);
	control_set_number(result, "pid", (uint64_t)getpid());
	json_object_set_new(result, "uptime",
			    control_seconds(server->loop.now - gather->control->opened));
	set_text(result, "state", server->stopping ? "draining" : "running");
	control_set_number(result, "generation", server->generation->number);
	control_set_number(result, "loaded", server->reloads.loaded);
	json_object_set_new(result, "last_reload", last_reload_to_json(server));
	json_object_set_new(result, "workers", workers_to_json(gather));
	control_set_number(result, "sessions", server_count_sessions(server));
	control_set_number(result, "max_sessions", atomic_load(&server->descriptors.limit));
	set_text(result, "log_level", control_log_level());
	json_object_set_new(result, "routing", routing_to_json(server));
	json_object_set_new(result, "offload", offload_to_json(server));
	control_set_number(descriptors, "open", descriptors_open());
	control_set_number(descriptors, "limit", server->descriptor_limit);
	json_object_set_new(result, "descriptors", descriptors);
	control_gather_name_unanswered(gather, result);
	control_reply(gather->connection, result);
}

void control_run_status(struct control_connection *connection,
			const struct control_request *request)
{
	static const struct control_question question = {
		.ask = status_ask,
		.reply = status_reply,
	};

	(void)request;
	ask_all(connection, &question, NULL);
}

/* sessions */

struct sessions_question {
	struct session_filter filter;
	unsigned limit;
};

static void sessions_ask(struct control_call *call, struct worker *worker)
{
	const struct sessions_question *asked = call->gather->data;
	struct session_list *list = malloc(sizeof(*list));

	if (list == NULL)
		return;
	session_list_init(list, asked->limit);
	if (session_list_fill(list, &worker->relay, &asked->filter) == 0) {
		call->found = list;
		return;
	}
	session_list_finish(list);
	free(list);
}

static void sessions_discard(void *found)
{
	if (found == NULL)
		return;
	session_list_finish(found);
	free(found);
}

static json_t *session_to_json(const struct session_view *view)
{
	json_t *object = json_object();

	control_set_number(object, "id", view->id);
	set_text(object, "listener", view->listener);
	set_text(object, "protocol", view->protocol == RELAY_PROTOCOL_UDP ? "udp" : "tcp");
	set_text(object, "state", view->state);
	json_object_set_new(object, "client", control_address(&view->client));
	json_object_set_new(object, "balancer", control_address(&view->balancer));
	json_object_set_new(object, "destination", control_address(&view->destination));
	json_object_set_new(object, "upstream", control_address(&view->upstream));
	set_text(object, "header", view->header);
	json_object_set_new(object, "age", control_seconds(view->age));
	json_object_set_new(object, "idle", control_seconds(view->idle));
	control_set_number(object, "bytes_from_client", view->bytes_from_client);
	control_set_number(object, "bytes_from_upstream", view->bytes_from_upstream);
	if (view->protocol == RELAY_PROTOCOL_UDP) {
		control_set_number(object, "datagrams_from_client", view->datagrams_from_client);
		control_set_number(object, "datagrams_from_upstream",
				   view->datagrams_from_upstream);
	}
	return object;
}

/* A worker that has answered with nothing was out of memory. */
static bool found_all(const struct control_gather *gather)
{
	for (unsigned i = 0; i < gather->count; i++) {
		if (gather->calls[i].answer == CONTROL_ANSWERED && gather->calls[i].found == NULL)
			return false;
	}
	return true;
}

static const void *found_by(const struct control_gather *gather, unsigned i)
{
	return gather->calls[i].answer == CONTROL_ANSWERED ? gather->calls[i].found : NULL;
}

static int merge_sessions(const struct control_gather *gather, struct session_list *list)
{
	for (unsigned i = 0; i < gather->count; i++) {
		const struct session_list *found = found_by(gather, i);

		if (found != NULL && session_list_merge(list, found) < 0)
			return -1;
	}
	session_list_sort(list);
	return 0;
}

static void sessions_reply(struct control_gather *gather)
{
	const struct sessions_question *asked = gather->data;
	json_t *result = NULL, *sessions;
	struct session_list list;

	session_list_init(&list, asked->limit);
	if (found_all(gather) && merge_sessions(gather, &list) == 0) {
		sessions = json_array();
		for (size_t i = 0; i < list.count; i++)
			json_array_append_new(sessions, session_to_json(&list.views[i]));
		result = json_object();
		control_set_number(result, "matched", list.matched);
		json_object_set_new(result, "sessions", sessions);
		control_gather_name_unanswered(gather, result);
	}
	session_list_finish(&list);
	control_reply(gather->connection, result);
}

void control_run_sessions(struct control_connection *connection,
			  const struct control_request *request)
{
	static const struct control_question question = {
		.ask = sessions_ask,
		.discard = sessions_discard,
		.reply = sessions_reply,
		.release = free,
		.walks = true,
	};
	struct sessions_question *asked = malloc(sizeof(*asked));
	char why[CONTROL_WHY_SIZE];

	if (asked == NULL) {
		control_reply(connection, NULL);
		return;
	}
	if (control_request_sessions(request, &asked->filter, &asked->limit, why) == 0) {
		ask_all(connection, &question, asked);
		return;
	}
	free(asked);
	control_refuse(connection, "%s", why);
}

/* clients */

struct clients_question {
	struct siphash_key secret;
	unsigned limit;
};

static void clients_ask(struct control_call *call, struct worker *worker)
{
	const struct clients_question *asked = call->gather->data;
	struct client_totals *totals = malloc(sizeof(*totals));

	if (totals == NULL)
		return;
	client_totals_init(totals, &asked->secret);
	if (session_total_clients(&worker->relay, totals) == 0) {
		call->found = totals;
		return;
	}
	client_totals_finish(totals);
	free(totals);
}

static void clients_discard(void *found)
{
	if (found == NULL)
		return;
	client_totals_finish(found);
	free(found);
}

static json_t *client_to_json(const struct client_total *client)
{
	char text[ADDRESS_TEXT_SIZE];
	json_t *object = json_object();

	set_text(object, "client", address_format_ip(&client->client, text));
	control_set_number(object, "sessions", client->sessions);
	control_set_number(object, "bytes_from_client", client->bytes_from_client);
	control_set_number(object, "bytes_from_upstream", client->bytes_from_upstream);
	return object;
}

static int merge_clients(const struct control_gather *gather, struct client_totals *totals)
{
	for (unsigned i = 0; i < gather->count; i++) {
		const struct client_totals *found = found_by(gather, i);

		if (found != NULL && client_totals_merge(totals, found) < 0)
			return -1;
	}
	return 0;
}

static void clients_reply(struct control_gather *gather)
{
	const struct clients_question *asked = gather->data;
	struct client_total *top = calloc(asked->limit, sizeof(*top));
	json_t *result = NULL, *clients;
	struct client_totals totals;

	client_totals_init(&totals, &gather->control->secret);
	if (top != NULL && found_all(gather) && merge_clients(gather, &totals) == 0) {
		size_t count = client_totals_top(&totals, top, asked->limit);

		clients = json_array();
		for (size_t i = 0; i < count; i++)
			json_array_append_new(clients, client_to_json(&top[i]));
		result = json_object();
		json_object_set_new(result, "clients", clients);
		control_gather_name_unanswered(gather, result);
	}
	client_totals_finish(&totals);
	free(top);
	control_reply(gather->connection, result);
}

void control_run_clients(struct control_connection *connection,
			 const struct control_request *request)
{
	static const struct control_question question = {
		.ask = clients_ask,
		.discard = clients_discard,
		.reply = clients_reply,
		.release = free,
		.walks = true,
	};
	struct clients_question *asked = malloc(sizeof(*asked));
	char why[CONTROL_WHY_SIZE];

	if (asked == NULL) {
		control_reply(connection, NULL);
		return;
	}
	asked->secret = connection->control->secret;
	if (control_request_clients(request, &asked->limit, why) == 0) {
		ask_all(connection, &question, asked);
		return;
	}
	free(asked);
	control_refuse(connection, "%s", why);
}

/* kill */

static void kill_ask(struct control_call *call, struct worker *worker)
{
	const uint64_t *id = call->gather->data;

	call->number = session_kill(&worker->relay, *id);
}

static void kill_reply(struct control_gather *gather)
{
	const struct control_call *call = &gather->calls[0];
	const uint64_t *id = gather->data;
	json_t *result;

	if (call->answer == CONTROL_UNANSWERED) {
		control_refuse(gather->connection,
			       "kill: worker %u does not answer; whether session %" PRIu64
			       " lives on is not known",
			       call->worker, *id);
		return;
	}
	if (call->answer == CONTROL_WORKER_ENDED || call->number == 0) {
		control_refuse(gather->connection,
			       "kill: there is no session %" PRIu64 "; `sessions` lists them", *id);
		return;
	}
	result = json_object();
	control_set_number(result, "id", *id);
	control_reply(gather->connection, result);
}

/* A session is found by a walk, up to the one that has the id. */
void control_run_kill(struct control_connection *connection, const struct control_request *request)
{
	static const struct control_question question = {
		.ask = kill_ask,
		.reply = kill_reply,
		.release = free,
		.walks = true,
	};
	uint64_t *id = malloc(sizeof(*id));
	char why[CONTROL_WHY_SIZE];

	if (id == NULL) {
		control_reply(connection, NULL);
		return;
	}
	if (control_request_kill(request, id, why) == 0) {
		unsigned workers = connection->control->server->worker_count;

		control_gather_start(connection, &question, id, session_worker(*id, workers), 1);
		return;
	}
	free(id);
	control_refuse(connection, "%s", why);
}

/* reload */

static void reload_reply(struct control_gather *gather)
{
	const uint64_t *generation = gather->data;
	json_t *result = json_object();

	control_set_number(result, "generation", *generation);
	control_gather_name_unanswered(gather, result);
	control_reply(gather->connection, result);
}

/*
 * A worker reads a generation before or just after it answers the call that was sent behind it. So
 * that call is only there to tell which worker is stuck; the answer waits until the adoptions of
 * all reloads under way are in.
 */
void control_run_reload(struct control_connection *connection,
			const struct control_request *request)
{
	static const struct control_question question = {
		.reply = reload_reply,
		.release = free,
		.awaits_adoption = true,
	};
	struct server *server = connection->control->server;
	uint64_t *generation = malloc(sizeof(*generation));
	struct report mistakes;

	(void)request;
	if (generation == NULL) {
		control_reply(connection, NULL);
		return;
	}
	report_init(&mistakes);
	if (reload_run(server, &mistakes) == 0) {
		*generation = server->generation->number;
		ask_all(connection, &question, generation);
	} else {
		free(generation);
		control_refuse_with(connection, "reload: nothing has changed", &mistakes);
	}
	report_finish(&mistakes);
}
