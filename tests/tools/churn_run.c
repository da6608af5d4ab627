/* SPDX-License-Identifier: MIT */
/* Opens connections, accepts them, gives each end its turns, and buries what is over. */
#include "churn_run.h"

#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define SMALL_BUFFER 4096 /* bytes */
#define SECOND       UINT64_C(1000000000)
#define STUCK        (30 * SECOND)
/* For the upstream to see, or not, a connection whose client has gone at once. */
#define UNSEEN (5 * SECOND)

struct churn_run churn;

uint64_t churn_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

void churn_watch(int fd, uint32_t events, void *owner)
{
	struct epoll_event event = {.events = events, .data.ptr = owner};

	if (epoll_ctl(churn.epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		err(EXIT_FAILURE, "epoll_ctl");
}

static void queue(struct churn_end *end)
{
	if (end->queued)
		return;
	end->queued = true;
	end->next_queued = NULL;
	*churn.last_queued = end;
	churn.last_queued = &end->next_queued;
}

static void pause_for(struct churn_end *end, uint64_t nanoseconds)
{
	end->wakes = churn_now() + nanoseconds;
	end->next_paused = churn.paused;
	churn.paused = end;
}

/* Will anybody come back to it? */
static bool is_named(const struct churn_end *end)
{
	return end->queued || end->wakes != 0;
}

/* The end of a connection. */

static bool is_open(const struct churn_connection *connection)
{
	return connection->ends[CHURN_CLIENT].fd >= 0 || connection->ends[CHURN_UPSTREAM].fd >= 0;
}

static bool may_still_come(const struct churn_connection *connection)
{
	return churn_reaches_upstream(connection->plan.kind) && !connection->accepted;
}

/* Judged, forgotten, and freed when no event and no turn can name it any more. */
static void bury(struct churn_connection *connection)
{
	churn_judge(&churn.counts, connection);
	churn.known[connection->number % CHURN_KNOWN] = NULL;
	connection->next_dead = churn.dead;
	churn.dead = connection;
}

void churn_free_dead(void)
{
	struct churn_connection **next = &churn.dead;

	while (*next != NULL) {
		struct churn_connection *connection = *next;

		if (is_named(&connection->ends[CHURN_CLIENT]) ||
		    is_named(&connection->ends[CHURN_UPSTREAM])) {
			next = &connection->next_dead;
			continue;
		}
		*next = connection->next_dead;
		free(connection);
	}
}

void churn_take_turn(struct churn_end *end)
{
	struct churn_connection *connection = end->connection;
	uint64_t pause;
	bool more;

	/* Whatever happens in a pause is seen behind it. */
	if (end->fd < 0 || end->wakes != 0)
		return;
	connection->progress = churn_now();
	more = churn_end_turn(end);
	pause = more ? churn_pace_pause(end) : 0;
	if (pause > 0) {
		pause_for(end, pause);
		return;
	}
	if (more) {
		queue(end);
		return;
	}
	if (is_open(connection))
		return;
	churn.open--;
	if (may_still_come(connection))
		churn.waiting++;
	else
		bury(connection);
}

void churn_wake_paused(uint64_t time)
{
	struct churn_end **next = &churn.paused, *woken = NULL;

	while (*next != NULL) {
		struct churn_end *end = *next;

		if (end->wakes > time) {
			next = &end->next_paused;
			continue;
		}
		*next = end->next_paused;
		end->next_paused = woken;
		woken = end;
	}
	while (woken != NULL) {
		struct churn_end *end = woken;

		woken = end->next_paused;
		end->wakes = 0;
		churn_take_turn(end);
	}
}

void churn_scan(uint64_t time)
{
	for (size_t i = 0; i < CHURN_KNOWN; i++) {
		struct churn_connection *connection = churn.known[i];

		if (connection == NULL)
			continue;
		if (!is_open(connection) && time - connection->progress > UNSEEN) {
			churn.waiting--;
			bury(connection);
		} else if (is_open(connection) && time - connection->progress > STUCK) {
			churn_fault(&churn.counts, CHURN_STUCK, connection);
			for (size_t side = 0; side < CHURN_SIDES; side++) {
				if (connection->ends[side].fd >= 0)
					churn_end_close(&connection->ends[side], true);
			}
			churn.open--;
			churn.known[i] = NULL;
			connection->next_dead = churn.dead;
			churn.dead = connection;
		}
	}
}

/* The client's end: what a balancer opens. */

static void prepare(int fd, bool small_buffers)
{
	const int on = 1, small = SMALL_BUFFER;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (small_buffers) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	}
}

/* One of 65,536 addresses; without --balancer of loopback's, or the only one of IPv6's. */
static void bind_balancer(int fd, uint64_t number)
{
	static const uint8_t loopback[4] = {127, 1, 0, 0};
	struct address address = churn.balancer;
	struct sockaddr_storage name;
	const int on = 1;
	socklen_t length;

	if (address.family == ADDRESS_NONE && churn.to.family == ADDRESS_IPV4)
		address = address_from_ipv4(loopback, 0);
	if (address.family == ADDRESS_NONE)
		return;
	address.ip[address.family == ADDRESS_IPV4 ? 2 : 14] = (uint8_t)(number >> 8);
	address.ip[address.family == ADDRESS_IPV4 ? 3 : 15] = (uint8_t)number;
	length = address_to_sockaddr(&address, &name);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&name, length) < 0)
		err(EXIT_FAILURE, "bind");
}

