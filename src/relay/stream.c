/* SPDX-License-Identifier: MIT */
/*
 * Moving bytes. Small messages are copied through the worker's hot buffer; a stream whose reads
 * keep filling that buffer goes through a pipe, which saves the copies and costs a call more.
 */
#include "relay/stream.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "os/log.h"
#include "os/sys.h"
#include "relay/chunk.h"
#include "relay/relay.h"

/* Bytes a stream may move before it lets others have a turn. */
#define TURN_BYTES ((size_t)512 * 1024)

/* Full reads in a row after which a stream is spliced, and small moves after which it is not. */
#define SPLICE_AFTER_FULL_READS 3
#define COPY_AFTER_SMALL_MOVES  4
#define SPLICE_SMALL_MOVE       16384

void tcp_end_note_events(struct tcp_end *end, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLHUP | EPOLLERR))
		end->readable = true;
	if (events & (EPOLLRDHUP | EPOLLPRI | EPOLLHUP | EPOLLERR))
		end->probe = true;
	/* A hang-up alone means that both directions have been shut in order. */
	if (events & EPOLLERR)
		end->broken = true;
	if (events & EPOLLPRI)
		end->no_splice = true;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		end->writable = true;
}

/* Asks to hear when the end can be written again. Returns 0 or -errno. */
static int tcp_end_watch_out(struct relay *relay, struct tcp_end *end)
{
	int error;

	/* One that is not watched yet will be, for writing too: tcp_session_watch(). */
	if (end->watches_out || !end->watched)
		return 0;
	error = loop_rewatch(&relay->loop, end->fd,
			     EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLOUT | EPOLLET, &end->source);
	end->watches_out = error == 0;
	return error;
}

static void keep_error(struct tcp_end *end, ssize_t error)
{
	if (end->error == 0)
		end->error = (int)error;
}

/* The sink takes no more for now: ask to be told. */
static enum stream_state sink_blocked(struct relay *relay, struct tcp_end *sink)
{
	int error;

	sink->writable = false;
	error = tcp_end_watch_out(relay, sink);
	if (error < 0) {
		keep_error(sink, error);
		return STREAM_SINK_DEAD;
	}
	return STREAM_BLOCKED;
}

static enum stream_state sink_failed(struct relay *relay, struct tcp_end *sink, ssize_t error)
{
	if (error == -EAGAIN)
		return sink_blocked(relay, sink);
	keep_error(sink, error);
	return STREAM_SINK_DEAD;
}

/* At once, not when the session ends: a download of hours would be seen as one leap. */
void stream_count(struct relay *relay, struct stream *stream, size_t bytes)
{
	stream->bytes += bytes;
	counter_add(&relay->counters,
		    stream->to_client ? COUNTER_BYTES_FROM_UPSTREAM : COUNTER_BYTES_FROM_CLIENT,
		    bytes);
}

static enum stream_state flush_held(struct relay *relay, struct stream *stream,
				    struct tcp_end *sink)
{
	struct chunk *held = stream->held;

	while (held->start < held->end) {
		ssize_t sent = relay->sys->send(sink->fd, held->bytes + held->start,
						held->end - held->start);

		if (sent == -EINTR)
			continue;
		if (sent < 0)
			return sink_failed(relay, sink, sent);
		held->start += (size_t)sent;
		stream_count(relay, stream, (size_t)sent);
	}
	free(held);
	stream->held = NULL;
	return STREAM_IDLE;
}

static enum stream_state flush_pipe(struct relay *relay, struct stream *stream,
				    struct tcp_end *sink)
{
	struct pipe *pipe = stream->pipe;

	while (pipe->length > 0) {
		ssize_t moved = relay->sys->splice(pipe->read_end, sink->fd, pipe->length);

		if (moved == -EINTR)
			continue;
		if (moved < 0)
			return sink_failed(relay, sink, moved);
		/* A full pipe that gives nothing would spin: the kernel does not do this. */
		if (moved == 0)
			return sink_failed(relay, sink, -EPIPE);
		pipe->length -= (size_t)moved;
		stream_count(relay, stream, (size_t)moved);
	}
	return STREAM_IDLE;
}

/* Writes what is held and reads nothing. */
static enum stream_state stream_flush(struct relay *relay, struct stream *stream,
				      struct tcp_end *sink)
{
	bool pending = stream->held != NULL || (stream->pipe != NULL && stream->pipe->length > 0);
	enum stream_state state = STREAM_IDLE;

	if (!pending)
		return STREAM_IDLE;
	if (!sink->writable)
		return STREAM_BLOCKED;
	/* What is held was read before the pipe was filled. */
	if (stream->held != NULL)
		state = flush_held(relay, stream, sink);
	if (state == STREAM_IDLE && stream->pipe != NULL)
		state = flush_pipe(relay, stream, sink);
	return state;
}

int stream_send(struct relay *relay, struct stream *stream, struct tcp_end *sink,
		const uint8_t *bytes, size_t length)
{
	size_t sent_all = 0;

	while (sent_all < length) {
		ssize_t sent = relay->sys->send(sink->fd, bytes + sent_all, length - sent_all);

		if (sent == -EINTR)
			continue;
		if (sent < 0) {
			if (sink_failed(relay, sink, sent) == STREAM_SINK_DEAD)
				return -EPIPE;
			break;
		}
		sent_all += (size_t)sent;
		stream_count(relay, stream, (size_t)sent);
	}
	if (sent_all == length)
		return 0;
	stream->held = chunk_create(bytes + sent_all, length - sent_all, length - sent_all);
	return stream->held != NULL ? 0 : -ENOMEM;
}

