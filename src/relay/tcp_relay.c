/* SPDX-License-Identifier: MIT */
/*
 * RELAY: both streams move; the end of one is passed on as a half-close, and when both have ended
 * the session has. RESETTING: one end is dead; what was read from it still goes to the other, and
 * only when that has acknowledged everything is the reset passed on, since a reset destroys what is
 * on its way.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include "os/sys.h"
#include "relay/tcp_offload.h"
#include "relay/tcp_session.h"

/* RESETTING: milliseconds between looks at what is unacknowledged; nothing reports that it is gone.
 */
#define RESET_WAIT_FIRST 1
#define RESET_WAIT_MAX   100
/* A reset is held back no longer than this for a reader that takes nothing; milliseconds. */
#define RESET_LIMIT 30000

static void reset_advance(struct tcp_session *session);

static enum close_reason death_reason(bool client, int error)
{
	switch (error) {
	case -ECONNRESET:
	case -EPIPE:
		return client ? CLOSE_CLIENT_RESET : CLOSE_UPSTREAM_RESET;
	case -ENOMEM:
		return CLOSE_NO_MEMORY;
	case -ETIMEDOUT:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
		return client ? CLOSE_CLIENT_UNRESPONSIVE : CLOSE_UPSTREAM_UNRESPONSIVE;
	default:
		return CLOSE_SYSTEM_ERROR;
	}
}

static void reset_begin(struct tcp_session *session, struct tcp_end *died)
{
	session->state = TCP_RESETTING;
	session->client_died = died == &session->client;
	if (death_reason(session->client_died, died->error) == CLOSE_SYSTEM_ERROR)
		session->error = died->error;
	session->last_active = session->relay->loop.now;
	session->reset_unsent = 0;
	session->reset_wait = RESET_WAIT_FIRST;
	stream_discard(session->relay, session->client_died ? &session->down : &session->up);
	/* Bytes that came before the reset can still be read. */
	died->readable = died->probe = true;
	reset_advance(session);
}

static void reset_wait_for(struct tcp_session *session, uint64_t milliseconds)
{
	loop_timer_set(&session->relay->loop, &session->timer, milliseconds);
}

/* Everything that was read has been sent: has it been acknowledged? */
static void reset_await_acknowledgements(struct tcp_session *session, struct tcp_end *survivor,
					 enum close_reason reason)
{
	const struct sys *sys = session->relay->sys;
	int unsent = sys->unsent(survivor->fd);

	if (unsent <= 0 || (survivor->broken && sys->socket_error(survivor->fd) < 0)) {
		tcp_session_close(session, reason);
		return;
	}
	if (unsent != session->reset_unsent)
		session->last_active = session->relay->loop.now;
	session->reset_unsent = unsent;
	reset_wait_for(session, session->reset_wait);
	if (session->reset_wait < RESET_WAIT_MAX)
		session->reset_wait *= 2;
}

static void reset_advance(struct tcp_session *session)
{
	struct tcp_end *died = session->client_died ? &session->client : &session->upstream;
	struct tcp_end *survivor = session->client_died ? &session->upstream : &session->client;
	struct stream *stream = session->client_died ? &session->up : &session->down;
	enum close_reason reason = death_reason(session->client_died, died->error);
	uint64_t moved_before = stream->bytes;
	enum stream_state state = stream_pump(session->relay, stream, died, survivor);

	if (stream->bytes != moved_before)
		session->last_active = session->relay->loop.now;
	switch (state) {
	case STREAM_AGAIN:
		loop_defer(&session->relay->loop, &session->task);
		break;
	case STREAM_BLOCKED:
		/* Counted from the last progress: an event alone gives no more time. */
		reset_wait_for(session,
			       session->last_active + RESET_LIMIT - session->relay->loop.now);
		break;
	case STREAM_SINK_DEAD:
		tcp_session_close(session, reason);
		break;
	case STREAM_IDLE:
	case STREAM_END:
	case STREAM_SOURCE_DEAD:
		reset_await_acknowledgements(session, survivor, reason);
		break;
	}
}

/* Returns false when the session has left RELAY. */
static bool advance_stream(struct tcp_session *session, struct stream *stream,
			   struct tcp_end *source, struct tcp_end *sink)
{
	struct relay *relay = session->relay;

	if (stream->finished)
		return true;
	switch (stream_pump(relay, stream, source, sink)) {
	case STREAM_IDLE:
	case STREAM_BLOCKED:
		break;
	case STREAM_AGAIN:
		loop_defer(&relay->loop, &session->task);
		break;
	case STREAM_END:
		stream->finished = true;
		/* When both have ended, the close that follows tells the sink. */
		if (session->up.finished && session->down.finished)
			break;
		if (relay->sys->shutdown_write(sink->fd) == 0)
			break;
		/* A sink that can't be told has been reset since it took the last byte. */
		sink->error = -ECONNRESET;
		reset_begin(session, sink);
		return false;
	case STREAM_SOURCE_DEAD:
		reset_begin(session, source);
		return false;
	case STREAM_SINK_DEAD:
		reset_begin(session, sink);
		return false;
	}
	return true;
}

/*
 * A reset shows in the next read, but an end is not read while the other is blocked, nor after its
 * FIN. Returns false when the session has left RELAY.
 */
static bool notice_reset(struct tcp_session *session, struct tcp_end *end)
{
	int error;

	if (!end->broken)
		return true;
	end->broken = false;
	error = session->relay->sys->socket_error(end->fd);
	if (error == 0)
		return true;
	end->error = error;
	reset_begin(session, end);
	return false;
}

