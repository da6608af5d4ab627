/* SPDX-License-Identifier: MIT */
/*
 * The upstream. Each readiness is answered with one read and one write, which is what a plain
 * server does; a peer that does not read is not read from.
 */
#include "tcp_server.h"

#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS  128
#define BACKLOG 4096
/* Connections taken before those that are there get their turn. */
#define ACCEPTS_PER_TURN 64

enum role { ROLE_ECHO, ROLE_SINK, ROLE_SOURCE };

struct peer {
	int fd;
	enum role role;
	bool listening;
	uint32_t events; /* watched */
	uint8_t *kept;   /* of echo: what could not be sent */
	size_t kept_from, kept_to;
	uint64_t right; /* of sink: bytes */
	bool wrong;
	struct payload_place place;
};

static int epoll_fd;
static const struct payload *served;
static uint8_t buffer[PAYLOAD_PIECE_MAX];

static void watch(struct peer *peer, uint32_t events, int operation)
{
	struct epoll_event event = {.events = events, .data.ptr = peer};

	if (operation == EPOLL_CTL_MOD && peer->events == events)
		return;
	peer->events = events;
	if (epoll_ctl(epoll_fd, operation, peer->fd, &event) < 0)
		err(EXIT_FAILURE, "epoll_ctl");
}

static struct peer *peer_create(int fd, enum role role)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (peer == NULL)
		err(EXIT_FAILURE, "calloc");
	peer->fd = fd;
	peer->role = role;
	return peer;
}

/* One event a peer and round: nothing else of this round names it. */
static void peer_destroy(struct peer *peer)
{
	close(peer->fd);
	free(peer->kept);
	free(peer);
}

static void keep(struct peer *peer, size_t from, size_t to)
{
	peer->kept = malloc(to - from);
	if (peer->kept == NULL)
		err(EXIT_FAILURE, "malloc");
	memcpy(peer->kept, buffer + from, to - from);
	peer->kept_from = 0;
	peer->kept_to = to - from;
	watch(peer, EPOLLOUT, EPOLL_CTL_MOD);
}

/* Both return false when the connection is over. */

static bool echo_kept(struct peer *peer)
{
	ssize_t sent = send(peer->fd, peer->kept + peer->kept_from, peer->kept_to - peer->kept_from,
			    MSG_NOSIGNAL);

	if (sent < 0)
		return errno == EAGAIN;
	peer->kept_from += (size_t)sent;
	if (peer->kept_from < peer->kept_to)
		return true;
	free(peer->kept);
	peer->kept = NULL;
	watch(peer, EPOLLIN, EPOLL_CTL_MOD);
	return true;
}

static bool echo(struct peer *peer)
{
	ssize_t got, sent;

	if (peer->kept != NULL)
		return echo_kept(peer);
	got = recv(peer->fd, buffer, sizeof(buffer), 0);
	if (got <= 0)
		return got < 0 && errno == EAGAIN;
	sent = send(peer->fd, buffer, (size_t)got, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN)
		return false;
	if (sent < got)
		keep(peer, sent > 0 ? (size_t)sent : 0, (size_t)got);
	return true;
}

static bool sink(struct peer *peer)
{
	ssize_t got = recv(peer->fd, buffer, sizeof(buffer), 0);
	uint8_t answer[TCP_SINK_ANSWER];

	if (got < 0)
		return errno == EAGAIN;
	if (got > 0) {
		peer->wrong |= !payload_check(served, &peer->place, buffer, (size_t)got);
		if (!peer->wrong)
			peer->right += (uint64_t)got;
		return true;
	}
	for (unsigned i = 0; i < sizeof(answer); i++)
		answer[i] = (uint8_t)(peer->right >> 8 * (sizeof(answer) - 1 - i));
	send(peer->fd, answer, sizeof(answer), MSG_NOSIGNAL);
	return false;
}

static bool source(struct peer *peer)
{
	ssize_t sent =
		send(peer->fd, payload_next(served, &peer->place), PAYLOAD_PIECE_MAX, MSG_NOSIGNAL);

	if (sent < 0)
		return errno == EAGAIN;
	payload_advance(served, &peer->place, (size_t)sent);
	return true;
}

static void accept_some(struct peer *listener)
{
	const int on = 1;

	for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		watch(peer_create(fd, listener->role),
		      listener->role == ROLE_SOURCE ? EPOLLOUT : EPOLLIN, EPOLL_CTL_ADD);
	}
}

static void serve(struct peer *peer, uint32_t events)
{
	bool goes_on = true;

	if (peer->listening) {
		accept_some(peer);
		return;
	}
	switch (peer->role) {
	case ROLE_ECHO:
		goes_on = echo(peer);
		break;
	case ROLE_SINK:
		goes_on = sink(peer);
		break;
	case ROLE_SOURCE:
		goes_on = !(events & (EPOLLHUP | EPOLLERR)) && source(peer);
		break;
	}
	if (!goes_on)
		peer_destroy(peer);
}

static void listen_at(const struct address *address, enum role role)
{
	const int on = 1;
	struct sockaddr_storage name;
	socklen_t length = address_to_sockaddr(address, &name);
	struct peer *listener;
	int fd;

	if (address->family == ADDRESS_NONE)
		return;
	fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		err(EXIT_FAILURE, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&name, length) < 0 || listen(fd, BACKLOG) < 0)
		err(EXIT_FAILURE, "listen");
	listener = peer_create(fd, role);
	listener->listening = true;
	watch(listener, EPOLLIN, EPOLL_CTL_ADD);
}

static void end(int signal)
{
	(void)signal;
	_exit(EXIT_SUCCESS);
}

void tcp_server_run(const struct tcp_server_options *options)
{
	const struct sigaction action = {.sa_handler = end};
	struct epoll_event events[EVENTS];

	served = &options->payload;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		err(EXIT_FAILURE, "epoll_create1");
	listen_at(&options->echo, ROLE_ECHO);
	listen_at(&options->sink, ROLE_SINK);
	listen_at(&options->source, ROLE_SOURCE);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	for (;;) {
		int count = epoll_wait(epoll_fd, events, EVENTS, -1);

		for (int i = 0; i < count; i++)
			serve(events[i].data.ptr, events[i].events);
	}
}
