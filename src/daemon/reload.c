/* SPDX-License-Identifier: MIT */
/*
 * Reload: load everything anew beside what runs, open what it needs, and put it in place only when
 * all of that has worked. Live sessions keep the generation that accepted them.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/report.h"
#include "daemon/control.h"
#include "daemon/listeners.h"
#include "daemon/plugins.h"
#include "daemon/routing.h"
#include "daemon/server_state.h"
#include "os/log.h"

static bool text_equal(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_endpoints(const struct config_listener *a, const struct config_listener *b)
{
	if (a->listen_count != b->listen_count)
		return false;
	for (size_t i = 0; i < a->listen_count; i++) {
		if (!listen_endpoint_equal(&a->listen[i], &b->listen[i]))
			return false;
	}
	return true;
}

static void demand_restart(struct report *report, const char *where, const char *setting)
{
	report_add(report, "%s: %s: changed, and this change needs a restart", where, setting);
}

/* A flow table is made at the start, in one size, and its flows know one framing. */
static void compare_udp(const struct relay_settings *old, const struct relay_settings *new,
			const char *where, struct report *report)
{
	if (old->udp.framing != new->udp.framing)
		demand_restart(report, where, "udp.framing");
	if (old->udp.max_flows != new->udp.max_flows)
		demand_restart(report, where, "udp.max_flows");
}

/* Where a listener goes on, its sockets stay as they are. */
static void compare_listeners(const struct config_listener *old, const struct config_listener *new,
			      struct report *report)
{
	if (new->relay.protocol == RELAY_PROTOCOL_UDP) {
		compare_udp(&old->relay, &new->relay, new->where, report);
		if (!same_endpoints(old, new))
			demand_restart(report, new->where, "listen");
	} else if (old->socket.backlog != new->socket.backlog) {
		demand_restart(report, new->where, "backlog");
	}
	if (old->socket.freebind != new->socket.freebind)
		demand_restart(report, new->where, "freebind");
	if (!text_equal(old->device, new->device))
		demand_restart(report, new->where, "device");
}

/* A group that is gone has no place of its own any more. */
static void compare_control(const struct config_control *old, const struct config_control *new,
			    struct report *report)
{
	const char *where = new->where != NULL ? new->where : "configuration";

	if (!text_equal(old->socket, new->socket))
		demand_restart(report, where, "control.socket");
	if (old->mode != new->mode)
		demand_restart(report, where, "control.mode");
	if (!text_equal(old->group, new->group))
		demand_restart(report, where, "control.group");
}

/* What cannot change without new threads or privileges. */
static void compare(const struct config *old, const struct config *new, struct report *report)
{
	if (old->workers_given != new->workers_given ||
	    (new->workers_given && old->workers != new->workers))
		demand_restart(report, "configuration", "workers");
	if (!text_equal(old->user, new->user))
		demand_restart(report, "configuration", "user");
	if (!text_equal(old->group, new->group))
		demand_restart(report, "configuration", "group");
	if (old->log.format != new->log.format)
		demand_restart(report, "configuration", "log.format");
	if (old->log.target != new->log.target)
		demand_restart(report, "configuration", "log.target");
	compare_control(&old->control, &new->control, report);
	if (!address_equal(&old->metrics_listen, &new->metrics_listen))
		demand_restart(report,
			       new->metrics_where != NULL ? new->metrics_where : "configuration",
			       "metrics.listen");
	for (size_t i = 0; i < new->listener_count; i++) {
		size_t forerunner = listeners_forerunner(old, new, i);

		if (forerunner != LISTENERS_NONE)
			compare_listeners(&old->listeners[forerunner], &new->listeners[i], report);
	}
}

/* What each worker is to be told: all of it, or NULL. */
static struct worker_update **prepare_updates(struct server *server, struct generation *generation)
{
	struct worker_update **updates =
		calloc(server->worker_count, sizeof(struct worker_update *));
	unsigned count = 0;

