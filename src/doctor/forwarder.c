/* SPDX-License-Identifier: MIT */
/*
 * Which process has accepted the probe is known by its socket; what it opened for it, by the
 * sockets that it holds and that were not there before.
 */
#include "doctor/forwarder.h"

#include "doctor/probe.h"
#include "routing/return_plan.h"

/*
 * A program is given so many times so many milliseconds to accept and to open its own connection.
 * What is waited for meanwhile is the end of the probe's connection: who cannot reach its server
 * closes it.
 */
#define TRIES     10
#define TRY_LASTS 20

/* Milliseconds in which a forwarder has noticed the reset. */
#define END_PATIENCE 500

void forwarder_watch_begin(struct forwarder_watch *watch, struct netlink *sockets)
{
	*watch = (struct forwarder_watch){.sockets = sockets};
	/* Without the list all look new, and none is taken for one. */
	if (socket_diag_connected(sockets, false, 0, &watch->before) < 0)
		watch->sockets = NULL;
}

void forwarder_watch_finish(struct forwarder_watch *watch)
{
	socket_list_finish(&watch->before);
}

static bool is_new(const struct forwarder_watch *watch, const struct socket_info *socket)
{
	for (size_t i = 0; i < watch->before.count; i++) {
		if (watch->before.sockets[i].inode == socket->inode)
			return false;
	}
	return socket->inode != 0;
}

/* The server's end of the probe's connection, once it has been accepted. */
static void find_server(struct forwarder_watch *watch, const struct socket_list *now,
			const struct probe *probe)
{
	struct process process;

	for (size_t i = 0; i < now->count; i++) {
		const struct socket_info *socket = &now->sockets[i];

		if (address_equal(&socket->peer, &probe->local) && socket->inode != 0 &&
		    process_find(socket->inode, &process) == 0)
			watch->server = process;
	}
}

/*
 * A server may ask another one on loopback for whatever reason; whoever is known to forward, and
 * opens a connection there, forwards.
 */
static bool is_onwards(const struct forwarder_watch *watch, const struct socket_info *socket,
		       const struct probe *probe)
{
	bool here = return_path_is_loopback(&socket->peer);

	return is_new(watch, socket) && !address_equal(&socket->peer, &probe->local) &&
	       !address_equal(&socket->local, &probe->local) &&
	       (!here || process_trade(&watch->server) != PROCESS_ANY) &&
	       process_holds(watch->server.pid, socket->inode);
}

static void find_onwards(struct forwarder_watch *watch, const struct socket_list *now,
			 const struct probe *probe)
{
	for (size_t i = 0; i < now->count && watch->onwards.inode == 0; i++) {
		if (is_onwards(watch, &now->sockets[i], probe))
			watch->onwards = now->sockets[i];
	}
}

void forwarder_watch_connected(const struct probe *probe, void *context)
{
	struct forwarder_watch *watch = context;
	bool ended = false;

	for (unsigned i = 0; i < TRIES && watch->onwards.inode == 0 && !ended; i++) {
		struct socket_list now;

		if (watch->sockets == NULL ||
		    socket_diag_connected(watch->sockets, false, 0, &now) < 0)
			return;
		if (watch->server.pid == 0)
			find_server(watch, &now, probe);
		if (watch->server.pid != 0)
			find_onwards(watch, &now, probe);
		socket_list_finish(&now);
		if (watch->onwards.inode == 0)
			ended = probe_await_end(probe, TRY_LASTS);
	}
	watch->found =
		process_trade(&watch->server) == PROCESS_FORWARDER ||
		(watch->onwards.inode != 0 && process_trade(&watch->server) == PROCESS_MAY_FORWARD);
}

/* Of a program that nobody knows, a connection counts that ends with the probe's. */
void forwarder_watch_ended(void *context)
{
	struct forwarder_watch *watch = context;

	if (!watch->found && watch->onwards.inode != 0)
		watch->found =
			socket_diag_await_end(watch->sockets, &watch->onwards, END_PATIENCE) == 0;
}

bool forwarder_listens(struct netlink *sockets, const struct address *upstream, bool udp,
		       struct process *process)
{
	const struct socket_info *taker;
	struct socket_list list;

	*process = (struct process){0};
	if (socket_diag_listening(sockets, udp, upstream->port, &list) < 0)
		return false;
	taker = socket_list_taker(&list, upstream);
	if (taker != NULL)
		process_find(taker->inode, process);
	socket_list_finish(&list);
	return process_trade(process) == PROCESS_FORWARDER;
}
