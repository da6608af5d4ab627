/* SPDX-License-Identifier: MIT */
/* A list of plugins becomes a chain, once for all listeners that share it. */
#include "daemon/plugins.h"

#include <errno.h>
#include <stdbool.h>

#include "base/report.h"
#include "daemon/generation.h"
#include "host/host_functions.h"
#include "host/instance.h"
#include "host/plugin_host.h"
#include "host/plugin_set.h"

/* The list at the top has somebody to be for. */
static bool top_is_used(const struct config *config)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		if (config_plugins_of(config, i) == &config->plugins)
			return true;
	}
	return false;
}

static void remark_unused(struct config *config)
{
	if (config->plugins.count > 0 && !top_is_used(config))
		report_add(&config->remarks,
			   "%s: each listener has a list of its own; those at the top have no "
			   "effect",
			   config->plugins.entries[0].where);
}

static int out_of_memory(struct report *mistakes)
{
	report_add_failure(mistakes, "plugins: out of memory");
	return -EINVAL;
}

int plugins_open(struct plugin_host *host, struct generation *generation, struct report *mistakes)
{
	struct config *config = &generation->config;
	const struct plugin_chain *top = NULL;
	int error = 0;

	generation->plugins = plugin_set_create(host, &generation->refcount);
	if (generation->plugins == NULL)
		return out_of_memory(mistakes);
	remark_unused(config);
	if (config->plugins.count > 0 && top_is_used(config)) {
		top = plugin_set_open(generation->plugins, &config->plugins, mistakes,
				      &config->remarks);
		if (top == NULL)
			error = -EINVAL;
	}
	for (size_t i = 0; i < config->listener_count; i++) {
		const struct plugin_list *list = config_plugins_of(config, i);
		const struct plugin_chain *chain = top;

		if (list != &config->plugins)
			chain = list->count > 0 ? plugin_set_open(generation->plugins, list,
								  mistakes, &config->remarks)
						: NULL;
		if (list->count > 0 && chain == NULL)
			error = -EINVAL;
		config->listeners[i].relay.plugins = chain;
	}
	return error;
}

static int check_list(const struct plugin_list *list, struct report *mistakes,
		      struct report *remarks)
{
	struct mmproxy_host functions;
	int error = 0;

	host_functions_fill(&functions, 0);
	for (size_t i = 0; i < list->count; i++) {
		if (instance_check(&functions, &list->entries[i], mistakes, remarks) < 0)
			error = -EINVAL;
	}
	return error;
}

int plugins_check(struct config *config, struct report *mistakes)
{
	int error = check_list(&config->plugins, mistakes, &config->remarks);

	remark_unused(config);
	for (size_t i = 0; i < config->listener_count; i++) {
		if (check_list(&config->listeners[i].plugins, mistakes, &config->remarks) < 0)
			error = -EINVAL;
	}
	return error;
}
