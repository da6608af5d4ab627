/* SPDX-License-Identifier: MIT */
/*
 * The commands: one table, which `help` shows as it is, and those that the main thread answers by
 * itself.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/report.h"
#include "daemon/control/state.h"
#include "daemon/metrics/exposition.h"
#include "daemon/metrics/metrics.h"
#include "daemon/server_state.h"
#include "host/instance.h"
#include "host/plugin_host.h"
#include "host/plugin_set.h"
#include "os/log.h"
#include "os/log_line.h"

/* Both texts may be anything but NULL: JSON is UTF-8, what is not is escaped as in the log. */
json_t *control_text(const char *text)
{
	json_t *string = json_string(text);
	char escaped[1024];

	if (string != NULL)
		return string;
	escape_bytes(escaped, sizeof(escaped), (const uint8_t *)text, strlen(text));
	return json_string(escaped);
}

json_t *control_address(const struct address *address)
{
	char text[ADDRESS_TEXT_SIZE];

	if (address->family == ADDRESS_NONE)
		return json_null();
	return json_string(address_format(address, text));
}

json_t *control_seconds(uint64_t milliseconds)
{
	return json_real((double)milliseconds / 1000);
}

void control_set_number(json_t *object, const char *name, uint64_t number)
{
	json_object_set_new(object, name, json_integer((json_int_t)number));
}

json_t *control_lines(const struct report *lines)
{
	json_t *array = json_array();

	for (size_t i = 0; i < lines->count; i++)
		json_array_append_new(array, control_text(lines->lines[i]));
	return array;
}

static json_t *endpoints_of(const struct generation_listener *listener)
{
	json_t *array = json_array();

	for (size_t i = 0; i < listener->listening_count; i++) {
		const struct listening *listening = listener->listenings[i];
		json_t *endpoint = json_object();

		json_object_set_new(endpoint, "address",
				    control_address(&listening->endpoint.address));
		json_object_set_new(endpoint, "passed", json_boolean(listening->passed));
		json_array_append_new(array, endpoint);
	}
	return array;
}

/* What is known also of one that has left the configuration. */
static json_t *share_to_json(const struct server *server, const struct listener_share *share,
			     bool draining)
{
	const struct listener_figures figures = listener_share_figures(share, &server->descriptors);
	json_t *object = json_object();

	json_object_set_new(object, "name", control_text(figures.name));
	json_object_set_new(object, "protocol", json_string(relay_protocol_name(figures.protocol)));
	json_object_set_new(object, "state", json_string(draining ? "draining" : "listening"));
	control_set_number(object, "sessions", figures.sessions);
	control_set_number(object, "sessions_total", figures.begun);
	control_set_number(object, "max_sessions", figures.limit);
	return object;
}

static json_t *listener_to_json(const struct server *server, size_t index)
{
	static const char *const framings[] = {
		[UDP_FRAMING_EVERY] = "every",
		[UDP_FRAMING_FIRST] = "first",
		[UDP_FRAMING_SPP] = "spp",
	};
	const struct config_listener *listener = &server->generation->config.listeners[index];
	const struct generation_listener *runs = &server->generation->listeners[index];
	json_t *object = share_to_json(server, runs->share, server->stopping);

	json_object_set_new(object, "listen", endpoints_of(runs));
	json_object_set_new(object, "forward_ipv4", control_address(&listener->relay.forward_ipv4));
	json_object_set_new(object, "forward_ipv6", control_address(&listener->relay.forward_ipv6));
	if (listener->relay.protocol == RELAY_PROTOCOL_UDP)
		json_object_set_new(object, "framing",
				    json_string(framings[listener->relay.udp.framing]));
	return object;
}

static bool is_in_force(const struct generation *generation, const struct listener_share *share)
{
	for (size_t i = 0; i < generation->config.listener_count; i++) {
		if (generation->listeners[i].share == share)
			return true;
	}
	return false;
}

static void run_listeners(struct control_connection *connection,
			  const struct control_request *request)
{
	const struct server *server = connection->control->server;
	json_t *listeners = json_array(), *result = json_object();

	(void)request;
	for (size_t i = 0; i < server->generation->config.listener_count; i++)
		json_array_append_new(listeners, listener_to_json(server, i));
	for (const struct list *link = server->shares.next; link != &server->shares;
	     link = link->next) {
		const struct listener_share *share =
			container_of(link, struct listener_share, link);

		if (!is_in_force(server->generation, share))
			json_array_append_new(listeners, share_to_json(server, share, true));
	}
	json_object_set_new(result, "listeners", listeners);
	control_reply(connection, result);
}

