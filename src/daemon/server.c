/* SPDX-License-Identifier: MIT */
/* The main thread's loop: signals, news of the host's addresses, and the end. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "daemon/server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "daemon/control/control.h"
#include "daemon/metrics/http.h"
#include "daemon/offload.h"
#include "daemon/routing.h"
#include "daemon/server_state.h"
#include "offload/kernel_datapath.h"
#include "os/log.h"
#include "os/sys.h"
#include "os/wall_clock.h"
#include "relay/session_view.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unversioned"
#endif

/* Milliseconds until another try at reading this host's addresses. */
#define ADDRESSES_RETRY 1000

uint64_t server_count_sessions(const struct server *server)
{
	uint64_t sessions = 0;

	/* Not by the budgets: a worker takes from them before it knows whether somebody waits. */
	for (unsigned i = 0; i < server->worker_count; i++)
		sessions += atomic_load(&server->workers[i].relay.session_count);
	return sessions;
}

static void reload_requested(struct server *server)
{
	struct report mistakes;

	report_init(&mistakes);
	reload_run(server, &mistakes);
	report_finish(&mistakes);
}

static void signals_ready(struct loop_source *source, uint32_t events)
{
	struct server *server = container_of(source, struct server, signals_source);
	struct signalfd_siginfo info;

	(void)events;
	while (read(server->signals, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			server_drain(server);
			break;
		case SIGHUP:
			reload_requested(server);
			break;
		case SIGUSR1:
			server_log_counters(server);
			break;
		}
	}
}

static void done_ready(struct loop_source *source, uint32_t events)
{
	struct server *server = container_of(source, struct server, done_source);
	eventfd_t ended;

	(void)events;
	if (eventfd_read(server->done, &ended) == 0)
		server->workers_alive -= (unsigned)ended;
	control_worker_ended(server);
	if (server->workers_alive == 0)
		loop_stop(&server->loop);
}

static void adopted_ready(struct loop_source *source, uint32_t events)
{
	struct server *server = container_of(source, struct server, adopted_source);
	eventfd_t workers;

	(void)events;
	if (eventfd_read(server->adopted, &workers) == 0)
		reload_adopted(server, workers);
}

/* A generation's last session has ended. */
static void retired_ready(struct loop_source *source, uint32_t events)
{
	struct server *server = container_of(source, struct server, retired_source);
	eventfd_t count;

	(void)events;
	if (eventfd_read(server->retirement.wake, &count) == 0)
		generation_free_retired(&server->retirement);
	/* Plugins that close may take their time. */
	loop_look_at_clock(&server->loop);
}

/* A worker has done what it was asked to. */
static void returns_ready(struct loop_source *source, uint32_t events)
{
	struct server *server = container_of(source, struct server, returns_source);
	eventfd_t count;

	(void)events;
	if (eventfd_read(server->returns.wake, &count) == 0)
		worker_returns_run(&server->returns);
}

static void update_own_addresses(struct server *server)
{
	struct own_addresses *own = own_addresses_read();
	int error = own != NULL ? 0 : -errno;

	for (unsigned i = 0; error == 0 && i < server->worker_count; i++)
		error = worker_send_own_addresses(&server->workers[i], own);
	if (error < 0) {
		/* Once: it is tried again every second, for as long as there is no memory. */
		if (!server->addresses_stale)
			log_warning("daemon",
				    "this host's new addresses are not in force yet, trying again",
				    LOG_ERRNO("error", error));
		loop_timer_set(&server->loop, &server->addresses_timer, ADDRESSES_RETRY);
	}
	server->addresses_stale = error < 0;
	if (own != NULL)
		refcount_drop(&own->refcount);
}

static void addresses_expired(struct timer *timer)
{
	update_own_addresses(container_of(timer, struct server, addresses_timer));
}

static void notices_ready(struct loop_source *source, uint32_t events)
{
	struct server *server = container_of(source, struct server, notices_source);

	(void)events;
	own_addresses_drain_notices(server->notices);
	update_own_addresses(server);
}

static void session_ended(uint64_t session, void *context)
{
	struct server *server = context;

	worker_send_ending(&server->workers[session_worker(session, server->worker_count)],
			   session);
}

/* Of what the kernel carries. */
static void datapath_ready(struct loop_source *source, uint32_t events)
{
	struct server *server = container_of(source, struct server, datapath_source);

	(void)events;
	kernel_datapath_read(server->datapath, session_ended, server);
}

