/* SPDX-License-Identifier: MIT */
/*
 * The start sequence. Its order is what makes the daemon safe: whatever needs the start's
 * privileges comes before they are dropped, whatever could misuse them comes after, and no client
 * is accepted before the stage `verify` has proved that they are gone.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/report.h"
#include "daemon/control/control.h"
#include "daemon/listeners.h"
#include "daemon/lockdown.h"
#include "daemon/metrics/http.h"
#include "daemon/offload.h"
#include "daemon/plugins.h"
#include "daemon/routing.h"
#include "daemon/server_state.h"
#include "host/host_functions.h"
#include "os/descriptors.h"
#include "os/log.h"
#include "os/privileges.h"
#include "os/scheduling.h"
#include "os/sys.h"

static int out_of_memory(const char *step)
{
	log_error("daemon", "cannot start", LOG_TEXT("step", step), LOG_ERRNO("error", -ENOMEM));
	return -1;
}

static int stage_capability(struct server *server)
{
	int held = privileges_hold_net_admin();

	(void)server;
	if (held == 1)
		return 0;
	if (held < 0)
		log_error("daemon", "cannot start", LOG_TEXT("step", "cap_get_proc"),
			  LOG_ERRNO("error", held));
	else
		log_error("privileges",
			  "CAP_NET_ADMIN is missing, and dialling from a client's address needs it",
			  LOG_TEXT("hint", "start as root, or run `setcap cap_net_admin+ep` on the "
					   "program, or set AmbientCapabilities=CAP_NET_ADMIN in "
					   "the unit"));
	return -1;
}

/* What a stage that has found mistakes returns. Logs and lets go of them. */
static int judge(struct report *mistakes, int error)
{
	if (error < 0)
		error = report_has_mistake(mistakes) ? -EINVAL : -1;
	config_log_mistakes(mistakes);
	report_finish(mistakes);
	return error;
}

static int stage_listeners(struct server *server)
{
	struct report mistakes;
	int error;

	assert(server->generation->config.listener_count > 0); /* loading makes sure of it */
	report_init(&mistakes);
	error = passed_sockets_take(&server->passed, &mistakes);
	if (error == 0)
		error = listeners_prepare(server, server->generation, NULL, &mistakes);
	return judge(&mistakes, error);
}

static int cannot_start(const char *step)
{
	log_error("daemon", "cannot start", LOG_TEXT("step", step), LOG_ERRNO("error", -errno));
	return -1;
}

