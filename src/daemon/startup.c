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

#include "daemon/plugins.h"
#include "daemon/server_state.h"
#include "host/host_functions.h"
#include "os/descriptors.h"
#include "os/log.h"
#include "os/privileges.h"
#include "os/sys.h"

static int out_of_memory(void)
{
	log_error("daemon", "out of memory");
	return -1;
}

static int stage_capability(struct server *server)
{
	(void)server;
	if (privileges_hold_net_admin())
		return 0;
	log_error(
		"privileges",
		"CAP_NET_ADMIN is missing, and dialling from a client's address needs it: start as "
		"root, or run `setcap cap_net_admin+ep` on the program, or set "
		"AmbientCapabilities=CAP_NET_ADMIN in the unit");
	return -1;
}

static int open_socket(struct server *server, size_t listener_index, size_t endpoint_index,
		       enum listen_sharing sharing, struct worker_socket *socket)
{
	const struct config *config = &server->generation->config;
	const struct config_listener *listener = &config->listeners[listener_index];
	const struct listen_endpoint *endpoint = &listener->listen[endpoint_index];
	const char *step;

	*socket = (struct worker_socket){
		.listener = listener_index,
		.budget = &server->listener_budgets[listener_index],
	};
	socket->fd = listener->relay.protocol == RELAY_PROTOCOL_UDP
			     ? listen_open_udp(endpoint, &listener->socket, sharing, &step)
			     : listen_open_tcp(endpoint, &listener->socket, sharing, &step);
	if (socket->fd >= 0)
		return 0;
	log_error("listener", "cannot listen", LOG_TEXT("name", listener->name),
		  LOG_TEXT("where", listener->where), LOG_ADDRESS("listen", &endpoint->address),
		  LOG_TEXT("step", step), LOG_TEXT("error", strerror(-socket->fd)),
		  listener->device != NULL ? LOG_TEXT("device", listener->device) : LOG_NOTHING,
		  socket->fd == -EACCES && endpoint->address.port < 1024
			  ? LOG_TEXT("hint", "ports below 1024 need a start as root, or a "
					     "socket unit")
			  : LOG_NOTHING);
	return -1;
}

static int stage_listeners(struct server *server)
{
	const struct config *config = &server->generation->config;
	struct worker_socket *next;

	assert(config->listener_count > 0); /* loading makes sure of it */
	for (size_t i = 0; i < config->listener_count; i++)
		server->sockets_per_worker += config->listeners[i].listen_count;
	server->listener_budgets =
		calloc(config->listener_count, sizeof(*server->listener_budgets));
	server->flow_quotas = calloc(config->listener_count, sizeof(*server->flow_quotas));
	server->sockets =
		calloc(server->sockets_per_worker * server->worker_count, sizeof(*server->sockets));
	if (server->listener_budgets == NULL || server->flow_quotas == NULL ||
	    server->sockets == NULL)
		return out_of_memory();
	for (size_t i = 0; i < server->sockets_per_worker * server->worker_count; i++)
		server->sockets[i].fd = -1;

	next = server->sockets;
	for (unsigned worker = 0; worker < server->worker_count; worker++) {
		enum listen_sharing sharing = worker > 0 ? LISTEN_JOIN : LISTEN_FIRST;

		if (server->worker_count == 1)
			sharing = LISTEN_ALONE;
		for (size_t i = 0; i < config->listener_count; i++) {
			for (size_t j = 0; j < config->listeners[i].listen_count; j++) {
				if (open_socket(server, i, j, sharing, next++) < 0)
					return -1;
			}
		}
	}
	return 0;
}

/* What the main thread listens to. A host without netlink goes on without notices. */
static int stage_events(struct server *server)
{
	sigset_t handled;

	signal(SIGPIPE, SIG_IGN); /* splice() has no MSG_NOSIGNAL */
	sigemptyset(&handled);
	sigaddset(&handled, SIGTERM);
	sigaddset(&handled, SIGINT);
	sigaddset(&handled, SIGHUP);
	sigaddset(&handled, SIGUSR1);
	/* Blocked before the first thread, so that the signalfd gets all of them. */
	pthread_sigmask(SIG_BLOCK, &handled, NULL);
	server->signals = signalfd(-1, &handled, SFD_NONBLOCK | SFD_CLOEXEC);
	server->done = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	server->adopted = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	server->retirement.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (server->signals < 0 || server->done < 0 || server->adopted < 0 ||
	    server->retirement.wake < 0) {
		log_error("daemon", "cannot start", LOG_TEXT("step", "signalfd"),
			  LOG_TEXT("error", strerror(errno)));
		return -1;
	}
	server->notices = own_addresses_open_notices();
	if (server->notices < 0)
		log_warning("daemon", "changes of this host's addresses will go unnoticed",
			    LOG_TEXT("step", "netlink"),
			    LOG_TEXT("error", strerror(-server->notices)));
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
		return out_of_memory();
	host_functions_fill(&server->plugins.functions, server->worker_count);
	report_init(&mistakes);
	error = plugins_open(&server->plugins, server->generation, &mistakes);
	reload_log_mistakes(&mistakes);
	report_finish(&mistakes);
	return error;
}

static int stage_verify(struct server *server)
{
	(void)server;
	return privileges_verify();
}

static int start_worker(struct server *server, unsigned index)
{
	struct worker_socket *sockets = &server->sockets[index * server->sockets_per_worker];
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
				.own_addresses = own_addresses_read(),
			},
		.generation = server->generation,
		.sockets = sockets,
		.socket_count = server->sockets_per_worker,
		.done = server->done,
		.adopted = server->adopted,
		.returns = &server->returns,
	};
	int error;

	if (options.relay.own_addresses == NULL) {
		log_error("daemon", "cannot read this host's addresses",
			  LOG_TEXT("error", strerror(errno)));
		return -1;
	}
	error = worker_start(&server->workers[index], &options);
	/* Taken over, started or not. */
	for (size_t i = 0; i < server->sockets_per_worker; i++)
		sockets[i].fd = -1;
	if (error < 0) {
		log_error("daemon", "cannot start a worker", LOG_TEXT("error", strerror(-error)));
		return -1;
	}
	server->workers_alive++;
	return 0;
}

static int stage_workers(struct server *server)
{
	server->workers = calloc(server->worker_count, sizeof(*server->workers));
	if (server->workers == NULL)
		return out_of_memory();
	for (unsigned i = 0; i < server->worker_count; i++) {
		if (start_worker(server, i) < 0)
			return -1;
	}
	return heartbeat_start(server) < 0 ? out_of_memory() : 0;
}

/*
 * A stage without a function keeps a place for what is to come: the order is decided here, once.
 */
static const struct {
	const char *name;
	int (*run)(struct server *server);
} stages[] = {
	{"capability", stage_capability},
	{"listeners", stage_listeners},
	{"events", stage_events},
	{"capacity", capacity_plan},
	{"privileges", stage_privileges},
	{"plugins", stage_plugins}, /* loaded without privileges, before the file system closes */
	{"landlock", NULL},         /* files only: any client port must stay bindable */
	{"seccomp",
	 NULL}, /* before the workers, which inherit it; plugins' threads are there already */
	{"verify", stage_verify},
	{"watch", server_watch},
	{"workers", stage_workers},
};

int startup_run(struct server *server)
{
	server->worker_count = server->generation->config.workers;
	server->descriptor_limit = descriptors_raise_limit();
	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
		if (stages[i].run == NULL)
			continue;
		log_debug("daemon", "starting", LOG_TEXT("stage", stages[i].name));
		if (stages[i].run(server) < 0)
			return -1;
	}
	return 0;
}
