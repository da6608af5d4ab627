/* SPDX-License-Identifier: MIT */
/*
 * HEADER: the balancer speaks first. Its bytes are read through the hot buffer; only a header that
 * comes in pieces makes the session hold memory.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/source_policy.h"
#include "os/sys.h"
#include "relay/chunk.h"
#include "relay/client_counts.h"
#include "relay/header_queue.h"
#include "relay/session_log.h"
#include "relay/tcp_session.h"
#include "wire/proxy_header.h"

/* Room for any v1 line and most v2 headers. */
#define FIRST_CHUNK_SIZE 256

void tcp_header_start(struct tcp_session *session)
{
	loop_timer_set(&session->relay->loop, &session->timer, session->settings->header_timeout);
	tcp_header_client_ready(session);
}

/* `client` is NULL where the header did not get as far as naming one. */
static void refuse(struct tcp_session *session, enum close_reason reason,
		   const struct address *client, const uint8_t *bytes, size_t length)
{
	session_log_refusal(session->relay, session->settings, reason, &session->balancer, client,
			    bytes, length);
	tcp_session_close(session, reason);
}

static void refuse_unfinished(struct tcp_session *session, enum close_reason reason)
{
	const struct chunk *held = session->up.held;

	refuse(session, reason, NULL, held != NULL ? held->bytes : NULL,
	       held != NULL ? held->end : 0);
}

void tcp_header_evicted(struct tcp_session *session)
{
	refuse_unfinished(session, CLOSE_HEADER_EVICTED);
}

static void count_header(struct tcp_session *session, const struct proxy_header *header)
{
	struct relay *relay = session->relay;
	struct counter_set *counters = &relay->counters;

	histogram_observe(&relay->header_latency, relay->sys->clock() - session->step_began);
	counter_add(counters,
		    header->version == PROXY_VERSION_1 ? COUNTER_HEADERS_V1 : COUNTER_HEADERS_V2,
		    1);
	if (header->local)
		counter_add(counters, COUNTER_HEADERS_LOCAL, 1);
	else if (header->source.port == 0)
		counter_add(counters, COUNTER_CLIENT_PORT_ZERO, 1);
}

/* May the client have one more session? If not, this one is over. */
static bool count_client(struct tcp_session *session, const uint8_t *bytes, size_t length)
{
	unsigned limit = session->settings->max_sessions_per_client;
	int error;

	/* The balancer's own sessions, its health checks, are no client's. */
	if (limit == 0 || session->header_local)
		return true;
	error = client_counts_take(session->relay->client_counts, session->listener_budget,
				   &session->client_address, limit, &session->client_count);
	if (error == -EDQUOT)
		refuse(session, CLOSE_CLIENT_LIMIT, &session->client_address, bytes, length);
	else if (error < 0)
		tcp_session_close(session, CLOSE_NO_MEMORY);
	return error == 0;
}

/* The header is whole and sound: now its client is judged. */
static void header_complete(struct tcp_session *session, const struct proxy_header *header,
			    const uint8_t *bytes, size_t length)
{
	const struct relay_settings *settings = session->settings;
	enum close_reason reason;

	header_queue_leave(session);
	count_header(session, header);
	session->header_version = header->version;
	session->header_local = header->local;
	if (!header->local) {
		if (!source_policy_permits(&header->source, settings->permit_sources,
					   &session->relay->own_addresses->own, &reason)) {
			refuse(session, reason, &header->source, bytes, length);
			return;
		}
		session->client_address = header->source;
		session->destination_address = header->destination;
	}
	if (relay_settings_forward(settings, session->client_address.family)->family ==
	    ADDRESS_NONE) {
		tcp_session_close(session, session->client_address.family == ADDRESS_IPV4
						   ? CLOSE_NO_FORWARD_IPV4
						   : CLOSE_NO_FORWARD_IPV6);
		return;
	}
	if (!count_client(session, bytes, length))
		return;
	timer_drop(&session->timer);
	tcp_verdict_start(session, header, bytes + header->length, length - header->length);
}

/* The room that the rest of this header may need: `length` bytes of it are known. */
static size_t wanted_capacity(const uint8_t *bytes, size_t length)
{
	if (bytes[0] == 'P' || length < PROXY_V2_FIXED_LENGTH)
		return FIRST_CHUNK_SIZE;
	return PROXY_V2_FIXED_LENGTH + ((size_t)bytes[14] << 8 | bytes[15]);
}

/* Keeps the start of a header until the rest comes. Returns 0 or -ENOMEM. */
static int keep_header_bytes(struct stream *stream, const uint8_t *bytes, size_t length)
{
	size_t capacity = wanted_capacity(bytes, length);

	if (stream->held != NULL)
		return chunk_grow(&stream->held, capacity);
	if (capacity < length)
		capacity = length;
	stream->held = chunk_create(bytes, length, capacity);
	return stream->held != NULL ? 0 : -ENOMEM;
}

static void judge_bytes(struct tcp_session *session, const uint8_t *bytes, size_t length)
{
	struct proxy_header header;
	enum close_reason reason;

	switch (proxy_header_parse(bytes, length, session->settings->max_header,
				   PROXY_TRANSPORT_STREAM, &header, &reason)) {
	case PROXY_PARSE_MORE:
		if (keep_header_bytes(&session->up, bytes, length) < 0)
			tcp_session_close(session, CLOSE_NO_MEMORY);
		break;
	case PROXY_PARSE_BAD:
		refuse(session, reason, NULL, bytes, length);
		break;
	case PROXY_PARSE_OK: {
		struct chunk *held = session->up.held;

		/* Out of the stream: what stands behind the header is handed on as payload. */
		session->up.held = NULL;
		header_complete(session, &header, bytes, length);
		free(held);
		break;
	}
	}
}

/* The balancer left, or its connection broke, before the header was whole. */
static void balancer_left(struct tcp_session *session)
{
	const struct chunk *held = session->up.held;

	if (held == NULL)
		tcp_session_close(session, CLOSE_EMPTY);
	else
		refuse(session, CLOSE_HEADER_TRUNCATED, NULL, held->bytes, held->end);
}

void tcp_header_client_ready(struct tcp_session *session)
{
	struct tcp_end *client = &session->client;
	struct relay *relay = session->relay;

	while (session->state == TCP_HEADER) {
		struct chunk *held = session->up.held;
		uint8_t *to = held != NULL ? held->bytes + held->end : relay->hot;
		size_t room = held != NULL ? held->capacity - held->end : RELAY_HOT_SIZE;
		ssize_t length = relay->sys->recv(client->fd, to, room);

		if (length == -EINTR)
			continue;
		if (length == -EAGAIN) {
			client->readable = client->probe = false;
			if (client->watched)
				return;
			if (tcp_session_watch(session, client, 0) < 0)
				tcp_session_close(session, CLOSE_SYSTEM_ERROR);
			else
				header_queue_enter(session);
			return;
		}
		if (length <= 0) {
			balancer_left(session);
			return;
		}
		/* Remembered for the relay, which reads on where this ends. */
		client->readable = (size_t)length == room || client->probe;
		if (held == NULL) {
			judge_bytes(session, relay->hot, (size_t)length);
		} else {
			held->end += (size_t)length;
			judge_bytes(session, held->bytes, held->end);
		}
	}
}

void tcp_header_expired(struct tcp_session *session)
{
	refuse_unfinished(session, session->up.held != NULL ? CLOSE_HEADER_TIMEOUT
							    : CLOSE_HEADER_TIMEOUT_EMPTY);
}