int server_watch(struct server *server)
{
	const struct {
		int fd;
		struct loop_source *source;
	} watched[] = {
		{server->signals, &server->signals_source},
		{server->done, &server->done_source},
		{server->adopted, &server->adopted_source},
		{server->notices, &server->notices_source},
		{server->retirement.wake, &server->retired_source},
		{server->returns.wake, &server->returns_source},
		{server->dial_hint.wake, &server->dial_hint.wake_source},
		{server->datapath != NULL ? kernel_datapath_events(server->datapath) : -1,
		 &server->datapath_source},
	};

	server->signals_source.ready = signals_ready;
	server->done_source.ready = done_ready;
	server->adopted_source.ready = adopted_ready;
	server->notices_source.ready = notices_ready;
	server->retired_source.ready = retired_ready;
	server->returns_source.ready = returns_ready;
	server->datapath_source.ready = datapath_ready;
	for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++) {
		int error = 0;

		/* A host without netlink has no notices, and not each a datapath. */
		if (watched[i].fd >= 0)
			error = loop_watch(&server->loop, watched[i].fd, EPOLLIN,
					   watched[i].source);
		if (error < 0) {
			log_error("daemon", "cannot start", LOG_TEXT("step", "epoll_ctl"),
				  LOG_ERRNO("error", error));
			return -1;
		}
	}
	return control_watch(server);
}

static void log_ready(const struct server *server)
{
	const struct config *config = &server->generation->config;
	bool tcp = false;

	config_log_remarks(config);
	for (size_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];

		tcp = tcp || listener->relay.protocol == RELAY_PROTOCOL_TCP;
		if (listener->any_by_default)
			log_warning("listener", "any balancer may connect and name any client",
				    LOG_TEXT("listener", listener->name),
				    LOG_TEXT("hint", "give the balancers' addresses with "
						     "--allowed-subnets"));
	}
	log_info("daemon", "ready", LOG_TEXT("version", PACKAGE_VERSION),
		 LOG_NUMBER("workers", server->worker_count),
		 tcp ? LOG_NUMBER("max_sessions", atomic_load(&server->descriptors.limit))
		     : LOG_NOTHING);
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void end_workers(struct server *server)
{
	for (unsigned i = 0; server->workers != NULL && i < server->worker_count; i++) {
		if (server->workers[i].started)
			worker_send_stop(&server->workers[i]);
		worker_join(&server->workers[i]);
	}
}

/* The last one goes: its plugins have their last word, and what it needed of the host is removed.
 */
static void end_generations(struct server *server)
{
	if (server->generation != NULL)
		generation_drop(server->generation);
	server->generation = NULL;
	generation_free_retired(&server->retirement);
}

static void server_finish(struct server *server)
{
	end_workers(server);
	heartbeat_finish(server);
	worker_returns_finish(&server->returns);
	control_finish(server);
	end_generations(server);
	routing_finish(server);
	offload_finish(server);
	metrics_http_stop(server);
	passed_sockets_finish(&server->passed);
	dial_hint_finish(&server->dial_hint);
	close_if_open(server->signals);
	close_if_open(server->done);
	close_if_open(server->adopted);
	close_if_open(server->notices);
	close_if_open(server->retirement.wake);
	server->retirement.wake = -1;
	loop_finish(&server->loop);
	free(server->workers);
	udp_claims_finish(&server->udp_claims);
	client_counts_finish(&server->client_counts);
	generation_retirement_finish(&server->retirement);
	plugin_host_finish(&server->plugins);
	report_finish(&server->reloads.mistakes);
}

/* `step` is what has failed. */
static int server_init(struct server *server, const struct server_options *options,
		       const char **step)
{
	int error, hint_error;

	*server = (struct server){
		.options = options,
		.signals = -1,
		.done = -1,
		.adopted = -1,
		.notices = -1,
	};
	offload_init(&server->offload);
	generation_retirement_init(&server->retirement);
	server->generation = generation_create(options->config, 1, &server->retirement);
	*step = "calloc";
	if (server->generation == NULL)
		return -ENOMEM;
	list_init(&server->shares);
	server->started = server->reloads.loaded = wall_clock_seconds();
	log_configure(&server->generation->config.log);
	error = worker_returns_init(&server->returns);
	hint_error = dial_hint_init(&server->dial_hint);
	if (error == 0)
		error = hint_error;
	*step = "eventfd";
	if (error == 0) {
		*step = "epoll_create1";
		error = loop_init(&server->loop, &sys_linux);
	}
	if (error < 0) {
		worker_returns_finish(&server->returns);
		dial_hint_finish(&server->dial_hint);
		generation_drop(server->generation);
		generation_free_retired(&server->retirement);
		return error;
	}
	drain_init(server);
	timer_init(&server->addresses_timer, addresses_expired);
	return 0;
}

int server_run(const struct server_options *options)
{
	struct server server;
	const char *step;
	int status = EXIT_FAILURE, error;

	error = server_init(&server, options, &step);
	if (error < 0) {
		log_error("daemon", "cannot start", LOG_TEXT("step", step),
			  LOG_ERRNO("error", error));
		return EXIT_FAILURE;
	}
	error = startup_run(&server);
	if (error == -EINVAL)
		status = SERVER_EXIT_MISTAKE;
	if (error == 0) {
		log_ready(&server);
		announce_ready(&server);
		loop_run(&server.loop);
		control_close(&server);
		end_workers(&server);
		end_generations(&server);
		server_log_counters(&server);
		log_info("daemon", "stopped");
		status = EXIT_SUCCESS;
	}
	server_finish(&server);
	return status;
}
