/* SPDX-License-Identifier: MIT */
/*
 * Streams. When the time is over each connection ends its own direction and reads to the end, so
 * that what came back can be held against what was sent, and nobody is left with work.
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
#include "tcp_load.h"
#include "tcp_server.h"

#define EVENTS 128
/* Written in one turn, so that small writes do not go with a wait each. */
#define TURN_BYTES 16384
/* For the last bytes, milliseconds without any. */
#define PATIENCE 10000

struct stream {
	struct tcp_connection connection;
	bool shut; /* all is sent */
	uint8_t answer[TCP_SINK_ANSWER];
	size_t answered;
};

struct streams {
	const struct tcp_load_options *options;
	struct stream *all;
	unsigned alive;
	int epoll;
	bool stopping, counting;
	uint64_t before; /* bytes, when counting began */
	uint64_t bytes;  /* that have arrived: back here, or, of the direction up, taken by a socket
			  */
	uint64_t wrong;
};

static void watch(struct streams *streams, struct stream *stream, int operation)
{
	bool writes = streams->options->direction != STREAM_DOWN && !stream->shut;
	struct epoll_event event = {.events = writes ? EPOLLIN | EPOLLOUT : EPOLLIN,
				    .data.ptr = stream};

	if (epoll_ctl(streams->epoll, operation, stream->connection.fd, &event) < 0)
		err(EXIT_FAILURE, "epoll_ctl");
}

static void write_some(struct streams *streams, struct stream *stream)
{
	const struct tcp_load_options *options = streams->options;

	for (size_t turn = 0; turn < TURN_BYTES; turn += options->size) {
		ssize_t sent =
			tcp_connection_send(&stream->connection, &options->payload, options->size);

		if (sent < 0)
			errx(EXIT_FAILURE, "send: %s", strerror((int)-sent));
		if (options->direction == STREAM_UP)
			streams->bytes += (uint64_t)sent;
		if ((size_t)sent < options->size)
			return;
	}
}

static uint64_t answer_of(const struct stream *stream)
{
	uint64_t right = 0;

	for (size_t i = 0; i < sizeof(stream->answer); i++)
		right = right << 8 | stream->answer[i];
	return right;
}

static bool ended_well(const struct streams *streams, const struct stream *stream)
{
	switch (streams->options->direction) {
	case STREAM_ECHO:
		return stream->shut && stream->connection.received == stream->connection.sent;
	case STREAM_UP:
		return stream->answered == sizeof(stream->answer) &&
		       answer_of(stream) == stream->connection.sent;
	case STREAM_DOWN:
		return stream->shut;
	}
	return false;
}

static void stream_end(struct streams *streams, struct stream *stream)
{
	if (!ended_well(streams, stream))
		streams->wrong++;
	close(stream->connection.fd);
	stream->connection.fd = -1;
	streams->alive--;
}

static void read_answer(struct streams *streams, struct stream *stream)
{
	ssize_t got = recv(stream->connection.fd, stream->answer + stream->answered,
			   sizeof(stream->answer) - stream->answered, 0);

	if (got > 0)
		stream->answered += (size_t)got;
	if (got == 0 || stream->answered == sizeof(stream->answer))
		stream_end(streams, stream);
	else if (got < 0 && errno != EAGAIN)
		err(EXIT_FAILURE, "recv");
}

static void read_some(struct streams *streams, struct stream *stream)
{
	ssize_t got;

	if (streams->options->direction == STREAM_UP) {
		read_answer(streams, stream);
		return;
	}
	got = tcp_connection_receive(&stream->connection, &streams->options->payload,
				     PAYLOAD_PIECE_MAX);
	if (got == -EBADMSG)
		errx(EXIT_FAILURE, "what came back is not what was sent");
	if (got < 0 && got != -EAGAIN)
		errx(EXIT_FAILURE, "receive: %s", strerror((int)-got));
	if (got > 0)
		streams->bytes += (uint64_t)got;
	if (got == 0)
		stream_end(streams, stream);
}

static void shut(struct streams *streams, struct stream *stream)
{
	shutdown(stream->connection.fd, SHUT_WR);
	stream->shut = true;
	watch(streams, stream, EPOLL_CTL_MOD);
	/* A source never ends by itself. */
	if (streams->options->direction == STREAM_DOWN)
		stream_end(streams, stream);
}

static void serve(struct streams *streams, struct stream *stream, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		read_some(streams, stream);
	if (stream->connection.fd >= 0 && !stream->shut && (events & EPOLLOUT))
		write_some(streams, stream);
}

/* However short the time that counts is, it lasts until bytes have arrived. */
static bool nothing_counts_yet(const struct streams *streams)
{
	return streams->counting && streams->bytes == streams->before;
}

static void run_until(struct streams *streams, int64_t end)
{
	struct epoll_event events[EVENTS];

	while (streams->alive > 0 &&
	       (streams->stopping || tcp_load_clock() < end || nothing_counts_yet(streams))) {
		int count = epoll_wait(streams->epoll, events, EVENTS, PATIENCE);

		if (count == 0)
			errx(EXIT_FAILURE, "nothing moves any more");
		for (int i = 0; i < count; i++)
			serve(streams, events[i].data.ptr, events[i].events);
	}
}

static void start(struct streams *streams)
{
	const struct tcp_load_options *options = streams->options;
	struct tcp_target target = options->target;

	streams->all = calloc(options->connections, sizeof(*streams->all));
	streams->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (streams->all == NULL || streams->epoll < 0)
		err(EXIT_FAILURE, "start");
	for (unsigned i = 0; i < options->connections; i++) {
		struct stream *stream = &streams->all[i];

		tcp_connection_open(&stream->connection, &target);
		/* Sends the header, and waits until whoever reads it is there. */
		tcp_connection_exchange(&stream->connection, &options->payload,
					options->direction == STREAM_ECHO ? 1 : 0);
		watch(streams, stream, EPOLL_CTL_ADD);
		streams->alive++;
	}
}

bool tcp_load_stream(const struct tcp_load_options *options)
{
	static struct streams streams;
	struct gate gate = {.waits = options->wait};
	uint64_t counted;
	int64_t began, took;

	streams.options = options;
	start(&streams);
	run_until(&streams, tcp_load_clock() + (int64_t)(options->warm_up * 1e9));
	while (!gate_is_open(&gate))
		run_until(&streams, tcp_load_clock() + TCP_LOAD_LOOK);
	streams.counting = true;
	streams.before = streams.bytes;
	began = tcp_load_clock();
	run_until(&streams, began + (int64_t)(options->seconds * 1e9));
	took = tcp_load_clock() - began;
	counted = streams.bytes - streams.before;

	streams.counting = false;
	streams.stopping = true;
	for (unsigned i = 0; i < options->connections; i++) {
		if (streams.all[i].connection.fd >= 0)
			shut(&streams, &streams.all[i]);
	}
	run_until(&streams, 0);
	printf("bytes=%" PRIu64 " seconds=%.3f connections=%u wrong=%" PRIu64 " total=%" PRIu64
	       "\n",
	       counted, (double)took / 1e9, options->connections, streams.wrong, streams.bytes);
	return streams.wrong == 0;
}
