/* SPDX-License-Identifier: MIT */
/* The metrics' text: what is read where, and in what order it is told. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "daemon/metrics/metrics.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/histogram.h"
#include "daemon/heartbeat.h"
#include "daemon/metrics/exposition.h"
#include "daemon/routing.h"
#include "daemon/server_state.h"
#include "host/plugin_host.h"
#include "os/log.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unversioned"
#endif

static void put_one(struct exposition *exposition, const char *name, enum exposition_type type,
		    const char *help, uint64_t value)
{
	exposition_family(exposition, name, type, help);
	exposition_number(exposition, name, NULL, value);
}

static void put_config(struct exposition *exposition, const struct server *server)
{
	static const char reloads[] = "mmproxy_config_reloads_total";

	exposition_family(exposition, "mmproxy_build_info", EXPOSITION_GAUGE,
			  "Always 1; the label says which version runs.");
	exposition_number(exposition, "mmproxy_build_info",
			  EXPOSITION_LABELS({"version", PACKAGE_VERSION}), 1);
	put_one(exposition, "mmproxy_config_generation", EXPOSITION_GAUGE,
		"Number of the configuration in place; the first is 1.",
		server->generation->number);
	put_one(exposition, "mmproxy_config_last_reload_successful", EXPOSITION_GAUGE,
		"Whether the last reload was put in place; 1 also when there was none.",
		!server->reloads.last_failed);
	put_one(exposition, "mmproxy_config_last_reload_success_timestamp_seconds",
		EXPOSITION_GAUGE,
		"When the configuration in place was loaded, in seconds since 1970.",
		server->reloads.loaded);
	exposition_family(exposition, reloads, EXPOSITION_COUNTER,
			  "Reloads that were asked for, by outcome.");
	exposition_number(exposition, reloads, EXPOSITION_LABELS({"outcome", "success"}),
			  server->generation->number - 1);
	exposition_number(exposition, reloads, EXPOSITION_LABELS({"outcome", "failure"}),
			  server->reloads.failed);
	put_one(exposition, "mmproxy_draining", EXPOSITION_GAUGE,
		"1 while mmproxy stops and lets its last sessions finish.", server->stopping);
}

static void put_routing(struct exposition *exposition, const struct server *server)
{
	const struct routing_state state = routing_look(server);

	put_one(exposition, "mmproxy_routing_managed", EXPOSITION_GAUGE,
		"Rules, routes and nftables tables that mmproxy sees to (routing.mode = manage).",
		state.items);
	put_one(exposition, "mmproxy_routing_missing", EXPOSITION_GAUGE,
		"Rules, routes and nftables tables that mmproxy sees to and that are not in place.",
		state.missing);
	put_one(exposition, "mmproxy_routing_put_back_total", EXPOSITION_COUNTER,
		"How often something else had removed a rule, route or table that mmproxy sees to.",
		state.put_back);
}

static struct listener_figures figures_of(const struct server *server, const struct list *link)
{
	return listener_share_figures(container_of(link, struct listener_share, link),
				      &server->descriptors);
}

static bool same_listener(const struct listener_figures *a, const struct listener_figures *b)
{
	return a->protocol == b->protocol && strcmp(a->name, b->name) == 0;
}

static void put_listener(struct exposition *exposition, const char *name,
			 const struct listener_figures *figures, uint64_t value)
{
	exposition_number(exposition, name,
			  EXPOSITION_LABELS({"listener", figures->name},
					    {"protocol", relay_protocol_name(figures->protocol)}),
			  value);
}

/* Has the listener of `figures` been told of, by one that stands before `end` in the list? */
static bool was_told(const struct server *server, const struct list *end,
		     const struct listener_figures *figures)
{
	for (const struct list *link = server->shares.next; link != end; link = link->next) {
		const struct listener_figures before = figures_of(server, link);

		if (same_listener(&before, figures))
			return true;
	}
	return false;
}

/*
 * Also those that drain. One that has left the configuration may have come again under its name
 * while its last sessions live: they count as of one listener.
 */
static void put_alive(struct exposition *exposition, const struct server *server)
{
	static const char name[] = "mmproxy_sessions";
	const struct list *end = &server->shares;

	exposition_family(exposition, name, EXPOSITION_GAUGE,
			  "TCP sessions, or UDP flows, that are alive.");
	for (const struct list *link = end->next; link != end; link = link->next) {
		const struct listener_figures figures = figures_of(server, link);
		uint64_t sessions = 0;

		if (was_told(server, link, &figures))
			continue;
		for (const struct list *other = link; other != end; other = other->next) {
			const struct listener_figures more = figures_of(server, other);

			if (same_listener(&more, &figures))
				sessions += more.sessions;
		}
		put_listener(exposition, name, &figures, sessions);
	}
}

