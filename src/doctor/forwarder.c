/* SPDX-License-Identifier: MIT */
/*
 * Which process has accepted the probe is known by its socket; what it opened for it, by the
 * sockets that it holds and that were not there before.
 */
#include "doctor/forwarder.h"

#include <poll.h>
#include <stdlib.h>

#include "doctor/bytes_sent.h"
#include "doctor/probe.h"
#include "routing/return_plan.h"

/*
 * A program is given so many times so many milliseconds to accept, and then to open its own
 * connection. What is waited for meanwhile is the end of the probe's connection: who cannot reach
 * its server closes it.
 */
#define ACCEPT_TRIES 80
#define TRIES        20
#define TRY_LASTS    20

/* Milliseconds in which a server has said what it has to say to another one. */
#define SPEECH_PATIENCE 100

/* Milliseconds in which a forwarder has noticed the reset. */
#define END_PATIENCE 500

/* Milliseconds for which a program is watched that is not knocked at. */
#define QUIET_LASTS 200

static int compare(const void *a, const void *b)
{
	const struct socket_info *one = a, *other = b;

	return (one->inode > other->inode) - (one->inode < other->inode);
}

/* The connections that there are, by inode: a busy host has a hundred thousand. */
static int read_connections(struct netlink *sockets, struct socket_list *list)
{
	int error = socket_diag_connected(sockets, false, 0, list);

	if (error == 0 && list->count > 0)
		qsort(list->sockets, list->count, sizeof(*list->sockets), compare);
	return error;
}

static bool is_new(const struct socket_list *before, const struct socket_info *socket)
{
	return before->count == 0 || bsearch(socket, before->sockets, before->count,
					     sizeof(*before->sockets), compare) == NULL;
}

void forwarder_watch_begin(struct forwarder_watch *watch, struct netlink *sockets)
{
	*watch = (struct forwarder_watch){.sockets = sockets};
	/* Without the lists all look new and opened, and none is taken for one. */
	if (read_connections(sockets, &watch->before) < 0 ||
	    socket_diag_listening(sockets, false, 0, &watch->listening) < 0)
		watch->sockets = NULL;
}

void forwarder_watch_finish(struct forwarder_watch *watch)
{
	socket_list_finish(&watch->before);
	socket_list_finish(&watch->listening);
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
 * A connection that the server has opened since, other than by accepting one.
 *
 * A server may ask another one on loopback for whatever reason; whoever is known to forward, and
 * opens a connection there, forwards.
 */
static bool is_onwards(const struct forwarder_watch *watch, const struct socket_list *before,
		       const struct socket_info *socket)
{
	bool here = return_path_is_loopback(&socket->peer);

	return socket->inode != 0 && is_new(before, socket) &&
	       socket_list_taker(&watch->listening, &socket->local) == NULL &&
	       (!here || process_trade(&watch->server) != PROCESS_ANY) &&
	       process_holds(watch->server.pid, socket->inode);
}

static void find_onwards(struct forwarder_watch *watch, const struct socket_list *now)
{
	for (size_t i = 0; i < now->count && watch->onwards.inode == 0; i++) {
		if (is_onwards(watch, &watch->before, &now->sockets[i]))
			watch->onwards = now->sockets[i];
	}
}

/*
 * The probe says nothing, and so does whoever passes on what it says. A server that has something
 * to say meanwhile speaks for itself, to a database or a filter.
 */
static bool speaks_for_itself(const struct forwarder_watch *watch, const struct probe *probe)
{
	uint64_t sent;

	probe_await_end(probe, SPEECH_PATIENCE);
	return bytes_sent_read(watch->sockets, &watch->onwards, &sent) == 0 && sent > 0;
}

void forwarder_watch_connected(const struct probe *probe, void *context)
{
	struct forwarder_watch *watch = context;
	unsigned accepted = 0;
	bool ended = false;

	for (unsigned i = 0; i < ACCEPT_TRIES + TRIES && accepted < TRIES && !ended; i++) {
		struct socket_list now = {NULL, 0};

		if (watch->sockets == NULL || read_connections(watch->sockets, &now) < 0)
			return;
		if (watch->server.pid == 0)
			find_server(watch, &now, probe);
		if (watch->server.pid != 0)
			find_onwards(watch, &now);
		socket_list_finish(&now);
		if (watch->onwards.inode != 0)
			break;
		accepted += watch->server.pid != 0;
		ended = probe_await_end(probe, TRY_LASTS);
	}
	watch->found = process_trade(&watch->server) == PROCESS_FORWARDER;
	if (watch->onwards.inode != 0 && process_trade(&watch->server) == PROCESS_ANY &&
	    speaks_for_itself(watch, probe))
		watch->onwards = (struct socket_info){0};
}

/* A busy server opens connections whoever knocks: then one more says nothing. */
static bool is_quiet(const struct forwarder_watch *watch)
{
	struct socket_list before = {NULL, 0}, after = {NULL, 0};
	bool quiet = read_connections(watch->sockets, &before) == 0;

	/* There is no event to wait for: that none comes is what is asked. */
	poll(NULL, 0, QUIET_LASTS);
	quiet = quiet && read_connections(watch->sockets, &after) == 0;
	for (size_t i = 0; i < after.count && quiet; i++)
		quiet = !is_onwards(watch, &before, &after.sockets[i]);
	socket_list_finish(&before);
	socket_list_finish(&after);
	return quiet;
}

/* Who is not known for doing nothing else forwards if the connection ends with the probe's. */
void forwarder_watch_ended(void *context)
{
	struct forwarder_watch *watch = context;

	if (!watch->found && watch->onwards.inode != 0)
		watch->found =
			socket_diag_await_end(watch->sockets, &watch->onwards, END_PATIENCE) == 0 &&
			is_quiet(watch);
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
