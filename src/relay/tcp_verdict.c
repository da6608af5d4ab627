/* SPDX-License-Identifier: MIT */
/*
 * VERDICT: the listener's plugins are asked. Most answer at once; while one takes its time, what
 * stood behind the header is held, and what the client sends meanwhile stays in its socket.
 */
#include <errno.h>
#include <stdlib.h>

#include "host/plugin_session.h"
#include "os/sys.h"
#include "relay/chunk.h"
#include "relay/session_plugins.h"
#include "relay/tcp_session.h"
#include "wire/proxy_header.h"

/* Reads, of up to RELAY_HOT_SIZE bytes each, that a refused client's bytes are worth. */
#define DISCARD_READS 16

/*
 * Closing a socket that holds unread bytes sends a reset, which an orderly refusal is not: what has
 * arrived is read. What is still on its way may yet be answered with one.
 */
static void discard_unread(struct tcp_session *session)
{
	struct relay *relay = session->relay;

	for (unsigned i = 0; i < DISCARD_READS; i++) {
		if (relay->sys->recv(session->client.fd, relay->hot, RELAY_HOT_SIZE) <= 0)
			break;
	}
}

static void refused(struct tcp_session *session)
{
	enum close_reason reason = plugin_session_refusal(session->plugins).reason;

	session_plugins_log_refusal(session->relay, session->settings, session->plugins,
				    &session->balancer, &session->client_address);
	if (reason != CLOSE_PLUGIN_RESET)
		discard_unread(session);
	tcp_session_close(session, reason);
}

/* The verdict that was awaited: never from within an event of the session. */
static void decided(void *owner, enum plugin_ruling ruling)
{
	struct tcp_session *session = owner;
	struct chunk *held = session->up.held;

	if (ruling != PLUGIN_PASSED) {
		refused(session);
		return;
	}
	/* Out of the stream, as after the header. */
	session->up.held = NULL;
	if (held != NULL)
		tcp_dial_start(session, held->bytes, held->end);
	else
		tcp_dial_start(session, NULL, 0);
	free(held);
}

static struct plugin_session_facts facts_of(const struct tcp_session *session)
{
	const struct relay_settings *settings = session->settings;

	return (struct plugin_session_facts){
		.id = session->id,
		.started = session->started,
		.listener = settings->listener_name,
		.client = session->client_address,
		.destination = session->destination_address,
		.balancer = session->balancer,
		.upstream = *relay_settings_forward(settings, session->client_address.family),
		.protocol = MMPROXY_PROTOCOL_TCP,
		.header = session->header_version,
		.local = session->header_local,
	};
}

static struct plugin_session *ask(struct tcp_session *session, const struct proxy_header *header)
{
	struct plugin_session_facts facts = facts_of(session);

	facts.tlvs = header->tlvs;
	facts.tlvs_length = header->tlvs_length;
	return plugin_session_create(session->settings->plugins, session->relay->tickets, &facts,
				     decided, session);
}

int tcp_verdict_adopt(struct tcp_session *session)
{
	const struct plugin_session_facts facts = facts_of(session);

	if (session->settings->plugins == NULL)
		return 0;
	session->plugins =
		plugin_session_adopt(session->settings->plugins, session->relay->tickets, &facts);
	return session->plugins != NULL ? 0 : -ENOMEM;
}

/* Holds what stood behind the header, and watches for a client that does not wait. */
static void await(struct tcp_session *session, const uint8_t *payload, size_t length)
{
	if (length > 0) {
		session->up.held = chunk_create(payload, length, length);
		if (session->up.held == NULL) {
			tcp_session_close(session, CLOSE_NO_MEMORY);
			return;
		}
	}
	if (!session->client.watched && tcp_session_watch(session, &session->client, 0) < 0)
		tcp_session_close(session, CLOSE_SYSTEM_ERROR);
}

void tcp_verdict_start(struct tcp_session *session, const struct proxy_header *header,
		       const uint8_t *payload, size_t length)
{
	if (session->settings->plugins == NULL) {
		tcp_dial_start(session, payload, length);
		return;
	}
	session->state = TCP_VERDICT;
	session->plugins = ask(session, header);
	if (session->plugins == NULL) {
		tcp_session_close(session, CLOSE_NO_MEMORY);
		return;
	}
	switch (plugin_session_judge(session->plugins)) {
	case PLUGIN_PASSED:
		tcp_dial_start(session, payload, length);
		break;
	case PLUGIN_REFUSED:
		refused(session);
		break;
	case PLUGIN_AWAITED:
		await(session, payload, length);
		break;
	}
}

void tcp_verdict_client_ready(struct tcp_session *session)
{
	tcp_session_close_if_left(session);
}