/*
 * Every session with bytes on their way is looked at twice in a user timeout, and idle ones as
 * their timeout demands; one with neither has no timer.
 */
static void arm_timer(struct tcp_session *session, bool delivering)
{
	const struct relay_settings *settings = session->settings;
	uint64_t now = session->relay->loop.now, wait = UINT64_MAX;

	if (delivering && settings->user_timeout > 0)
		wait = settings->user_timeout / 2;
	if (settings->idle_timeout > 0) {
		uint64_t idle = now - session->last_active;
		uint64_t left = idle < settings->idle_timeout ? settings->idle_timeout - idle : 0;

		if (left < wait)
			wait = left;
	}
	if (wait != UINT64_MAX)
		loop_timer_set(&session->relay->loop, &session->timer, wait);
}

static void note_progress(struct tcp_session *session)
{
	uint32_t user_timeout = session->settings->user_timeout;

	session->last_active = session->relay->loop.now;
	if (user_timeout > 0 &&
	    (!timer_is_set(&session->timer) ||
	     session->timer.deadline > session->last_active + user_timeout / 2 + 1))
		arm_timer(session, true);
}

static void relay_advance(struct tcp_session *session)
{
	uint64_t moved_before = session->up.bytes + session->down.bytes;

	if (!advance_stream(session, &session->up, &session->client, &session->upstream) ||
	    !advance_stream(session, &session->down, &session->upstream, &session->client))
		return;
	if (!notice_reset(session, &session->client) || !notice_reset(session, &session->upstream))
		return;
	if (session->up.finished && session->down.finished) {
		tcp_session_close(session, CLOSE_FINISHED);
		return;
	}
	if (session->up.bytes + session->down.bytes == moved_before)
		return;
	note_progress(session);
	if (session->offload_wanted)
		tcp_offload_consider(session);
}

void tcp_relay_advance(struct tcp_session *session)
{
	if (session->state == TCP_RELAY)
		relay_advance(session);
	else if (session->state == TCP_RESETTING)
		reset_advance(session);
}

void tcp_relay_resume(struct tcp_session *session)
{
	struct tcp_end *ends[] = {&session->client, &session->upstream};

	for (unsigned i = 0; i < 2; i++)
		ends[i]->readable = ends[i]->writable = ends[i]->probe = true;
	session->state = TCP_RELAY;
	arm_timer(session, true);
	relay_advance(session);
}

void tcp_relay_start(struct tcp_session *session)
{
	counter_add(&session->relay->counters, COUNTER_SESSIONS_RELAYED, 1);
	session->state = TCP_RELAY;
	session->last_active = session->relay->loop.now;
	if (session->upstream.error != 0) {
		reset_begin(session, &session->upstream);
		return;
	}
	arm_timer(session, session->up.bytes > 0);
	relay_advance(session);
}

/*
 * TCP_USER_TIMEOUT ends connections whose peer acknowledges nothing, and also those whose peer is
 * alive but has closed its window: a reader that merely stopped reading. Here only the first is
 * dead. While the window is closed the kernel's timeout is off, and the peer is judged by whether
 * it answers window probes.
 *
 * Returns whether bytes are still on their way; sets end->error when the peer is dead.
 */
static bool judge_delivery(struct tcp_session *session, struct tcp_end *end)
{
	const struct sys *sys = session->relay->sys;
	uint32_t user_timeout = session->settings->user_timeout;
	struct tcp_info info;
	bool delivering = sys->unsent(end->fd) > 0, window_closed;

	if ((!delivering && !end->patient) || sys->tcp_info(end->fd, &info) < 0)
		return delivering;
	window_closed = delivering && (info.tcpi_unacked == 0 || info.tcpi_snd_wnd == 0);
	if (window_closed != end->patient) {
		end->patient = window_closed;
		sys->set_option(end->fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
				window_closed ? 0 : (int)user_timeout);
	} else if (end->patient && info.tcpi_last_ack_recv > user_timeout &&
		   (info.tcpi_probes >= 2 || info.tcpi_retransmits >= 2)) {
		end->error = -ETIMEDOUT;
	}
	return delivering;
}

static void relay_expired(struct tcp_session *session)
{
	const struct relay_settings *settings = session->settings;
	bool delivering = false;

	if (settings->idle_timeout > 0 &&
	    session->relay->loop.heard >= session->last_active + settings->idle_timeout) {
		tcp_session_close(session, CLOSE_IDLE_TIMEOUT);
		return;
	}
	if (settings->user_timeout > 0) {
		delivering = judge_delivery(session, &session->client);
		delivering |= judge_delivery(session, &session->upstream);
		if (session->client.error != 0) {
			reset_begin(session, &session->client);
			return;
		}
		if (session->upstream.error != 0) {
			reset_begin(session, &session->upstream);
			return;
		}
	}
	arm_timer(session, delivering);
}

void tcp_relay_expired(struct tcp_session *session)
{
	if (session->state == TCP_RELAY) {
		relay_expired(session);
		return;
	}
	/* First, as it may find that the reader has taken something meanwhile. */
	reset_advance(session);
	if (session->state == TCP_RESETTING &&
	    session->relay->loop.now - session->last_active >= RESET_LIMIT)
		tcp_session_close(session,
				  death_reason(session->client_died,
					       session->client_died ? session->client.error
								    : session->upstream.error));
}
