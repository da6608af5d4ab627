/* SPDX-License-Identifier: MIT */
/* The plugins' hooks with their checks, and the host around them. */
#include "fake_plugin.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/refcount.h"
#include "host/host_functions.h"
#include "host/plugin_config.h"
#include "host/ticket_pool.h"
#include "os/loop.h"

const char *fake_plugin_run;
static struct fake_plugins *present;

static void expect_true(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fake_plugin: %s%s%s\n", fake_plugin_run != NULL ? fake_plugin_run : "",
		fake_plugin_run != NULL ? ": " : "", what);
	abort();
}

static void note(struct fake_plugin *plugin, const char *call)
{
	struct fake_plugins *of = plugin->of;
	size_t used = strlen(of->calls);

	/* Where nobody looks at them, the last ones are of no interest. */
	snprintf(of->calls + used, sizeof(of->calls) - used, "%s%s.%s", used > 0 ? " " : "",
		 of->entries[plugin - of->plugins].name, call);
}

/* A test may have taken it away: then nobody is asked, and the slot stays empty. */
static bool has_filter(const struct fake_plugin *plugin)
{
	return plugin->instance->module.hooks.filter != NULL;
}

/* ---- The hooks ---- */

static int hook_open(const struct mmproxy_host *host, struct mmproxy_instance *instance,
		     const struct mmproxy_config *config, void **state)
{
	struct fake_plugin *plugin = &present->plugins[instance->entry - present->entries];

	expect_true(host == &present->host.functions && config == instance->entry->config,
		    "open was handed something else");
	plugin->instance = instance;
	note(plugin, "open");
	*state = plugin;
	return 0;
}

static void hook_close(void *state)
{
	struct fake_plugin *plugin = state;

	expect_true(list_empty(&plugin->visits), "close before the last closed");
	expect_true(!plugin->started, "close before worker_stop");
	note(plugin, "close");
}

static void hook_worker_start(void *state, uint32_t worker)
{
	struct fake_plugin *plugin = state;

	expect_true(!plugin->started && worker == 0, "a worker starts twice, or is another");
	plugin->started = true;
	note(plugin, "start");
}

static void hook_worker_stop(void *state, uint32_t worker)
{
	struct fake_plugin *plugin = state;

	expect_true(plugin->started && worker == 0, "a worker stops that has not started");
	expect_true(list_empty(&plugin->visits), "worker_stop before the last closed");
	plugin->started = false;
	note(plugin, "stop");
}

static void look_at(struct fake_plugin *plugin, const struct mmproxy_conn *conn)
{
	expect_true(plugin->started, "a session without a worker");
	expect_true(conn->size == sizeof(*conn), "a conn of another size");
	expect_true(conn->worker == 0 && conn->now == plugin->of->loop->now &&
			    conn->now >= conn->started,
		    "a conn of another worker or time");
	plugin->conn = *conn;
}

/* What the plugin put into the slot when it was asked. */
static struct fake_visit *visit_of(struct fake_plugin *plugin, const struct mmproxy_conn *conn)
{
	struct list *link = plugin->visits.next;

	look_at(plugin, conn);
	while (link != &plugin->visits &&
	       container_of(link, struct fake_visit, link) != *conn->slot)
		link = link->next;
	expect_true(link != &plugin->visits, "a call for a session that is not, or is over");
	expect_true(((struct fake_visit *)*conn->slot)->id == conn->id, "another session's slot");
	return *conn->slot;
}

static struct fake_visit *begin_visit(struct fake_plugin *plugin, const struct mmproxy_conn *conn)
{
	struct fake_visit *visit = calloc(1, sizeof(*visit));

	look_at(plugin, conn);
	expect_true(visit != NULL, "no memory");
	expect_true(*conn->slot == NULL, "a slot that is not empty at first");
	visit->id = conn->id;
	for (struct list *link = plugin->visits.next; link != &plugin->visits; link = link->next)
		expect_true(container_of(link, struct fake_visit, link)->id != conn->id,
			    "a session is asked for twice");
	list_append(&plugin->visits, &visit->link);
	*conn->slot = visit;
	return visit;
}

static int hook_filter(void *state, const struct mmproxy_conn *conn)
{
	struct fake_plugin *plugin = state;
	const struct mmproxy_host *host = &plugin->of->host.functions;
	struct fake_visit *visit = begin_visit(plugin, conn);

	note(plugin, "filter");
	plugin->asked++;
	if (plugin->prepare != NULL)
		plugin->prepare(plugin, conn);
	if (plugin->why != NULL)
		host->explain(conn, plugin->why);
	if (plugin->defers || (plugin->answer == MMPROXY_PENDING && !plugin->forgets_to_defer)) {
		plugin->ticket = visit->ticket = host->defer(conn);
		if (visit->ticket == 0)
			return -EBUSY;
		expect_true(host->defer(conn) == visit->ticket, "two tickets for one session");
	}
	visit->awaited = visit->ticket != 0;
	if (plugin->hurries)
		fake_plugin_complete(plugin, visit->ticket, plugin->hurried, NULL);
	visit->awaited = visit->awaited && plugin->answer == MMPROXY_PENDING;
	return plugin->answer;
}

