/* SPDX-License-Identifier: MIT */
/*
 * DIAL: the connection to the upstream is on its way. What stood behind the header is sent as soon
 * as the socket takes it, which on the same host is at once.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "host/plugin_session.h"
#include "os/dial.h"
#include "os/sys.h"
#include "relay/dial_timeouts.h"
#include "relay/tcp_offload.h"
#include "relay/tcp_session.h"

static void dial_failed(struct tcp_session *session, enum close_reason reason, const char *step,
			int error)
{
	session->failed_step = step;
	session->error = error;
	if (reason == CLOSE_CONNECT_TIMEOUT && session->settings->dial_timeouts != NULL)
		dial_timeouts_tell(session->settings->dial_timeouts,
				   (enum address_family)session->client_address.family);
	if (session->plugins != NULL)
		plugin_session_connected(session->plugins, error < 0 ? error : -EADDRINUSE);
	tcp_session_close(session, reason);
}

/*
 * What a connection that was under way came to. A refusal is ECONNREFUSED; a reset means that it
 * was made, and ended by the upstream before anyone looked: what it said first must still be heard.
 */
static bool was_connected(int error)
{
	return error == 0 || error == -ECONNRESET || error == -EPIPE;
}

static void connect_failed(struct tcp_session *session, int error)
{
	enum close_reason reason = CLOSE_CONNECT_FAILED;

	if (error == -ECONNREFUSED)
		reason = CLOSE_CONNECT_REFUSED;
	else if (error == -ETIMEDOUT)
		reason = CLOSE_CONNECT_TIMEOUT;
	dial_failed(session, reason, "connect", error);
}

static void connected(struct tcp_session *session)
{
	struct relay *relay = session->relay;

	histogram_observe(&relay->dial_latency, relay->sys->clock() - session->step_began);
	session->upstream.writable = session->up.held == NULL || session->upstream.writable;
	timer_drop(&session->timer);
	if (session->plugins != NULL)
		plugin_session_connected(session->plugins, 0);
	tcp_relay_start(session);
}

/* Sends the payload at once if it can. Returns 0, or what became of the connection instead. */
static int send_payload(struct tcp_session *session, const uint8_t *payload, size_t length)
{
	int error;

	if (length == 0)
		return 0;
	error = stream_send(session->relay, &session->up, &session->upstream, payload, length);
	return error == -EPIPE ? session->upstream.error : error;
}

/* Returns false when the session is over. */
static bool watch_both(struct tcp_session *session, bool until_writable)
{
	struct tcp_end *client = &session->client;
	int error = client->watched ? 0 : tcp_session_watch(session, client, 0);

	if (error == 0)
		error = tcp_session_watch(session, &session->upstream,
					  until_writable ? EPOLLOUT : 0);
	if (error < 0)
		dial_failed(session, CLOSE_SYSTEM_ERROR, "epoll_ctl", error);
	return error == 0;
}

/* Larger ones are those of lo, cut down to half of the peer's first window: no bound of the path's.
 */
#define SEGMENT_MAX 16384

/* What the upstream sends must fit through the balancer's connection, should the kernel lead it
 * there. */
static uint16_t bound_segment(const struct tcp_session *session)
{
	uint16_t size = 0;

	if (session->offload_wanted)
		size = session->relay->sys->segment_size(session->client.fd);
	return size <= SEGMENT_MAX ? size : 0;
}

/* A port that the kernel has picked may be one that it carries a session of. */
#define PICKS_MAX 8

static void dial(struct tcp_session *session, const struct dial_request *request,
		 struct dial_result *result)
{
	struct relay *relay = session->relay;
	struct sockaddr_storage picked;
	struct address source;

	if (relay->datapath != NULL && request->source.port != 0)
		tcp_twin_end(relay, &request->source, &request->upstream);
	for (unsigned i = 0; i < PICKS_MAX; i++) {
		dial_tcp(relay->sys, request, result);
		if (result->fd < 0 || relay->datapath == NULL ||
		    !(result->port_conflict || result->port_privileged ||
		      request->source.port == 0) ||
		    relay->sys->local_address(result->fd, &picked) < 0)
			return;
		source = address_from_sockaddr(&picked);
		if (!tcp_twin_exists(relay, &source, &request->upstream))
			return;
		relay->sys->close(result->fd);
	}
	*result = (struct dial_result){.fd = -1, .reason = CLOSE_PORT_CONFLICT};
}

void tcp_dial_start(struct tcp_session *session, const uint8_t *payload, size_t length)
{
	const struct relay_settings *settings = session->settings;
	struct relay *relay = session->relay;
	struct dial_request request = {
		.source = session->client_address,
		.upstream = *relay_settings_forward(settings, session->client_address.family),
		.mark = settings->mark,
		.keep_port = settings->port_conflict == RELAY_PORT_CONFLICT_REFUSE,
		.user_timeout = settings->user_timeout,
		.keepalive = settings->keepalive,
	};
	struct dial_result result;
	bool sent;
	int error;

	session->state = TCP_DIAL;
	session->step_began = relay->sys->clock();
	session->offload_wanted = settings->offload && relay->datapath != NULL;
	request.segment = bound_segment(session);
	dial(session, &request, &result);
	relay_count_dial(relay, &result);
	if (result.fd < 0) {
		dial_failed(session, result.reason, result.step, result.error);
		return;
	}
	session->port_replaced =
		result.port_conflict || result.port_privileged || request.source.port == 0;
	session->upstream.fd = result.fd;
	error = send_payload(session, payload, length);
	if (error == -ENOMEM) {
		tcp_session_close(session, CLOSE_NO_MEMORY);
		return;
	}
	if (!was_connected(error)) {
		connect_failed(session, error);
		return;
	}
	/* A socket that took bytes is connected; one that took none tells when it is. */
	sent = session->up.bytes > 0;
	if (!watch_both(session, !sent || session->up.held != NULL))
		return;
	if (sent || error < 0) {
		connected(session);
		return;
	}
	loop_timer_set(&relay->loop, &session->timer, settings->connect_timeout);
}

void tcp_dial_ready(struct tcp_session *session)
{
	int error;

	if (tcp_session_close_if_left(session))
		return;
	if (!session->upstream.writable)
		return;
	error = session->relay->sys->socket_error(session->upstream.fd);
	if (was_connected(error)) {
		session->upstream.error = error;
		connected(session);
	} else {
		connect_failed(session, error);
	}
}

void tcp_dial_expired(struct tcp_session *session)
{
	dial_failed(session, CLOSE_CONNECT_TIMEOUT, "connect", -ETIMEDOUT);
}
