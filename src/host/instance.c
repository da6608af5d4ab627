/* SPDX-License-Identifier: MIT */
/* A plugin's life, and every call into it. */
#include "host/instance.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/report.h"
#include "host/plugin_config.h"
#include "host/plugin_host.h"
#include "os/log.h"

static const char *const own_names[INSTANCE_COUNTER_COUNT] = {
	[INSTANCE_REFUSALS] = "refusals",     [INSTANCE_ERRORS] = "errors",
	[INSTANCE_TIMEOUTS] = "timeouts",     [INSTANCE_STALE_VERDICTS] = "stale_verdicts",
	[INSTANCE_SLOW_CALLS] = "slow_calls",
};

static const char *path_of(const struct plugin_entry *entry, char *text, size_t size)
{
	if (entry->path != NULL)
		return entry->path;
	snprintf(text, size, "%s.so", entry->name);
	return text;
}

static int load(struct plugin_module *module, const struct plugin_entry *entry,
		struct report *mistakes)
{
	char why[PLUGIN_MODULE_WHY_SIZE], text[64];
	int error = plugin_module_load(module, path_of(entry, text, sizeof(text)), why);

	if (error < 0)
		report_add_error(mistakes, error, "%s: plugin \"%s\": %s", entry->where,
				 entry->name, why);
	return error;
}

/* What a hook returned, which may be any number. */
static const char *error_text(int result, char *text, size_t size)
{
	if (result > 0)
		return "it returned no errno";
	if (strerrordesc_np(-result) != NULL)
		return log_error_text(result);
	snprintf(text, size, "unknown error %d", -result);
	return text;
}

/*
 * A hook that read settings has answered. Whatever it returned, a mistake it reported is one.
 * `lasts`: so is an error without a word, since the hook has looked at nothing but settings.
 */
static int settings_read(const struct plugin_entry *entry, const char *hook, bool lasts, int result,
			 size_t mistakes_before, struct report *mistakes)
{
	char text[32];

	if (result != 0 || report_grew(mistakes, mistakes_before))
		plugin_config_name_outside(entry->config);
	plugin_config_end(entry->config, result == 0 && !report_grew(mistakes, mistakes_before));
	if (report_is_failure(result)) /* whatever it has reported with that */
		report_excuse(mistakes, mistakes_before);
	if (report_grew(mistakes, mistakes_before))
		return -EINVAL;
	if (result == 0)
		return 0;
	report_add_error(mistakes, result, "%s: plugin \"%s\": its %s hook failed: %s",
			 entry->where, entry->name, hook, error_text(result, text, sizeof(text)));
	if (!lasts) /* it may be gone the next time */
		report_excuse(mistakes, mistakes_before);
	return result < 0 ? result : -EINVAL;
}

int instance_check(const struct mmproxy_host *functions, const struct plugin_entry *entry,
		   struct report *mistakes, struct report *warnings)
{
	struct plugin_module module;
	size_t before = mistakes->count;
	int error = load(&module, entry, mistakes);

	if (error < 0)
		return error;
	if (module.hooks.check != NULL) {
		plugin_config_begin(entry->config, mistakes, warnings);
		error = module.hooks.check(functions, entry->config);
		error = settings_read(entry, "check", true, error, before, mistakes);
	}
	plugin_module_unload(&module);
	return error;
}

/* 0, or -errno after a line. */
static int name_own_counters(struct mmproxy_instance *instance, struct report *mistakes)
{
	for (unsigned i = 0; i < INSTANCE_COUNTER_COUNT; i++) {
		int error = plugin_host_counter(instance->host, instance->entry, own_names[i],
						&instance->own[i], mistakes);

		if (error == -ENOMEM)
			report_add_failure(mistakes, "%s: out of memory", instance->entry->where);
		if (error < 0)
			return error;
	}
	return 0;
}

static int call_open(struct mmproxy_instance *instance, struct report *mistakes,
		     struct report *warnings)
{
	const struct plugin_entry *entry = instance->entry;
	size_t before = mistakes->count;
	sigset_t all, before_open;
	int error;

	if (instance->module.hooks.open == NULL)
		return 0;
	plugin_config_begin(entry->config, mistakes, warnings);
	/* Threads that it starts have all signals blocked: signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before_open);
	instance->opening = true;
	error = instance->module.hooks.open(&instance->host->functions, instance, entry->config,
					    &instance->state);
	instance->opening = false;
	pthread_sigmask(SIG_SETMASK, &before_open, NULL);
	/* It says that it is open, and that its settings are wrong: then it is not to be. */
	if (error == 0 && report_grew(mistakes, before) && instance->module.hooks.close != NULL)
		instance->module.hooks.close(instance->state);
	return settings_read(entry, "open", false, error, before, mistakes);
}

