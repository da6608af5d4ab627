/* SPDX-License-Identifier: MIT */
/*
 * Reload: load everything anew beside what runs, open what it needs, and put it in place only when
 * all of that has worked. Live sessions keep the generation that accepted them.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/report.h"
#include "daemon/changes.h"
#include "daemon/control/control.h"
#include "daemon/listeners.h"
#include "daemon/offload.h"
#include "daemon/plugins.h"
#include "daemon/routing.h"
#include "daemon/server_state.h"
#include "os/log.h"
#include "os/wall_clock.h"

/* What each worker is to be told: all of it, or NULL. */
static struct worker_update **prepare_updates(struct server *server, struct generation *generation)
{
	struct worker_update **updates =
		calloc(server->worker_count, sizeof(struct worker_update *));
	unsigned count = 0;
	int error;

	while (updates != NULL && count < server->worker_count &&
	       (updates[count] = listeners_update(server, generation, count)) != NULL)
		count++;
	if (updates != NULL && count == server->worker_count)
		return updates;
	error = errno;
	while (count > 0)
		worker_update_destroy(updates[--count]);
	free(updates);
	errno = error;
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

static void log_failure(const struct report *report)
{
	config_log_mistakes(report);
	log_error("config", "reload failed, nothing changed",
		  LOG_NUMBER("problems", report->count));
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
	    routing_prepare(server, generation, report) == 0) {
		offload_admit(server, generation);
		return generation;
	}
	generation_drop(generation);
	return NULL;
}

static void keep_outcome(struct server *server, bool loaded, const struct report *mistakes)
{
	struct reload_history *reloads = &server->reloads;

	report_finish(&reloads->mistakes);
	reloads->last_failed = !loaded;
	for (size_t i = 0; i < mistakes->count; i++)
		report_add(&reloads->mistakes, "%s", mistakes->lines[i]);
	reloads->last = wall_clock_seconds();
	if (loaded)
		reloads->loaded = reloads->last;
	else
		reloads->failed++;
}

static int reload(struct server *server, struct report *mistakes)
{
	const struct server_options *options = server->options;
	struct generation *generation = NULL;
	struct worker_update **updates = NULL;
	struct config config = {0};

	announce_reloading(server);
	if (server->stopping) {
		report_add_failure(mistakes,
				   "configuration: not loaded again, mmproxy is stopping");
	} else if (options->reload_config(options->user_data, &config, mistakes) == 0 &&
		   changes_admit(&server->generation->config, &config, mistakes) == 0) {
		generation = next_generation(server, &config, mistakes);
	}
	config_finish(&config);
	if (generation != NULL) {
		updates = prepare_updates(server, generation);
		if (updates == NULL)
			report_add_failure(mistakes,
					   "configuration: the workers cannot be given it: %s",
					   log_error_text(-errno));
	}
	keep_outcome(server, updates != NULL, mistakes);
	if (updates == NULL) {
		if (generation != NULL)
			generation_drop(generation);
		log_failure(mistakes);
		announce_reload_over(server);
		return -EINVAL;
	}
	put_in_place(server, generation, updates);
	config_log_remarks(&generation->config);
	offload_reloaded(server);
	routing_check(&generation->config, options->config_file);
	return 0;
}

int reload_run(struct server *server, struct report *mistakes)
{
	int error = reload(server, mistakes);

	/* Files, plugins and the kernel took their time, which is nobody else's. */
	loop_look_at_clock(&server->loop);
	return error;
}