static void put_sessions(struct exposition *exposition, const struct server *server)
{
	static const char limit[] = "mmproxy_sessions_limit";
	static const char begun[] = "mmproxy_sessions_begun_total";
	const struct generation *generation = server->generation;
	size_t count = generation->config.listener_count;

	put_alive(exposition, server);
	exposition_family(
		exposition, limit, EXPOSITION_GAUGE,
		"TCP sessions, or UDP flows, that may be alive: max_sessions, or what the "
		"descriptors allow all TCP listeners together; max_flows.");
	for (size_t i = 0; i < count; i++) {
		const struct listener_figures figures = listener_share_figures(
			generation->listeners[i].share, &server->descriptors);

		put_listener(exposition, limit, &figures, figures.limit);
	}
	exposition_family(exposition, begun, EXPOSITION_COUNTER,
			  "TCP sessions, or UDP flows, that ever began.");
	for (size_t i = 0; i < count; i++) {
		const struct listener_figures figures = listener_share_figures(
			generation->listeners[i].share, &server->descriptors);

		put_listener(exposition, begun, &figures, figures.begun);
	}
	put_one(exposition, "mmproxy_tcp_sessions_limit", EXPOSITION_GAUGE,
		"TCP sessions that the descriptors allow, of all listeners together.",
		atomic_load(&server->descriptors.limit));
}

static void put_counters(struct exposition *exposition, const struct server *server)
{
	uint64_t values[COUNTER_COUNT];

	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		values[i] = server_sum_counter(server, (enum counter)i);
	metrics_put_counters(exposition, values);
	put_one(exposition, "mmproxy_log_lines_dropped_total", EXPOSITION_COUNTER,
		"Log lines lost because they could not be written at once.", log_lines_dropped());
}

static void put_latencies(struct exposition *exposition, const struct server *server)
{
	struct histogram_sum header = {0}, dial = {0};

	for (unsigned i = 0; i < server->worker_count; i++) {
		histogram_add_to(&server->workers[i].relay.header_latency, &header);
		histogram_add_to(&server->workers[i].relay.dial_latency, &dial);
	}
	exposition_family(exposition, "mmproxy_header_latency_seconds", EXPOSITION_HISTOGRAM,
			  "From the accepted connection to its whole header, where that was sound; "
			  "TCP.");
	exposition_histogram(exposition, "mmproxy_header_latency_seconds", &header);
	exposition_family(exposition, "mmproxy_dial_latency_seconds", EXPOSITION_HISTOGRAM,
			  "From the dial to the upstream's answer, where it took the connection; "
			  "TCP.");
	exposition_histogram(exposition, "mmproxy_dial_latency_seconds", &dial);
}

static void put_plugins(struct exposition *exposition, const struct server *server)
{
	static const char name[] = "mmproxy_plugin_events_total";

	if (server->plugins.counters == NULL)
		return;
	exposition_family(exposition, name, EXPOSITION_COUNTER,
			  "What plugins count, and what mmproxy counts of them, by the plugin's "
			  "entry in the configuration.");
	for (const struct plugin_counter *counter = server->plugins.counters; counter != NULL;
	     counter = counter->next)
		exposition_number(
			exposition, name,
			EXPOSITION_LABELS({"entry", counter->entry}, {"counter", counter->counter}),
			atomic_load(&counter->value));
}

static void put_workers(struct exposition *exposition, const struct server *server)
{
	char number[16];

	exposition_family(exposition, "mmproxy_worker_sessions", EXPOSITION_GAUGE,
			  "TCP sessions and UDP flows of a worker that are alive.");
	for (unsigned i = 0; i < server->worker_count; i++) {
		snprintf(number, sizeof(number), "%u", i);
		exposition_number(exposition, "mmproxy_worker_sessions",
				  EXPOSITION_LABELS({"worker", number}),
				  atomic_load(&server->workers[i].relay.session_count));
	}
	exposition_family(exposition, "mmproxy_worker_heartbeat_age_seconds", EXPOSITION_GAUGE,
			  "Time since a worker's last sign of life: up to 1 s, if it is well.");
	for (unsigned i = 0; i < server->worker_count; i++) {
		snprintf(number, sizeof(number), "%u", i);
		exposition_seconds(exposition, "mmproxy_worker_heartbeat_age_seconds",
				   EXPOSITION_LABELS({"worker", number}),
				   heartbeat_age_ms(server, i) * 1000);
	}
}

char *metrics_text(const struct server *server)
{
	struct exposition exposition;

	if (exposition_begin(&exposition) < 0)
		return NULL;
	put_config(&exposition, server);
	put_routing(&exposition, server);
	metrics_put_process(&exposition, server->started, server->descriptor_limit);
	put_sessions(&exposition, server);
	put_counters(&exposition, server);
	put_latencies(&exposition, server);
	put_plugins(&exposition, server);
	put_workers(&exposition, server);
	return exposition_end(&exposition);
}
