/* SPDX-License-Identifier: MIT */
/* The plugins' hooks, and the host around them. */
#include "passing_plugins.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/refcount.h"
#include "host/host_functions.h"
#include "host/module.h"
#include "host/plugin_config.h"
#include "host/ticket_pool.h"

static int filter(void *state, const struct mmproxy_conn *conn)
{
	(void)state;
	(void)conn;
	return MMPROXY_PASS;
}

static void connected(void *state, const struct mmproxy_conn *conn, int error)
{
	(void)state;
	(void)conn;
	(void)error;
}

static void closed(void *state, const struct mmproxy_conn *conn, const struct mmproxy_end *end)
{
	(void)state;
	(void)conn;
	(void)end;
}

/* In place of host/module.c. */

int plugin_module_load(struct plugin_module *module, const char *path,
		       char why[static PLUGIN_MODULE_WHY_SIZE])
{
	*module = (struct plugin_module){
		.path = strdup(path),
		.hooks =
			{
				.size = sizeof(module->hooks),
				.abi_major = MMPROXY_ABI_MAJOR,
				.name = "passing",
				.version = "1",
				.filter = filter,
				.connected = connected,
				.closed = closed,
			},
	};
	why[0] = '\0';
	return module->path != NULL ? 0 : -ENOMEM;
}

void plugin_module_unload(struct plugin_module *module)
{
	free(module->path);
}

static void fill_entry(struct plugin_entry *entry, const char *name)
{
	*entry = (struct plugin_entry){
		.name = (char *)(uintptr_t)name,
		.where = (char *)(uintptr_t) "plugins[]",
		.on_error = PLUGIN_ON_ERROR_DENY,
		.config = plugin_config_create("plugins[].config", "/"),
	};
	if (entry->config == NULL)
		errx(EXIT_FAILURE, "out of memory");
}

void passing_plugins_open(struct passing_plugins *plugins, struct loop *loop,
			  struct refcount *owner)
{
	static const char names[PASSING_PLUGINS][2] = {"a", "b", "c"};
	const struct plugin_list list = {.entries = plugins->entries, .count = PASSING_PLUGINS};

	report_init(&plugins->report);
	for (unsigned i = 0; i < PASSING_PLUGINS; i++)
		fill_entry(&plugins->entries[i], names[i]);
	if (plugin_host_init(&plugins->host, 1) < 0)
		errx(EXIT_FAILURE, "out of memory");
	host_functions_fill(&plugins->host.functions, 1);
	plugins->set = plugin_set_create(&plugins->host, owner);
	if (plugins->set == NULL)
		errx(EXIT_FAILURE, "out of memory");
	plugins->chain = plugin_set_open(plugins->set, &list, &plugins->report, &plugins->report);
	if (plugins->chain == NULL)
		errx(EXIT_FAILURE, "the plugins cannot be opened");
	plugins->worker = &plugins->host.pools[0];
	/* Nobody defers a verdict, so nobody wakes the worker. */
	ticket_pool_attach(plugins->worker, loop, -1);
	plugin_set_seat_take(plugins->set, plugins->worker);
}

void passing_plugins_close(struct passing_plugins *plugins)
{
	plugin_set_seat_leave(plugins->set, plugins->worker);
	ticket_pool_detach(plugins->worker);
	plugin_set_destroy(plugins->set);
	plugin_host_finish(&plugins->host);
	for (unsigned i = 0; i < PASSING_PLUGINS; i++)
		plugin_config_destroy(plugins->entries[i].config);
	report_finish(&plugins->report);
}
