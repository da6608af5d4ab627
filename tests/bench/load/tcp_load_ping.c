/* SPDX-License-Identifier: MIT */
/*
 * One message a connection on its way, there and back. Paced, a message has a time at which it is
 * due, whether or not the one before it has come back: its latency counts from there. What counts
 * are the messages that are due in the measured time, whenever they come back.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "gate.h"
#include "latency.h"
#include "tcp_load.h"

#define EVENTS 128
/* A message that takes longer is lost; milliseconds. */
#define PATIENCE 10000
#define SECOND   1e9 /* in nanoseconds, as all times here */
#define NEVER    INT64_MAX

struct pinger {
	struct tcp_connection connection;
	int64_t due;   /* when this message was, or the next one is, to be sent */
	bool waiting;  /* it is on its way */
	uint64_t goal; /* bytes received when it is back */
};

struct pings {
	const struct tcp_load_options *options;
	struct pinger *all;
	int epoll;
	int timer;        /* paced: when the next message is due */
	int64_t interval; /* between two messages of a connection; 0: none */
	int64_t now;
	struct gate gate;
	int64_t warm_until;
	/* Of what is due; nothing is sent that is due later. NEVER: this is the warm-up. */
	int64_t counted_from, counted_until;
	int64_t last_back; /* the last of those that count */
	unsigned underway;
	uint64_t messages; /* counted */
	uint64_t total;    /* from start to end */
	struct latency latency;
};

static void ping(struct pings *pings, struct pinger *pinger)
{
	size_t size = pings->options->size;
	ssize_t sent = tcp_connection_send(&pinger->connection, &pings->options->payload, size);

	/* One message fits any socket that has nothing else in it. */
	if (sent != (ssize_t)size)
		errx(EXIT_FAILURE, "send: %s", sent < 0 ? strerror((int)-sent) : "taken in part");
	pinger->waiting = true;
	pinger->goal += size;
	pings->underway++;
}

static void came_back(struct pings *pings, struct pinger *pinger)
{
	pinger->waiting = false;
	pings->underway--;
	pings->total++;
	if (pinger->due >= pings->counted_from) {
		pings->messages++;
		pings->last_back = pings->now;
		latency_record(&pings->latency, pings->now - pinger->due);
	}
	pinger->due = pings->interval > 0 ? pinger->due + pings->interval : pings->now;
	/* However short the time is, it lasts until a message counts. */
	if (pings->messages == 0 && pings->interval == 0 && pinger->due >= pings->counted_until)
		pings->counted_until = pinger->due + 1;
	if (pinger->due <= pings->now && pinger->due < pings->counted_until)
		ping(pings, pinger);
}

static void receive(struct pings *pings, struct pinger *pinger)
{
	ssize_t got = tcp_connection_receive(&pinger->connection, &pings->options->payload,
					     PAYLOAD_PIECE_MAX);

	if (got == -EAGAIN)
		return;
	if (got <= 0)
		errx(EXIT_FAILURE, "receive: %s", got < 0 ? strerror((int)-got) : "closed");
	if (pinger->waiting && pinger->connection.received == pinger->goal)
		came_back(pings, pinger);
	else if (pinger->connection.received > pinger->goal)
		errx(EXIT_FAILURE, "more came back than was sent");
}

static void wake_at(const struct pings *pings, int64_t when)
{
	const struct itimerspec then = {
		.it_value = {.tv_sec = when / (int64_t)SECOND, .tv_nsec = when % (int64_t)SECOND}};

	if (timerfd_settime(pings->timer, TFD_TIMER_ABSTIME, &then, NULL) < 0)
		err(EXIT_FAILURE, "timerfd_settime");
}

/*
 * Sends what is due, and sets the timer for what is next: of all connections, since one whose
 * message came back late may be before those that were before it. A connection whose message is
 * still on its way is passed over: its next leaves when that one is back, and has been due since
 * then.
 */