/* After a read that returned 0 or less. */
static void source_stopped(struct stream *stream, struct tcp_end *source, ssize_t result)
{
	if (result == 0) {
		/* An error that another call was told of has left a plain end to this one. */
		stream->broken = source->error != 0;
		stream->eof = !stream->broken;
	} else if (result == -EAGAIN) {
		source->readable = false;
		source->probe = false;
	} else if (result != -EINTR) {
		stream->broken = true;
		keep_error(source, result);
	}
}

static enum stream_state copy_once(struct relay *relay, struct stream *stream,
				   struct tcp_end *source, struct tcp_end *sink, size_t *moved)
{
	ssize_t length = relay->sys->recv(source->fd, relay->hot, RELAY_HOT_SIZE);
	int error;

	if (length <= 0) {
		source_stopped(stream, source, length);
		return STREAM_IDLE;
	}
	*moved = (size_t)length;
	if (length < RELAY_HOT_SIZE) {
		stream->full_reads = 0;
		/* The socket is empty: spare the call that would only say so. */
		if (!source->probe)
			source->readable = false;
	} else if (++stream->full_reads >= SPLICE_AFTER_FULL_READS) {
		stream->splicing = !source->no_splice && !relay->without_splice;
		stream->full_reads = 0;
		stream->small_moves = 0;
	}
	error = stream_send(relay, stream, sink, relay->hot, (size_t)length);
	if (error == -ENOMEM)
		keep_error(sink, error);
	return error < 0 ? STREAM_SINK_DEAD : STREAM_IDLE;
}

/*
 * A splice() that failed without saying anything about the connection. Where there is none, or a
 * filter of system calls forbids it, it is not tried again.
 */
static bool splice_refused(struct relay *relay, ssize_t error)
{
	static atomic_flag told = ATOMIC_FLAG_INIT;

	switch (error) {
	case -EINVAL:
	case -ENOMEM:
		return true;
	case -ENOSYS:
	case -EPERM:
		relay->without_splice = true;
		if (!atomic_flag_test_and_set(&told))
			log_info("relay", "no splice() here: all bytes are copied",
				 LOG_ERRNO("error", (int)error));
		return true;
	default:
		return false;
	}
}

static enum stream_state splice_once(struct relay *relay, struct stream *stream,
				     struct tcp_end *source, struct tcp_end *sink, size_t *moved)
{
	ssize_t length;

	if (source->no_splice) {
		stream->splicing = false;
		return STREAM_IDLE;
	}
	if (stream->pipe == NULL) {
		stream->pipe = pipe_pool_take(&relay->pipes);
		if (stream->pipe == NULL) {
			counter_add(&relay->counters, COUNTER_PIPES_MISSING, 1);
			stream->splicing = false;
			return STREAM_IDLE;
		}
	}
	length = relay->sys->splice(source->fd, stream->pipe->write_end, stream->pipe->size);
	if (length == -EAGAIN || length == -EINTR) {
		/* The pipe is empty here, so the socket is, or urgent data stands next in it: of
		 * that an EPOLLPRI tells. */
		source_stopped(stream, source, length);
		return STREAM_IDLE;
	}
	if (length <= 0) {
		/* Also what splice() says before urgent data: recv() knows whether it is the end.
		 */
		if (length < 0 && !splice_refused(relay, length))
			keep_error(source, length);
		stream->splicing = false;
		return STREAM_IDLE;
	}
	*moved = (size_t)length;
	stream->pipe->length = (size_t)length;
	if (length >= SPLICE_SMALL_MOVE)
		stream->small_moves = 0;
	else if (++stream->small_moves >= COPY_AFTER_SMALL_MOVES)
		stream->splicing = false;
	return flush_pipe(relay, stream, sink);
}

static enum stream_state pump_turn(struct relay *relay, struct stream *stream,
				   struct tcp_end *source, struct tcp_end *sink)
{
	size_t moved_in_turn = 0;

	while (moved_in_turn < TURN_BYTES) {
		enum stream_state state = stream_flush(relay, stream, sink);
		size_t moved = 0;

		if (state != STREAM_IDLE)
			return state;
		if (stream->eof)
			return STREAM_END;
		if (stream->broken)
			return STREAM_SOURCE_DEAD;
		if (!source->readable)
			return STREAM_IDLE;
		if (stream->splicing)
			state = splice_once(relay, stream, source, sink, &moved);
		else
			state = copy_once(relay, stream, source, sink, &moved);
		if (state == STREAM_SINK_DEAD)
			return state;
		moved_in_turn += moved;
	}
	return STREAM_AGAIN;
}

enum stream_state stream_pump(struct relay *relay, struct stream *stream, struct tcp_end *source,
			      struct tcp_end *sink)
{
	enum stream_state state = pump_turn(relay, stream, source, sink);

	/* An idle stream owns no pipe. */
	if (stream->pipe != NULL && stream->pipe->length == 0) {
		pipe_pool_give_back(&relay->pipes, stream->pipe);
		stream->pipe = NULL;
	}
	return state;
}

void stream_discard(struct relay *relay, struct stream *stream)
{
	free(stream->held);
	stream->held = NULL;
	if (stream->pipe != NULL)
		pipe_pool_give_back(&relay->pipes, stream->pipe);
	stream->pipe = NULL;
}