static void run_counters(struct control_connection *connection,
			 const struct control_request *request)
{
	const struct server *server = connection->control->server;
	json_t *counters = json_object(), *result = json_object();
	char name[COUNTER_NAME_SIZE];

	(void)request;
	for (enum counter counter = 0; counter < COUNTER_COUNT; counter++) {
		counter_name(counter, name);
		control_set_number(counters, name, server_sum_counter(server, counter));
	}
	control_set_number(counters, "log_lines_dropped", log_lines_dropped());
	for (const struct plugin_counter *counter = server->plugins.counters; counter != NULL;
	     counter = counter->next)
		control_set_number(counters, counter->name, atomic_load(&counter->value));
	json_object_set_new(result, "counters", counters);
	control_reply(connection, result);
}

/* All that changes something leaves a line about who it was. */
static void log_change(const struct control_connection *connection, const char *command,
		       const char *argument)
{
	log_info("control", "command received", LOG_TEXT("command", command),
		 argument != NULL ? LOG_TEXT("argument", argument) : LOG_NOTHING,
		 LOG_NUMBER("uid", connection->uid), LOG_NUMBER("pid", (uint64_t)connection->pid));
}

static void run_drain(struct control_connection *connection, const struct control_request *request)
{
	(void)request;
	server_drain(connection->control->server);
	control_stream_progress(connection);
}

static enum log_level current_level(void)
{
	enum log_level level = LOG_LEVEL_DEBUG;

	while (level > LOG_LEVEL_ERROR && !log_wants(level))
		level--;
	return level;
}

const char *control_log_level(void)
{
	return log_level_name(current_level());
}

static void run_log_level(struct control_connection *connection,
			  const struct control_request *request)
{
	char why[CONTROL_WHY_SIZE];
	enum log_level level;
	json_t *result;
	bool given;

	if (control_request_log_level(request, &given, &level, why) < 0) {
		control_refuse(connection, "%s", why);
		return;
	}
	if (given)
		log_set_level(level);
	result = json_object();
	json_object_set_new(result, "level", json_string(control_log_level()));
	control_reply(connection, result);
}

/* Without what all counters of an entry begin with: "plugin_", its name, "_". */
static json_t *counters_of(const struct mmproxy_instance *instance)
{
	size_t prefix = strlen("plugin_") + strlen(instance->entry->name) + 1;
	int count = atomic_load(&instance->counter_count);
	json_t *object = json_object();

	for (int i = 0; i < INSTANCE_COUNTER_COUNT; i++)
		control_set_number(object, instance->own[i]->name + prefix,
				   atomic_load(&instance->own[i]->value));
	for (int i = 0; i < count; i++)
		control_set_number(object, instance->counters[i]->name + prefix,
				   atomic_load(&instance->counters[i]->value));
	return object;
}

static json_t *listeners_of(const struct config *config, const struct plugin_chain *chain)
{
	json_t *array = json_array();

	for (size_t i = 0; i < config->listener_count; i++) {
		if (config->listeners[i].relay.plugins == chain)
			json_array_append_new(array, control_text(config->listeners[i].name));
	}
	return array;
}

static json_t *plugin_to_json(const struct config *config, const struct plugin_chain *chain,
			      const struct mmproxy_instance *instance)
{
	const struct plugin_entry *entry = instance->entry;
	json_t *object = json_object();

	json_object_set_new(object, "entry", control_text(entry->name));
	json_object_set_new(object, "name", control_text(instance->module.hooks.name));
	json_object_set_new(object, "version", control_text(instance->module.hooks.version));
	json_object_set_new(object, "path", control_text(instance->module.path));
	json_object_set_new(object, "listeners", listeners_of(config, chain));
	json_object_set_new(object, "on_error",
			    json_string(entry->on_error == PLUGIN_ON_ERROR_PASS ? "pass" : "deny"));
	json_object_set_new(object, "timeout", control_seconds(entry->timeout));
	json_object_set_new(object, "counters", counters_of(instance));
	return object;
}

/* Those of the list at the top are one chain, which several listeners may have. */
static bool shown_before(const struct config *config, size_t listener)
{
	for (size_t i = 0; i < listener; i++) {
		if (config->listeners[i].relay.plugins == config->listeners[listener].relay.plugins)
			return true;
	}
	return false;
}

