/* SPDX-License-Identifier: MIT */
/* RELAY and SETTLING of a session that is to go over to the kernel. */
#include "relay/tcp_offload.h"

#include <errno.h>
#include <stdlib.h>

#include "offload/datapath.h"
#include "os/socket.h"
#include "relay/relay.h"
#include "relay/tcp_handover.h"
#include "relay/tcp_session.h"

/* Moves of bytes before it is thought of: a short session costs nothing more. */
#define MOVES_BEFORE_BUFFERS 2
#define MOVES_BEFORE_WATCH   4

/*
 * What a socket may receive that is not read yet, in bytes: no more than the other end takes at
 * once.
 */
#define SMALL_BUFFER 131072

/* Milliseconds between tries, doubled each time; and those of the state that has a try in each. */
#define TRY_WAIT     1
#define SETTLE_TRIES 2 /* that failed before the session is made to settle */
#define SETTLE_TICKS 200

/* It stays what it is, and is not thought of again. */
static void stay(struct tcp_session *session, enum counter reason)
{
	struct relay *relay = session->relay;

	counter_add(&relay->counters, reason, 1);
	session->offload_never = true;
	if (session->small_buffers) {
		socket_free_receive_buffer(relay->sys, session->client.fd);
		socket_free_receive_buffer(relay->sys, session->upstream.fd);
	}
	if (session->offload != NULL)
		tcp_offload_forget(relay, session->offload);
	session->offload = NULL;
}

static enum counter reason_of(int error)
{
	switch (error) {
	case -EAFNOSUPPORT:
		return COUNTER_OFFLOAD_STAYED_FAMILY;
	case -E2BIG:
		return COUNTER_OFFLOAD_STAYED_FULL;
	default:
		return COUNTER_OFFLOAD_STAYED_ERROR;
	}
}

struct tcp_offload *tcp_offload_create(struct tcp_session *session,
				       const struct offload_record *record)
{
	struct tcp_offload *offload = calloc(1, sizeof(*offload));

	if (offload == NULL)
		return NULL;
	offload->id = session->id;
	offload->session = session;
	for (unsigned i = 0; i < 2; i++)
		offload->tuples[i] = record->legs[i].tuple;
	return offload;
}

/* 0 or -errno. */
static int observe(struct tcp_session *session)
{
	struct offload_record record;
	int error = tcp_handover_record(session, &record);

	if (error < 0)
		return error;
	session->offload = tcp_offload_create(session, &record);
	if (session->offload == NULL)
		return -ENOMEM;
	session->offload->wait = TRY_WAIT;
	session->offload->next = session->relay->loop.now + TRY_WAIT;
	return datapath_observe(session->relay->datapath, session->id, &record);
}

static void fix_buffers(struct tcp_session *session)
{
	socket_fix_receive_buffer(session->relay->sys, session->client.fd, SMALL_BUFFER);
	socket_fix_receive_buffer(session->relay->sys, session->upstream.fd, SMALL_BUFFER);
	session->small_buffers = true;
}

static void prepare(struct tcp_session *session)
{
	int error;

	if (session->port_replaced) {
		stay(session, COUNTER_OFFLOAD_STAYED_PORT);
		return;
	}
	session->moves++;
	if (session->moves == MOVES_BEFORE_BUFFERS)
		fix_buffers(session);
	if (session->moves < MOVES_BEFORE_WATCH)
		return;
	error = observe(session);
	if (error < 0)
		stay(session, reason_of(error));
}

void tcp_offload_consider(struct tcp_session *session)
{
	struct tcp_offload *offload = session->offload;
	uint64_t now = session->relay->loop.now;
	enum counter stays;

	if (!session->offload_wanted || session->offload_never)
		return;
	if (offload == NULL) {
		prepare(session);
		return;
	}
	if (now < offload->next)
		return;
	switch (tcp_handover_try(session, &stays)) {
	case 0:
		tcp_carried_begin(session);
		return;
	case -EOPNOTSUPP:
		stay(session, stays);
		return;
	default:
		break;
	}
	if (++offload->tries > SETTLE_TRIES) {
		offload->tries = 0;
		tcp_session_wait(session, TCP_SETTLING, TRY_WAIT);
		return;
	}
	offload->next = now + offload->wait;
	offload->wait *= 2;
}

/* It may be that packets of a leg do not pass the kernel's program at all. */
static enum counter why_busy(struct tcp_session *session)
{
	struct offload_session noted;

	if (datapath_look(session->relay->datapath, session->id, &noted) < 0)
		return COUNTER_OFFLOAD_STAYED_ERROR;
	for (unsigned i = 0; i < 2; i++)
		if (!(noted.legs[i].seen & OFFLOAD_SEEN_ANY))
			return COUNTER_OFFLOAD_STAYED_UNSEEN;
	return COUNTER_OFFLOAD_STAYED_BUSY;
}

/* A call that was told of an error leaves nothing for an event to tell. */
static bool is_broken(const struct tcp_end *end)
{
	return end->broken || end->error != 0;
}

void tcp_settling_expired(struct tcp_session *session)
{
	enum counter stays = COUNTER_OFFLOAD_STAYED_ENDING;
	int error = -EAGAIN;

	if (is_broken(&session->client) || is_broken(&session->upstream))
		error = -EOPNOTSUPP;
	else if (tcp_handover_settle(session))
		error = tcp_handover_try(session, &stays);
	if (error == -EAGAIN && ++session->offload->tries > SETTLE_TICKS) {
		stays = why_busy(session);
		error = -EOPNOTSUPP;
	}
	if (error == 0) {
		tcp_carried_begin(session);
	} else if (error == -EOPNOTSUPP) {
		stay(session, stays);
		tcp_relay_resume(session);
	} else {
		tcp_session_wait(session, TCP_SETTLING, TRY_WAIT);
	}
}