static void send_due(struct pings *pings)
{
	int64_t next = pings->counted_until;

	for (unsigned i = 0; i < pings->options->connections; i++) {
		struct pinger *pinger = &pings->all[i];

		if (pinger->waiting || pinger->due >= pings->counted_until)
			continue;
		if (pinger->due <= pings->now)
			ping(pings, pinger);
		else if (pinger->due < next)
			next = pinger->due;
	}
	wake_at(pings, next);
}

static void serve(struct pings *pings, struct pinger *pinger)
{
	uint64_t count;

	if (pinger != NULL)
		receive(pings, pinger);
	else if (read(pings->timer, &count, sizeof(count)) < 0 && errno != EAGAIN)
		err(EXIT_FAILURE, "read");
}

static void count_from(struct pings *pings, int64_t from)
{
	pings->counted_from = from;
	pings->counted_until = from + (int64_t)(pings->options->seconds * SECOND);
}

static void run(struct pings *pings)
{
	struct epoll_event events[EVENTS];

	for (;;) {
		int count;

		if (pings->counted_from == NEVER && pings->now >= pings->warm_until &&
		    gate_is_open(&pings->gate))
			count_from(pings, pings->now);
		if (pings->interval > 0)
			send_due(pings);
		if (pings->now >= pings->counted_until && pings->underway == 0)
			return;
		count = epoll_wait(pings->epoll, events, EVENTS, PATIENCE);
		if (count == 0)
			errx(EXIT_FAILURE, "a message was lost");
		pings->now = tcp_load_clock();
		for (int i = 0; i < count; i++)
			serve(pings, events[i].data.ptr);
	}
}

static void watch(const struct pings *pings, int fd, struct pinger *pinger)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = pinger};

	if (epoll_ctl(pings->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		err(EXIT_FAILURE, "epoll_ctl");
}

static void start(struct pings *pings)
{
	const struct tcp_load_options *options = pings->options;
	struct tcp_target target = options->target;

	pings->all = calloc(options->connections, sizeof(*pings->all));
	pings->epoll = epoll_create1(EPOLL_CLOEXEC);
	pings->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (pings->all == NULL || pings->epoll < 0 || pings->timer < 0)
		err(EXIT_FAILURE, "start");
	watch(pings, pings->timer, NULL);
	if (options->rate > 0)
		pings->interval = (int64_t)(SECOND * options->connections / options->rate);
	for (unsigned i = 0; i < options->connections; i++) {
		struct pinger *pinger = &pings->all[i];

		tcp_connection_open(&pinger->connection, &target);
		tcp_connection_exchange(&pinger->connection, &options->payload, options->size);
		pinger->goal = pinger->connection.received;
		watch(pings, pinger->connection.fd, pinger);
	}
	pings->now = tcp_load_clock();
	pings->gate.waits = options->wait;
	pings->warm_until = pings->now + (int64_t)(options->warm_up * SECOND);
	if (options->wait)
		pings->counted_from = pings->counted_until = NEVER;
	else
		count_from(pings, pings->warm_until);
	for (unsigned i = 0; i < options->connections; i++) {
		/* Paced, they are spread over the interval. */
		pings->all[i].due = pings->now + pings->interval * i / options->connections;
		if (pings->interval == 0)
			ping(pings, &pings->all[i]);
	}
}

bool tcp_load_ping(const struct tcp_load_options *options)
{
	static struct pings pings;
	int64_t end;

	pings.options = options;
	start(&pings);
	run(&pings);
	/* At a rate that is too high, what was due has taken longer. */
	end = pings.interval > 0 && pings.last_back > pings.counted_until ? pings.last_back
									  : pings.counted_until;
	printf("messages=%" PRIu64 " seconds=%.3f connections=%u wrong=0 total=%" PRIu64,
	       pings.messages, (double)(end - pings.counted_from) / SECOND, options->connections,
	       pings.total);
	latency_print(&pings.latency);
	putchar('\n');
	return pings.messages > 0;
}