/* What the main thread listens to. A host without netlink goes on without notices. */
static int stage_events(struct server *server)
{
	sigset_t handled;
	int *wakes[] = {&server->done, &server->adopted, &server->retirement.wake};

	sigemptyset(&handled);
	sigaddset(&handled, SIGTERM);
	sigaddset(&handled, SIGINT);
	sigaddset(&handled, SIGHUP);
	sigaddset(&handled, SIGUSR1);
	/* Blocked before the first thread, so that the signalfd gets all of them. */
	pthread_sigmask(SIG_BLOCK, &handled, NULL);
	server->signals = signalfd(-1, &handled, SFD_NONBLOCK | SFD_CLOEXEC);
	if (server->signals < 0)
		return cannot_start("signalfd");
	for (size_t i = 0; i < sizeof(wakes) / sizeof(wakes[0]); i++) {
		*wakes[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (*wakes[i] < 0)
			return cannot_start("eventfd");
	}
	server->notices = own_addresses_open_notices();
	if (server->notices < 0)
		log_warning("daemon", "changes of this host's addresses will go unnoticed",
			    LOG_TEXT("step", "netlink"), LOG_ERRNO("error", server->notices));
	return 0;
}

static int stage_privileges(struct server *server)
{
	const struct config *config = &server->generation->config;

	return privileges_drop(config->user, config->group);
}

static int stage_plugins(struct server *server)
{
	struct report mistakes;
	int error;

	if (plugin_host_init(&server->plugins, server->worker_count) < 0)
		return out_of_memory("plugins");
	host_functions_fill(&server->plugins.functions, server->worker_count);
	report_init(&mistakes);
	error = plugins_open(&server->plugins, server->generation, &mistakes);
	return judge(&mistakes, error);
}

/* What a worker does is the same under any policy: no reason not to start. */
static int stage_scheduling(struct server *server)
{
	int error = 0;

	if (server->generation->config.scheduling == SCHEDULING_BATCH)
		error = scheduling_use_batch();
	if (error < 0)
		log_info("daemon", "the scheduling policy stays what it was at the start",
			 LOG_ERRNO("error", error));
	return 0;
}

static int stage_verify(struct server *server)
{
	int error = privileges_verify();

	return error < 0 ? error : lockdown_verify(server);
}

static int start_worker(struct server *server, unsigned index)
{
	struct worker_options options = {
		.relay =
			{
				.sys = &sys_linux,
				.worker = index,
				.worker_count = server->worker_count,
				.pipe_limit = server->pipes_per_worker,
				.descriptors = &server->descriptors,
				.tickets = &server->plugins.pools[index],
				.udp_claims = &server->udp_claims,
				.client_counts = &server->client_counts,
				.datapath = server->datapath,
				.own_addresses = own_addresses_read(),
			},
		.heritage = &server->heritage,
		.update = listeners_update(server, server->generation, index),
		.done = server->done,
		.adopted = server->adopted,
		.returns = &server->returns,
	};
	int error;

	if (options.relay.own_addresses == NULL) {
		log_error("daemon", "cannot read this host's addresses",
			  LOG_ERRNO("error", -errno));
		worker_update_destroy(options.update);
		return -1;
	}
	if (options.update == NULL) {
		log_error("daemon", "cannot start a worker", LOG_NUMBER("worker", index),
			  LOG_ERRNO("error", -errno));
		refcount_drop(&options.relay.own_addresses->refcount);
		return -1;
	}
	error = worker_start(&server->workers[index], &options);
	if (error < 0) {
		log_error("daemon", "cannot start a worker", LOG_NUMBER("worker", index),
			  LOG_ERRNO("error", error));
		return -1;
	}
	server->workers_alive++;
	return 0;
}

static int stage_workers(struct server *server)
{
	server->workers = calloc(server->worker_count, sizeof(*server->workers));
	if (server->workers == NULL)
		return out_of_memory("workers");
	for (unsigned i = 0; i < server->worker_count; i++) {
		if (start_worker(server, i) < 0)
			return -1;
	}
	listeners_handed(server->generation, NULL);
	if (heartbeat_start(server) < 0)
		return out_of_memory("heartbeat");
	/* Nothing fails from here on. What a failed start had taken over would end with it. */
	for (unsigned i = 0; i < server->worker_count; i++)
		worker_begin(&server->workers[i]);
	/* Who asks once mmproxy is ready finds what it carries. */
	for (unsigned i = 0; i < server->worker_count && server->heritage.last > 0; i++)
		worker_wait(&server->workers[i]);
	return 0;
}

/* The order is decided here, once. Each returns what startup_run() does. */
static const struct {
	const char *name;
	int (*run)(struct server *server);
} stages[] = {
	{"capability", stage_capability},
	{"events", stage_events}, /* whoever sees it listen may signal it */
	{"listeners", stage_listeners},
	{"control", control_open},
	{"metrics-socket", metrics_http_listen},
	{"capacity", capacity_plan},
	{"offload", offload_open}, /* what is pinned may be root's to open, and to load */
	{"privileges", stage_privileges},
	{"offload-try", offload_try},
	{"routing", routing_start}, /* it is changed later, too, so it must go without privileges */
	/* Before the first thread, as it is the calling thread's: a plugin may start others. */
	{"landlock", lockdown_files},
	{"plugins", stage_plugins},
	{"scheduling", stage_scheduling},
	{"seccomp", lockdown_system_calls}, /* of the plugins' threads as well */
	{"verify", stage_verify},
	{"watch", server_watch},
	{"offload-watch", offload_watch},
	{"metrics", metrics_http_start},
	{"workers", stage_workers},
};

int startup_run(struct server *server)
{
	int error;

	/* Of splice(), which has no MSG_NOSIGNAL, and of a log whose reader has gone. */
	signal(SIGPIPE, SIG_IGN);
	server->worker_count = server->generation->config.workers;
	server->descriptor_limit = descriptors_raise_limit();
	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
		log_debug("daemon", "starting", LOG_TEXT("stage", stages[i].name));
		error = stages[i].run(server);
		if (error < 0)
			return error;
	}
	return 0;
}
