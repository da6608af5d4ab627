/* SPDX-License-Identifier: MIT */
/* The functions that a plugin may call: what each does stands in <mmproxy/plugin.h>. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "host/host_functions.h"

#include <errno.h>
#include <string.h>

#include "host/instance.h"
#include "host/plugin_config.h"
#include "host/plugin_getters.h"
#include "host/plugin_host.h"
#include "host/plugin_session.h"
#include "os/log.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unversioned"
#endif

/* Characters of a counter's name. */
#define COUNTER_NAME_MAX 32

static void log_message(struct mmproxy_instance *instance, int level, const char *message)
{
	enum log_level known = LOG_LEVEL_DEBUG;

	switch (level) {
	case MMPROXY_LOG_ERROR:
		known = LOG_LEVEL_ERROR;
		break;
	case MMPROXY_LOG_WARNING:
		known = LOG_LEVEL_WARNING;
		break;
	case MMPROXY_LOG_INFO:
		known = LOG_LEVEL_INFO;
		break;
	}
	LOG_EVENT(known, "plugin", "message", LOG_TEXT("plugin", instance->entry->name),
		  LOG_TEXT("text", message));
}

/* mmproxy's own counters of the plugin have names, too. */
static bool is_own(const struct mmproxy_instance *instance, const struct plugin_counter *counter)
{
	for (unsigned i = 0; i < INSTANCE_COUNTER_COUNT; i++) {
		if (instance->own[i] == counter)
			return true;
	}
	return false;
}

static int name_counter(struct mmproxy_instance *instance, const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
	struct plugin_counter *counter;
	size_t length = strlen(name);
	int error;

	if (!instance->opening || length == 0 || length > COUNTER_NAME_MAX ||
	    strspn(name, allowed) < length)
		return -EINVAL;
	error = plugin_host_counter(instance->host, instance->entry, name, &counter,
				    instance->entry->config->root->mistakes);
	if (error == -ENOMEM)
		return error;
	/* Another entry's has been reported, so that the plugin is not open, whatever it makes of
	 * this. */
	if (error < 0 || is_own(instance, counter))
		return -EINVAL;
	for (int i = 0; i < instance->counter_count; i++) {
		if (instance->counters[i] == counter)
			return i;
	}
	if (instance->counter_count == INSTANCE_COUNTERS_MAX)
		return -ENOSPC;
	instance->counters[instance->counter_count] = counter;
	return instance->counter_count++;
}

static void count(struct mmproxy_instance *instance, int counter, uint64_t amount)
{
	if (counter >= 0 && counter < instance->counter_count)
		plugin_counter_add(instance->counters[counter], amount);
}

static int complete(struct mmproxy_instance *instance, mmproxy_ticket ticket, int verdict,
		    const char *why)
{
	struct plugin_host *host = instance->host;
	unsigned worker = ticket_worker(ticket);
	int error = -ESTALE;

	if (worker < host->worker_count)
		error = ticket_pool_complete(&host->pools[worker], instance, ticket, verdict, why);
	if (error < 0)
		instance_count(instance, INSTANCE_STALE_VERDICTS);
	return error;
}

void host_functions_fill(struct mmproxy_host *functions, unsigned workers)
{
	*functions = (struct mmproxy_host){
		.size = sizeof(*functions),
		.abi_major = MMPROXY_ABI_MAJOR,
		.abi_minor = MMPROXY_ABI_MINOR,
		.version = PACKAGE_VERSION,
		.workers = workers,
		.log = log_message,
		.counter = name_counter,
		.count = count,
		.config_text = plugin_get_text,
		.config_int = plugin_get_int,
		.config_float = plugin_get_float,
		.config_bool = plugin_get_bool,
		.config_count = plugin_get_count,
		.config_item = plugin_get_item,
		.config_group = plugin_get_group,
		.config_path = plugin_get_path,
		.config_mistake = plugin_report_mistake,
		.config_warning = plugin_report_warning,
		.tlv = plugin_session_tlv,
		.tlv_at = plugin_session_tlv_at,
		.explain = plugin_session_explain,
		.defer = plugin_session_defer,
		.complete = complete,
	};
}