int churn_socket(enum churn_side side, int family)
{
	if (churn.namespaces[side] >= 0 && setns(churn.namespaces[side], CLONE_NEWNET) < 0)
		err(EXIT_FAILURE, "setns");
	return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static struct churn_connection *connection_create(uint64_t number)
{
	struct churn_connection *connection = calloc(1, sizeof(*connection));

	if (connection == NULL)
		err(EXIT_FAILURE, "no memory");
	connection->number = number;
	connection->random = churn.seed ^ number;
	connection->progress = churn_now();
	churn_plan_make(&connection->plan, churn.seed, number, churn.mix,
			churn.mix == CHURN_ANY ? churn.listeners[1].fd >= 0
					       : churn.to.family == ADDRESS_IPV6);
	for (size_t i = 0; i < CHURN_SIDES; i++) {
		connection->ends[i].connection = connection;
		connection->ends[i].side = (enum churn_side)i;
		connection->ends[i].fd = -1;
		churn_pace_begin(&connection->ends[i]);
	}
	return connection;
}

void churn_open(void)
{
	uint64_t number = churn.counts.opened++;
	struct churn_connection *connection = connection_create(number);
	struct churn_end *end = &connection->ends[CHURN_CLIENT];
	const struct address *to =
		connection->plan.kind == CHURN_DEAD_END ? &churn.dead_end : &churn.to;
	struct sockaddr_storage name;
	socklen_t length = address_to_sockaddr(to, &name);

	end->fd = churn_socket(CHURN_CLIENT, name.ss_family);
	if (end->fd < 0)
		err(EXIT_FAILURE, "socket");
	prepare(end->fd, connection->plan.small_buffers);
	bind_balancer(end->fd, number);
	churn.known[number % CHURN_KNOWN] = connection;
	churn.open++;
	if (connect(end->fd, (struct sockaddr *)&name, length) < 0 && errno != EINPROGRESS)
		err(EXIT_FAILURE, "connect");
	churn_watch(end->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, end);
}

bool churn_may_open(void)
{
	uint64_t number = churn.counts.opened;

	if (churn.ending || (churn.count > 0 && number >= churn.count) ||
	    churn.open >= churn.at_a_time || churn.known[number % CHURN_KNOWN] != NULL)
		return false;
	return churn.rate == 0 ||
	       number < (churn_now() - churn.began) / 1000 * churn.rate / 1000000;
}

/* The upstream's end. */

static struct churn_connection *expected(const struct address *peer)
{
	uint64_t number = churn_number_of(peer);
	struct churn_connection *connection;

	/* The address tells the number modulo what fits it: the latest one with that address. */
	if (number == UINT64_MAX)
		return NULL;
	connection = churn.known[number % CHURN_KNOWN];
	if (connection == NULL || !address_equal(&connection->plan.client, peer))
		return NULL;
	return connection;
}

void churn_accept(const struct churn_listener *listener)
{
	struct sockaddr_storage name;
	socklen_t length = sizeof(name);
	int fd;

	while ((fd = accept4(listener->fd, (struct sockaddr *)&name, &length,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct address peer = address_from_sockaddr(&name);
		struct churn_connection *connection = expected(&peer);

		length = sizeof(name);
		if (connection == NULL || connection->accepted) {
			churn_fault(&churn.counts, CHURN_STRANGER, connection);
			close(fd);
			continue;
		}
		if (!churn_reaches_upstream(connection->plan.kind)) {
			churn_fault(&churn.counts, CHURN_LEAKED, connection);
			close(fd);
			continue;
		}
		if (!is_open(connection)) {
			churn.open++;
			churn.waiting--;
		}
		connection->accepted = true;
		connection->ends[CHURN_UPSTREAM].fd = fd;
		prepare(fd, connection->plan.small_buffers);
		churn_watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
			    &connection->ends[CHURN_UPSTREAM]);
	}
}

void churn_run_queue(void)
{
	struct churn_end *end = churn.first_queued;

	churn.first_queued = NULL;
	churn.last_queued = &churn.first_queued;
	while (end != NULL) {
		struct churn_end *next = end->next_queued;

		end->queued = false;
		churn_take_turn(end);
		end = next;
	}
}
