/* SPDX-License-Identifier: MIT */
/*
 * The configuration in memory: what a setting is when nobody sets it, and who owns what. The
 * defaults stand in settings.def too, for people; a unit test compares the two.
 */
#include "config/config.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "host/plugin_config.h"

/* More CPUs than Linux can be built for (NR_CPUS is at most 8192). */
#define CONFIG_CPUS_MAX 8192

unsigned config_count_cpus(void)
{
	size_t size = CPU_ALLOC_SIZE(CONFIG_CPUS_MAX);
	cpu_set_t *allowed = CPU_ALLOC(CONFIG_CPUS_MAX);
	int count = 1;

	if (allowed != NULL && sched_getaffinity(0, size, allowed) == 0)
		count = CPU_COUNT_S(size, allowed);
	CPU_FREE(allowed);
	if (count < 1)
		count = 1;
	return count > CONFIG_WORKERS_MAX ? CONFIG_WORKERS_MAX : (unsigned)count;
}

int config_begin(struct config *config)
{
	*config = (struct config){
		.workers = config_count_cpus(),
		.user = strdup("nobody"),
		.offload_directory = strdup("/sys/fs/bpf/mmproxy"),
		.drain_timeout = 10 * 1000,
		.log = {.level = LOG_LEVEL_INFO,
			.format = LOG_FORMAT_TEXT,
			.target = LOG_TARGET_DEFAULT},
		.control = {.mode = 0660},
		.routing = {.mode = ROUTING_MODE_CHECK,
			    .method = ROUTING_METHOD_LOOPBACK,
			    .table = 123},
	};
	if (config->user != NULL && config->offload_directory != NULL)
		return 0;
	config_finish(config);
	return -ENOMEM;
}

static void plugins_finish(struct plugin_list *plugins)
{
	for (size_t i = 0; i < plugins->count; i++) {
		free(plugins->entries[i].name);
		free(plugins->entries[i].path);
		free(plugins->entries[i].where);
		plugin_config_destroy(plugins->entries[i].config);
	}
	free(plugins->entries);
}

static void listener_finish(struct config_listener *listener)
{
	free(listener->name);
	free(listener->where);
	free(listener->listen);
	free(listener->device);
	prefix_set_destroy(listener->subnets);
	prefix_set_destroy(listener->permit_sources);
	plugins_finish(&listener->plugins);
}

void config_finish(struct config *config)
{
	for (size_t i = 0; i < config->listener_count; i++)
		listener_finish(&config->listeners[i]);
	free(config->listeners);
	free(config->user);
	free(config->group);
	free(config->offload_directory);
	free(config->control.socket);
	free(config->control.group);
	free(config->control.where);
	free(config->metrics_where);
	free(config->routing_where);
	free(config->landlock.where);
	text_list_finish(&config->landlock.paths);
	text_list_finish(&config->files);
	plugins_finish(&config->plugins);
	report_finish(&config->remarks);
	memset(config, 0, sizeof(*config));
}

struct config_listener *config_add_listener(struct config *config)
{
	struct config_listener *listeners =
		reallocarray(config->listeners, config->listener_count + 1, sizeof(*listeners));

	if (listeners == NULL)
		return NULL;
	config->listeners = listeners;
	listeners[config->listener_count] = (struct config_listener){
		.socket = {.backlog = 4096},
		.relay =
			{
				.protocol = RELAY_PROTOCOL_TCP,
				.port_conflict = RELAY_PORT_CONFLICT_ANY_PORT,
				.header_timeout = 5 * 1000,
				.connect_timeout = 5 * 1000,
				.user_timeout = 30 * 1000,
				.keepalive = 60 * 1000,
				.max_header = 4096,
				.max_waiting_headers = 4096,
				.udp =
					{
						.framing = UDP_FRAMING_EVERY,
						.idle_timeout = 60 * 1000,
						.max_flows = 65536,
					},
			},
	};
	return &listeners[config->listener_count++];
}

int config_add_endpoint(struct config_listener *listener, const struct listen_endpoint *endpoint)
{
	struct listen_endpoint *listen =
		reallocarray(listener->listen, listener->listen_count + 1, sizeof(*listen));

	if (listen == NULL)
		return -ENOMEM;
	listener->listen = listen;
	listen[listener->listen_count++] = *endpoint;
	return 0;
}

const struct listen_endpoint *config_find_endpoint(const struct config_listener *listener,
						   const struct listen_endpoint *bound)
{
	for (size_t i = 0; i < listener->listen_count; i++) {
		if (listen_endpoint_meant(&listener->listen[i], bound))
			return &listener->listen[i];
	}
	return NULL;
}

void config_seal_listener(struct config_listener *listener)
{
	if (listener->subnets != NULL)
		prefix_set_seal(listener->subnets);
	if (listener->permit_sources != NULL)
		prefix_set_seal(listener->permit_sources);
	listener->socket.device = listener->device;
	listener->relay.listener_name = listener->name;
	listener->relay.subnets = listener->subnets;
	listener->relay.permit_sources = listener->permit_sources;
}

const struct plugin_list *config_plugins_of(const struct config *config, size_t listener)
{
	const struct plugin_list *own = &config->listeners[listener].plugins;

	return own->given ? own : &config->plugins;
}

int config_plan_returns(const struct config *config, struct return_plan *plan)
{
	int error = 0;

	for (size_t i = 0; i < config->listener_count && error == 0; i++) {
		const struct relay_settings *relay = &config->listeners[i].relay;
		bool udp = relay->protocol == RELAY_PROTOCOL_UDP;

		if (relay->forward_ipv4.family != ADDRESS_NONE)
			error = return_plan_add(plan, &config->routing, &relay->forward_ipv4,
						relay->mark, udp);
		if (error == 0 && relay->forward_ipv6.family != ADDRESS_NONE)
			error = return_plan_add(plan, &config->routing, &relay->forward_ipv6,
						relay->mark, udp);
	}
	return error;
}

void config_log_remarks(const struct config *config)
{
	for (size_t i = 0; i < config->remarks.count; i++)
		log_warning("config", "remark", LOG_TEXT("text", config->remarks.lines[i]));
}

void config_log_mistakes(const struct report *mistakes)
{
	for (size_t i = 0; i < mistakes->count; i++)
		log_error("config", mistakes->failed[i] ? "cannot be put in place" : "mistake",
			  LOG_TEXT("text", mistakes->lines[i]));
}