static void run_plugins(struct control_connection *connection,
			const struct control_request *request)
{
	const struct config *config = &connection->control->server->generation->config;
	json_t *plugins = json_array(), *result = json_object();

	(void)request;
	for (size_t i = 0; i < config->listener_count; i++) {
		const struct plugin_chain *chain = config->listeners[i].relay.plugins;

		if (chain == NULL || shown_before(config, i))
			continue;
		for (size_t j = 0; j < chain->count; j++)
			json_array_append_new(plugins,
					      plugin_to_json(config, chain, chain->instances[j]));
	}
	json_object_set_new(result, "plugins", plugins);
	control_reply(connection, result);
}

static void run_metrics(struct control_connection *connection,
			const struct control_request *request)
{
	char *text = metrics_text(connection->control->server);
	json_t *result = NULL;

	(void)request;
	if (text != NULL) {
		result = json_object();
		json_object_set_new(result, "content_type", json_string(EXPOSITION_CONTENT_TYPE));
		json_object_set_new(result, "text", json_string(text));
		free(text);
	}
	control_reply(connection, result);
}

static void run_help(struct control_connection *connection, const struct control_request *request);

static const struct {
	const char *name;
	const char *arguments;
	bool changes; /* not for everybody who can connect */
	bool takes_arguments;
	void (*run)(struct control_connection *connection, const struct control_request *request);
	const char *what;
} commands[] = {
	{"status", "", false, false, control_run_status,
	 "how mmproxy is: state, generation, last reload, workers"},
	{"listeners", "", false, false, run_listeners,
	 "where it listens, where that goes, and how many sessions there are"},
	{"sessions", "[client=PREFIX] [listener=NAME] [older=SECONDS] [limit=N]", false, true,
	 control_run_sessions,
	 "sessions that live, the oldest first; 100 of them, or N, up to 10000"},
	{"clients", "[limit=N]", false, true, control_run_clients,
	 "the 20 clients, or N, up to 1000, whose live sessions have moved most bytes"},
	{"counters", "", false, false, run_counters, "all counters since the start"},
	{"plugins", "", false, false, run_plugins, "the plugins that new sessions pass"},
	{"metrics", "", false, false, run_metrics, "what Prometheus would be told"},
	{"help", "", false, false, run_help, "these lines"},
	{"kill", "ID", true, true, control_run_kill,
	 "ends a session with a reset to both sides; a UDP client's next datagram begins another"},
	{"reload", "", true, false, control_run_reload,
	 "loads the configuration again; answers when every worker has it"},
	{"drain", "", true, false, run_drain,
	 "no new sessions, and the end with the last one; asked again, at once"},
	{"log-level", "[error|warning|info|debug]", true, true, run_log_level,
	 "shows the log level, or sets it until the next reload"},
};

static void run_help(struct control_connection *connection, const struct control_request *request)
{
	json_t *list = json_array(), *result = json_object();

	(void)request;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		json_t *object = json_object();

		json_object_set_new(object, "name", json_string(commands[i].name));
		json_object_set_new(object, "arguments", json_string(commands[i].arguments));
		json_object_set_new(object, "what", json_string(commands[i].what));
		json_object_set_new(object, "changes", json_boolean(commands[i].changes));
		json_array_append_new(list, object);
	}
	json_object_set_new(result, "commands", list);
	control_reply(connection, result);
}

void control_run(struct control_connection *connection, const struct control_request *request)
{
	char why[CONTROL_WHY_SIZE];
	size_t i = 0;

	while (i < sizeof(commands) / sizeof(commands[0]) &&
	       strcmp(commands[i].name, request->words[0]) != 0)
		i++;
	if (i == sizeof(commands) / sizeof(commands[0])) {
		control_refuse(connection, "no such command: \"%.80s\"; `help` lists them",
			       request->words[0]);
		return;
	}
	if (commands[i].changes && !connection->may_change) {
		control_refuse(connection,
			       "%s: only for root, mmproxy's own user and the members of "
			       "control.group",
			       commands[i].name);
		return;
	}
	if (!commands[i].takes_arguments && control_request_expect_nothing(request, why) < 0) {
		control_refuse(connection, "%s", why);
		return;
	}
	if (commands[i].changes && (request->count > 1 || !commands[i].takes_arguments))
		log_change(connection, commands[i].name,
			   request->count > 1 ? request->words[1] : NULL);
	commands[i].run(connection, request);
}
