/* SPDX-License-Identifier: MIT */
/*
 * Connections that exchange one message, one after the other in so many places at a time. A
 * connection has ended when the server has closed it too: then no proxy is left with it.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate.h"
#include "latency.h"
#include "tcp_load.h"

#define EVENTS 128
/* A connection that takes longer hangs; milliseconds. */
#define PATIENCE 10000

struct place {
	struct tcp_connection connection;
	int64_t began;
	bool shut;
};

struct connects {
	const struct tcp_load_options *options;
	struct tcp_target target;
	struct place *all;
	int epoll;
	unsigned open;
	bool stopping, counting;
	uint64_t completed;
	uint64_t failed; /* refused, reset, cut short or answered with something else */
	struct latency latency;
};

static void watch(struct connects *connects, struct place *place, uint32_t events, int operation)
{
	struct epoll_event event = {.events = events, .data.ptr = place};

	if (epoll_ctl(connects->epoll, operation, place->connection.fd, &event) < 0)
		err(EXIT_FAILURE, "epoll_ctl");
}

static ssize_t send_message(struct connects *connects, struct place *place)
{
	return tcp_connection_send(&place->connection, &connects->options->payload,
				   connects->options->size);
}

static void place_open(struct connects *connects, struct place *place)
{
	place->shut = false;
	place->began = tcp_load_clock();
	tcp_connection_open(&place->connection, &connects->target);
	/* On one host it is connected by now; if not, it tells when it is. */
	watch(connects, place, send_message(connects, place) > 0 ? EPOLLIN : EPOLLIN | EPOLLOUT,
	      EPOLL_CTL_ADD);
	connects->open++;
}

static void place_close(struct connects *connects, struct place *place, bool well)
{
	close(place->connection.fd);
	connects->open--;
	if (!well)
		connects->failed++;
	else if (connects->counting) {
		connects->completed++;
		latency_record(&connects->latency, tcp_load_clock() - place->began);
	}
	if (!connects->stopping)
		place_open(connects, place);
}

static void receive(struct connects *connects, struct place *place)
{
	ssize_t got = tcp_connection_receive(&place->connection, &connects->options->payload,
					     PAYLOAD_PIECE_MAX);

	if (got == -EAGAIN)
		return;
	if (got <= 0) {
		place_close(connects, place, got == 0 && place->shut);
	} else if (place->connection.received == connects->options->size) {
		shutdown(place->connection.fd, SHUT_WR);
		place->shut = true;
	}
}

static void serve(struct connects *connects, struct place *place, uint32_t events)
{
	if (place->connection.sent == 0 && (events & EPOLLOUT)) {
		if (send_message(connects, place) < 0) {
			place_close(connects, place, false);
			return;
		}
		watch(connects, place, EPOLLIN, EPOLL_CTL_MOD);
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		receive(connects, place);
}

/* However short the time that counts is, it lasts until a connection was completed, or failed. */
static bool nothing_counts_yet(const struct connects *connects)
{
	return connects->counting && connects->completed == 0 && connects->failed == 0;
}

static void run_until(struct connects *connects, int64_t end)
{
	struct epoll_event events[EVENTS];

	while (connects->open > 0 &&
	       (connects->stopping || tcp_load_clock() < end || nothing_counts_yet(connects))) {
		int count = epoll_wait(connects->epoll, events, EVENTS, PATIENCE);

		if (count == 0)
			errx(EXIT_FAILURE, "%u connections hang", connects->open);
		for (int i = 0; i < count; i++)
			serve(connects, events[i].data.ptr, events[i].events);
	}
}

bool tcp_load_connect(const struct tcp_load_options *options)
{
	static struct connects connects;
	struct gate gate = {.waits = options->wait};
	int64_t began, took;

	connects.options = options;
	connects.target = options->target;
	connects.all = calloc(options->connections, sizeof(*connects.all));
	connects.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (connects.all == NULL || connects.epoll < 0)
		err(EXIT_FAILURE, "start");
	for (unsigned i = 0; i < options->connections; i++)
		place_open(&connects, &connects.all[i]);
	run_until(&connects, tcp_load_clock() + (int64_t)(options->warm_up * 1e9));
	while (!gate_is_open(&gate))
		run_until(&connects, tcp_load_clock() + TCP_LOAD_LOOK);
	connects.counting = true;
	began = tcp_load_clock();
	run_until(&connects, began + (int64_t)(options->seconds * 1e9));
	connects.counting = false;
	took = tcp_load_clock() - began;
	connects.stopping = true;
	run_until(&connects, 0);
	printf("completed=%" PRIu64 " seconds=%.3f connections=%u failed=%" PRIu64
	       " total=%" PRIu64,
	       connects.completed, (double)took / 1e9, options->connections, connects.failed,
	       connects.target.next_client - options->target.next_client);
	latency_print(&connects.latency);
	putchar('\n');
	return connects.failed == 0 && connects.completed > 0;
}