static void hook_cancel(void *state, const struct mmproxy_conn *conn, mmproxy_ticket ticket)
{
	struct fake_plugin *plugin = state;
	struct fake_visit *visit = visit_of(plugin, conn);

	expect_true(visit->awaited && visit->ticket == ticket, "cancelled what was not awaited");
	visit->awaited = false;
	plugin->cancelled++;
	plugin->given_up = ticket;
	note(plugin, "cancel");
}

static void hook_connected(void *state, const struct mmproxy_conn *conn, int error)
{
	struct fake_plugin *plugin = state;

	expect_true(error <= 0, "an error that is no -errno");
	if (has_filter(plugin)) {
		struct fake_visit *visit = visit_of(plugin, conn);

		expect_true(!visit->connected, "connected twice");
		expect_true(!visit->awaited, "connected before the verdict");
		visit->connected = true;
	}
	plugin->error = error;
	note(plugin, "connected");
}

static void keep_end(struct fake_plugin *plugin, const struct mmproxy_end *end)
{
	expect_true(end->size == sizeof(*end), "an end of another size");
	plugin->end = *end;
	if (end->plugin != NULL)
		snprintf(plugin->end_plugin, sizeof(plugin->end_plugin), "%s", end->plugin);
	if (end->why != NULL)
		snprintf(plugin->end_why, sizeof(plugin->end_why), "%s", end->why);
	plugin->end.plugin = end->plugin != NULL ? plugin->end_plugin : NULL;
	plugin->end.why = end->why != NULL ? plugin->end_why : NULL;
}

static void hook_closed(void *state, const struct mmproxy_conn *conn, const struct mmproxy_end *end)
{
	struct fake_plugin *plugin = state;

	keep_end(plugin, end);
	if (plugin->meddles) {
		plugin->of->host.functions.explain(conn, "too late");
		expect_true(plugin->of->host.functions.defer(conn) == 0, "a ticket after the end");
	}
	plugin->closed++;
	note(plugin, "closed");
	if ((end->flags & MMPROXY_END_ADOPTED) != 0) {
		look_at(plugin, conn);
		expect_true(*conn->slot == NULL, "an adopted session has something in its slot");
		plugin->adopted++;
	} else if (has_filter(plugin)) {
		struct fake_visit *visit = visit_of(plugin, conn);

		expect_true(!visit->awaited, "closed while its verdict is awaited");
		list_remove(&visit->link);
		free(visit);
	}
}

/* ---- In place of host/module.c ---- */

int plugin_module_load(struct plugin_module *module, const char *path,
		       char why[static PLUGIN_MODULE_WHY_SIZE])
{
	*module = (struct plugin_module){
		.path = strdup(path),
		.hooks =
			{
				.size = sizeof(module->hooks),
				.abi_major = MMPROXY_ABI_MAJOR,
				.name = "fake",
				.version = "1",
				.open = hook_open,
				.close = hook_close,
				.worker_start = hook_worker_start,
				.worker_stop = hook_worker_stop,
				.filter = hook_filter,
				.cancel = hook_cancel,
				.connected = hook_connected,
				.closed = hook_closed,
			},
	};
	if (module->path != NULL)
		return 0;
	snprintf(why, PLUGIN_MODULE_WHY_SIZE, "out of memory");
	return -ENOMEM;
}

void plugin_module_unload(struct plugin_module *module)
{
	free(module->path);
}

/* ---- The host around them ---- */

static void make_entry(struct fake_plugins *plugins, unsigned place)
{
	static const char names[FAKE_PLUGINS_MAX][2] = {"a", "b", "c"};

	plugins->plugins[place].of = plugins;
	list_init(&plugins->plugins[place].visits);
	plugins->entries[place] = (struct plugin_entry){
		.name = (char *)(uintptr_t)names[place],
		.where = (char *)(uintptr_t) "fake.conf:1: plugins[]",
		.on_error = PLUGIN_ON_ERROR_DENY,
		.timeout = FAKE_PLUGINS_TIMEOUT,
		.config = plugin_config_create("fake.conf:1: plugins[].config", "/"),
	};
	expect_true(plugins->entries[place].config != NULL, "no memory");
}