struct mmproxy_instance *instance_open(struct plugin_host *host, const struct plugin_entry *entry,
				       struct report *mistakes, struct report *warnings)
{
	struct mmproxy_instance *instance = calloc(1, sizeof(*instance));

	if (instance == NULL) {
		report_add_failure(mistakes, "%s: out of memory", entry->where);
		return NULL;
	}
	instance->host = host;
	instance->entry = entry;
	if (load(&instance->module, entry, mistakes) < 0) {
		free(instance);
		return NULL;
	}
	if (name_own_counters(instance, mistakes) == 0 &&
	    call_open(instance, mistakes, warnings) == 0) {
		log_info("plugin", "opened", LOG_TEXT("plugin", entry->name),
			 LOG_TEXT("path", instance->module.path),
			 LOG_TEXT("name", instance->module.hooks.name),
			 LOG_TEXT("version", instance->module.hooks.version));
		return instance;
	}
	plugin_module_unload(&instance->module);
	free(instance);
	return NULL;
}

void instance_close(struct mmproxy_instance *instance)
{
	if (instance->module.hooks.close != NULL)
		instance->module.hooks.close(instance->state);
	log_info("plugin", "closed", LOG_TEXT("plugin", instance->entry->name),
		 LOG_TEXT("path", instance->module.path));
	plugin_module_unload(&instance->module);
	free(instance);
}

void instance_count(struct mmproxy_instance *instance, enum instance_counter counter)
{
	plugin_counter_add(instance->own[counter], 1);
}

static uint64_t clock_milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Was the call that began then a slow one? Says so, but not of each. */
static void judge_time(struct mmproxy_instance *instance, struct ticket_pool *worker,
		       const char *hook, uint64_t began)
{
	const struct address nobody = {.family = ADDRESS_NONE};
	uint64_t now = clock_milliseconds(), suppressed;

	if (now - began < INSTANCE_SLOW_CALL)
		return;
	instance_count(instance, INSTANCE_SLOW_CALLS);
	if (!log_limiter_admit(&worker->log_limiter, &nobody, (unsigned)(uintptr_t)instance, now,
			       &suppressed))
		return;
	log_warning("plugin", "slow call: all sessions of the worker waited",
		    LOG_TEXT("plugin", instance->entry->name), LOG_TEXT("hook", hook),
		    LOG_NUMBER("worker", worker->worker), LOG_SECONDS("took", now - began),
		    suppressed > 0 ? LOG_NUMBER("suppressed", suppressed) : LOG_NOTHING);
}

/* Calls a hook, if the plugin has it, and times the call. */
#define CALL(instance, worker, hook, ...)                                                          \
	do {                                                                                       \
		if ((instance)->module.hooks.hook != NULL) {                                       \
			uint64_t began_ = clock_milliseconds();                                    \
                                                                                                   \
			(instance)->module.hooks.hook((instance)->state, __VA_ARGS__);             \
			judge_time(instance, worker, #hook, began_);                               \
		}                                                                                  \
	} while (0)

void instance_worker_start(struct mmproxy_instance *instance, struct ticket_pool *worker)
{
	CALL(instance, worker, worker_start, worker->worker);
}

void instance_worker_stop(struct mmproxy_instance *instance, struct ticket_pool *worker)
{
	CALL(instance, worker, worker_stop, worker->worker);
}

int instance_filter(struct mmproxy_instance *instance, struct ticket_pool *worker,
		    const struct mmproxy_conn *conn)
{
	uint64_t began;
	int verdict;

	if (instance->module.hooks.filter == NULL)
		return MMPROXY_PASS;
	began = clock_milliseconds();
	verdict = instance->module.hooks.filter(instance->state, conn);
	judge_time(instance, worker, "filter", began);
	return verdict;
}

void instance_cancel(struct mmproxy_instance *instance, struct ticket_pool *worker,
		     const struct mmproxy_conn *conn, mmproxy_ticket ticket)
{
	CALL(instance, worker, cancel, conn, ticket);
}

void instance_connected(struct mmproxy_instance *instance, struct ticket_pool *worker,
			const struct mmproxy_conn *conn, int error)
{
	CALL(instance, worker, connected, conn, error);
}

void instance_closed(struct mmproxy_instance *instance, struct ticket_pool *worker,
		     const struct mmproxy_conn *conn, const struct mmproxy_end *end)
{
	CALL(instance, worker, closed, conn, end);
}