	while (updates != NULL && count < server->worker_count &&
	       (updates[count] = listeners_update(server, generation, count)) != NULL)
		count++;
	if (updates != NULL && count == server->worker_count)
		return updates;
	while (count > 0)
		worker_update_destroy(updates[--count]);
	free(updates);
	return NULL;
}

/* Nothing in here can fail: the new generation is in force everywhere, or nowhere. */
static void put_in_place(struct server *server, struct generation *generation,
			 struct worker_update **updates)
{
	const struct config *config = &generation->config;

	for (size_t i = 0; i < config->listener_count; i++) {
		if (config->listeners[i].relay.protocol == RELAY_PROTOCOL_TCP)
			atomic_store(&generation->listeners[i].share->sessions.limit,
				     config->listeners[i].relay.max_sessions);
	}
	for (unsigned i = 0; i < server->worker_count; i++)
		worker_send_update(&server->workers[i], updates[i]);
	free(updates);
	server->adoptions_awaited += server->worker_count;
	listeners_handed(generation, server->generation);
	log_set_level(config->log.level);
	generation_drop(server->generation);
	server->generation = generation;
}

/* The line comes when it is true: from then on every new session uses the new generation. */
void reload_adopted(struct server *server, uint64_t workers)
{
	server->adoptions_awaited -= workers;
	if (server->adoptions_awaited > 0)
		return;
	log_info("config", "reloaded", LOG_NUMBER("generation", server->generation->number));
	announce_reload_over(server);
	control_reloaded(server);
}

void reload_log_mistakes(const struct report *report)
{
	for (size_t i = 0; i < report->count; i++)
		log_error("config", "mistake", LOG_TEXT("line", report->lines[i]));
}

static void log_failure(const struct report *report)
{
	reload_log_mistakes(report);
	log_error("config", "reload failed, nothing changed",
		  LOG_NUMBER("mistakes", report->count));
}

/*
 * With its sockets and its plugins open and its return path in place; NULL after lines in the
 * report.
 */
static struct generation *next_generation(struct server *server, struct config *config,
					  struct report *report)
{
	struct generation *generation =
		generation_create(config, server->generation->number + 1, &server->retirement);

	if (generation == NULL) {
		report_add_failure(report, "configuration: out of memory");
		return NULL;
	}
	if (listeners_prepare(server, generation, server->generation, report) == 0 &&
	    capacity_admit(server, generation, server->generation, report) == 0 &&
	    plugins_open(&server->plugins, generation, report) == 0 &&
	    routing_prepare(server, generation, report) == 0)
		return generation;
	generation_drop(generation);
	return NULL;
}

static void keep_outcome(struct server *server, const struct report *mistakes)
{
	struct reload_history *reloads = &server->reloads;

	report_finish(&reloads->mistakes);
	for (size_t i = 0; i < mistakes->count; i++)
		report_add(&reloads->mistakes, "%s", mistakes->lines[i]);
	reloads->last = (uint64_t)time(NULL);
	if (mistakes->count == 0)
		reloads->loaded = reloads->last;
	else
		reloads->failed++;
}

int reload_run(struct server *server, struct report *mistakes)
{
	const struct server_options *options = server->options;
	struct generation *generation = NULL;
	struct worker_update **updates = NULL;
	struct config config = {0};

	announce_reloading(server);
	if (server->stopping) {
		report_add_failure(mistakes,
				   "configuration: not loaded again, mmproxy is stopping");
	} else if (options->reload_config(options->user_data, &config, mistakes) == 0) {
		compare(&server->generation->config, &config, mistakes);
		if (mistakes->count == 0)
			generation = next_generation(server, &config, mistakes);
	}
	config_finish(&config);
	if (generation != NULL) {
		updates = prepare_updates(server, generation);
		if (updates == NULL)
			report_add_failure(mistakes, "configuration: out of memory or descriptors");
	}
	keep_outcome(server, mistakes);
	if (updates == NULL) {
		if (generation != NULL)
			generation_drop(generation);
		log_failure(mistakes);
		announce_reload_over(server);
		return -EINVAL;
	}
	put_in_place(server, generation, updates);
	config_log_remarks(&generation->config);
	routing_check(&generation->config);
	return 0;
}