void fake_plugins_open(struct fake_plugins *plugins, unsigned count, struct refcount *owner)
{
	const struct plugin_list list = {.entries = plugins->entries, .count = count};

	*plugins = (struct fake_plugins){.count = count};
	present = plugins;
	report_init(&plugins->mistakes);
	report_init(&plugins->warnings);
	for (unsigned i = 0; i < count; i++)
		make_entry(plugins, i);
	expect_true(plugin_host_init(&plugins->host, 1) == 0, "no host");
	host_functions_fill(&plugins->host.functions, 1);
	plugins->set = plugin_set_create(&plugins->host, owner);
	expect_true(plugins->set != NULL, "no set");
	plugins->chain =
		plugin_set_open(plugins->set, &list, &plugins->mistakes, &plugins->warnings);
	expect_true(plugins->chain != NULL && plugins->chain->count == count, "no chain");
	plugins->worker = &plugins->host.pools[0];
	plugins->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	expect_true(plugins->wake >= 0, "no eventfd");
}

void fake_plugins_attach(struct fake_plugins *plugins, struct loop *loop)
{
	plugins->loop = loop;
	ticket_pool_attach(plugins->worker, loop, plugins->wake);
	plugin_set_seat_take(plugins->set, plugins->worker);
}

void fake_plugins_leave(struct fake_plugins *plugins)
{
	plugin_set_seat_leave(plugins->set, plugins->worker);
}

static size_t length_of(const struct list *list)
{
	size_t length = 0;

	for (const struct list *link = list->next; link != list; link = link->next)
		length++;
	return length;
}

void fake_plugins_detach(struct fake_plugins *plugins)
{
	struct ticket_pool *pool = plugins->worker;

	expect_true(length_of(&pool->completed) == 0 &&
			    (pool->tickets == NULL || length_of(&pool->free) == TICKET_POOL_SIZE),
		    "a ticket is still out");
	for (unsigned i = 0; i < plugins->count; i++)
		expect_true(!plugins->plugins[i].started, "the worker's seat has not ended");
	ticket_pool_detach(pool);
}

void fake_plugins_lose_visits(struct fake_plugins *plugins)
{
	for (unsigned i = 0; i < plugins->count; i++) {
		struct fake_plugin *plugin = &plugins->plugins[i];

		while (!list_empty(&plugin->visits)) {
			struct list *link = plugin->visits.next;

			list_remove(link);
			free(container_of(link, struct fake_visit, link));
			plugin->asked--;
		}
	}
}

void fake_plugins_close(struct fake_plugins *plugins)
{
	for (unsigned i = 0; i < plugins->count; i++) {
		const struct fake_plugin *plugin = &plugins->plugins[i];

		expect_true(!has_filter(plugin) ||
				    plugin->asked + plugin->adopted == plugin->closed,
			    "not every session that was asked was closed once");
	}
	plugin_set_destroy(plugins->set);
	plugin_host_finish(&plugins->host);
	for (unsigned i = 0; i < plugins->count; i++)
		plugin_config_destroy(plugins->entries[i].config);
	report_finish(&plugins->mistakes);
	report_finish(&plugins->warnings);
	close(plugins->wake);
	present = NULL;
}

bool fake_plugins_woken(struct fake_plugins *plugins)
{
	eventfd_t count;

	/* Spares the call where nothing has come. */
	return !list_empty(&plugins->worker->completed) && eventfd_read(plugins->wake, &count) == 0;
}

int fake_plugin_complete(struct fake_plugin *plugin, mmproxy_ticket ticket, int verdict,
			 const char *why)
{
	int error = plugin->of->host.functions.complete(plugin->instance, ticket, verdict, why);
	bool awaited = false;

	for (struct list *link = plugin->visits.next; link != &plugin->visits; link = link->next) {
		struct fake_visit *visit = container_of(link, struct fake_visit, link);

		if (visit->ticket != ticket || !visit->awaited)
			continue;
		awaited = true;
		visit->awaited = error != 0;
	}
	expect_true(error == (awaited ? 0 : -ESTALE), "a ticket is not what complete() says");
	return error;
}

struct fake_visit *fake_plugin_awaited(struct fake_plugin *plugin)
{
	for (struct list *link = plugin->visits.next; link != &plugin->visits; link = link->next) {
		struct fake_visit *visit = container_of(link, struct fake_visit, link);

		if (visit->awaited)
			return visit;
	}
	return NULL;
}

struct fake_visit *fake_plugins_awaited(struct fake_plugins *plugins, struct fake_plugin **plugin)
{
	for (unsigned i = 0; i < plugins->count; i++) {
		struct fake_visit *visit = fake_plugin_awaited(&plugins->plugins[i]);

		*plugin = &plugins->plugins[i];
		if (visit != NULL)
			return visit;
	}
	return NULL;
}

unsigned fake_plugins_visits(const struct fake_plugins *plugins)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < plugins->count; i++)
		sum += (unsigned)length_of(&plugins->plugins[i].visits);
	return sum;
}

void fake_plugins_forget(struct fake_plugins *plugins)
{
	plugins->calls[0] = '\0';
}

uint64_t fake_plugin_count(const struct fake_plugin *plugin, enum instance_counter counter)
{
	return atomic_load(&plugin->instance->own[counter]->value);
}
