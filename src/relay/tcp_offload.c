/* SPDX-License-Identifier: MIT */
/* Sessions that the kernel carries: their way there, their looks, their end. */
#include "relay/tcp_offload.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include "offload/datapath.h"
#include "os/socket.h"
#include "os/sys.h"
#include "relay/budget.h"
#include "relay/relay.h"
#include "relay/tcp.h"
#include "relay/tcp_handover.h"
#include "relay/tcp_listener.h"
#include "relay/tcp_session.h"

/* Moves of bytes before it is thought of: a short session costs nothing more. */
#define MOVES_BEFORE_BUFFERS 2
#define MOVES_BEFORE_WATCH   4

/*
 * What a socket may receive that is not read yet, in bytes: no more than the other end takes at
 * once.
 */
#define SMALL_BUFFER 131072

/* Milliseconds between tries, doubled each time; and of the state that lasts longest. */
#define TRY_WAIT_FIRST 1
#define TRY_WAIT_MAX   1000
#define SETTLE_TRIES   2 /* that failed before the session is made to settle */
#define SETTLE_TICKS   200
#define LOOK_WAIT_MAX  100

/* Between looks at an offloaded session: what it moves is counted then, and lost ends are found. */
#define LOOK_INTERVAL 5000

/* For so long after the end late packets are still led to where they belong. */
#define LINGER_TIME 10000

/* As socket_set_liveness() has it. */
#define PROBE_INTERVAL 10000
#define PROBES_MAX     3

static int compare_ids(const void *left, const void *right)
{
	const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static void release(struct relay *relay, struct tcp_offload *offload)
{
	datapath_forget(relay->datapath, offload->id, offload->tuples);
	free(offload);
}

static void release_due(struct timer *timer)
{
	struct relay *relay = container_of(timer, struct relay, offload_timer);

	while (!list_empty(&relay->offloads_ended)) {
		struct tcp_offload *offload =
			container_of(relay->offloads_ended.next, struct tcp_offload, link);

		if (offload->next > relay->loop.now) {
			loop_timer_set(&relay->loop, timer, offload->next - relay->loop.now);
			return;
		}
		list_remove(&offload->link);
		release(relay, offload);
	}
}

void tcp_offload_init(struct relay *relay)
{
	list_init(&relay->offloads_ended);
	timer_init(&relay->offload_timer, release_due);
}

void tcp_offload_finish(struct relay *relay)
{
	timer_drop(&relay->offload_timer);
	while (!list_empty(&relay->offloads_ended)) {
		struct tcp_offload *offload =
			container_of(relay->offloads_ended.next, struct tcp_offload, link);

		list_remove(&offload->link);
		release(relay, offload);
	}
}

/* Late packets still find their way for a while. */
static void linger(struct relay *relay, struct tcp_offload *offload)
{
	offload->session = NULL;
	offload->next = relay->loop.now + LINGER_TIME;
	list_append(&relay->offloads_ended, &offload->link);
	if (!timer_is_set(&relay->offload_timer))
		loop_timer_set(&relay->loop, &relay->offload_timer, LINGER_TIME);
}

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
		release(relay, session->offload);
	session->offload = NULL;
}

/* RELAY */

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

static struct tcp_offload *create(struct tcp_session *session, const struct offload_record *record)
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

static void observe(struct tcp_session *session)
{
	struct tcp_offload *offload = NULL;
	struct offload_record record;
	int error = tcp_handover_record(session, &record);

	if (error == 0) {
		offload = create(session, &record);
		error = offload != NULL ? 0 : -ENOMEM;
	}
	if (error == 0)
		error = datapath_observe(session->relay->datapath, session->id, &record);
	if (error < 0) {
		free(offload);
		stay(session, reason_of(error));
		return;
	}
	offload->wait = TRY_WAIT_FIRST;
	offload->next = session->relay->loop.now + TRY_WAIT_FIRST;
	session->offload = offload;
}

static void fix_buffers(struct tcp_session *session)
{
	socket_fix_receive_buffer(session->relay->sys, session->client.fd, SMALL_BUFFER);
	socket_fix_receive_buffer(session->relay->sys, session->upstream.fd, SMALL_BUFFER);
	session->small_buffers = true;
}

static void prepare(struct tcp_session *session)
{
	if (session->port_replaced) {
		stay(session, COUNTER_OFFLOAD_STAYED_PORT);
		return;
	}
	session->moves++;
	if (session->moves == MOVES_BEFORE_BUFFERS)
		fix_buffers(session);
	else if (session->moves == MOVES_BEFORE_WATCH)
		observe(session);
}

static void set_state(struct tcp_session *session, enum tcp_state state, uint64_t wait)
{
	session->state = (uint8_t)state;
	loop_timer_set(&session->relay->loop, &session->timer, wait);
}

/* Its end will be told by its number; without memory it is found a look later. */
static void enter(struct tcp_session *session)
{
	struct tcp_offload *offload = session->offload;

	offload->bytes[OFFLOAD_BALANCER] = session->up.bytes;
	offload->bytes[OFFLOAD_UPSTREAM] = session->down.bytes;
	tsearch(offload, &session->relay->offloads, compare_ids);
}

/* The kernel has it. Events that this round has fetched already find another state. */
static void moved(struct tcp_session *session)
{
	struct tcp_offload *offload = session->offload;
	struct relay *relay = session->relay;

	loop_unwatch(&relay->loop, session->client.fd);
	loop_unwatch(&relay->loop, session->upstream.fd);
	session->client.watched = session->upstream.watched = false;
	offload->wait = TRY_WAIT_FIRST;
	enter(session);
	counter_add(&relay->counters, COUNTER_OFFLOADED, 1);
	set_state(session, TCP_MOVED, TRY_WAIT_FIRST);
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
		moved(session);
		return;
	case -EOPNOTSUPP:
		stay(session, stays);
		return;
	default:
		break;
	}
	if (++offload->tries > SETTLE_TRIES) {
		offload->tries = 0;
		set_state(session, TCP_SETTLING, TRY_WAIT_FIRST);
		return;
	}
	offload->next = now + offload->wait;
	if (offload->wait < TRY_WAIT_MAX)
		offload->wait *= 2;
}

/* SETTLING */

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

static void settling_expired(struct tcp_session *session)
{
	enum counter stays = COUNTER_OFFLOAD_STAYED_ENDING;
	int error = -EAGAIN;

	if (session->client.broken || session->upstream.broken)
		error = -EOPNOTSUPP;
	else if (tcp_handover_settle(session))
		error = tcp_handover_try(session, &stays);
	if (error == -EAGAIN && ++session->offload->tries > SETTLE_TICKS) {
		stays = why_busy(session);
		error = -EOPNOTSUPP;
	}
	if (error == 0) {
		moved(session);
	} else if (error == -EOPNOTSUPP) {
		stay(session, stays);
		tcp_relay_resume(session);
	} else {
		set_state(session, TCP_SETTLING, TRY_WAIT_FIRST);
	}
}

/* MOVED */

static bool is_acknowledged(const struct offload_session *noted)
{
	for (unsigned i = 0; i < 2; i++)
		if (noted->legs[i].delivered < 0)
			return false;
	return true;
}

/* Without a word to the far ends. */
static void abandon_sockets(struct tcp_session *session)
{
	struct tcp_end *ends[] = {&session->client, &session->upstream};

	for (unsigned i = 0; i < 2; i++) {
		if (ends[i]->fd < 0)
			continue;
		ends[i]->source.ready = loop_ignore;
		session->relay->sys->abandon(ends[i]->fd);
		ends[i]->fd = -1;
	}
}

/* Our sockets have nothing left to do: they go, and the session lives on. */
static void leave_sockets(struct tcp_session *session, const struct offload_session *noted)
{
	struct relay *relay = session->relay;

	abandon_sockets(session);
	/* On lo it sees what comes and goes. */
	if (noted->legs[OFFLOAD_BALANCER].interface != DATAPATH_LOOPBACK)
		datapath_untrack(relay->datapath, &session->offload->tuples[OFFLOAD_BALANCER]);
	session->without_sockets = true;
	budget_give_back(relay->descriptors);
	tcp_listeners_resume(relay);
	if (relay->leaving)
		tcp_session_close(session, CLOSE_LEFT_TO_KERNEL);
	else
		set_state(session, TCP_OFFLOADED, LOOK_INTERVAL);
}

/* What the far end of a leg has got of the other leg's bytes, since it moved. */
static int64_t delivered_by(const struct offload_session *noted, enum offload_leg_name leg)
{
	const struct offload_leg *to = &noted->legs[leg], *from = &noted->legs[!leg];
	uint32_t acked = to->acked + to->change.acknowledgement;
	bool finished = (from->seen & OFFLOAD_SEEN_FIN) && (int32_t)(acked - from->end) >= 0;

	return finished ? to->delivered - 1 : to->delivered;
}

static void account(struct tcp_session *session, struct stream *stream, uint64_t before,
		    int64_t delivered)
{
	uint64_t bytes = before + (uint64_t)delivered;

	/* Less than was handed to the socket, as long as that is not acknowledged. */
	if (delivered > 0 && bytes > stream->bytes)
		stream_count(session->relay, stream, bytes - stream->bytes);
}

static bool look(struct tcp_session *session, struct offload_session *noted)
{
	const struct tcp_offload *offload = session->offload;
	uint64_t active;

	if (datapath_look(session->relay->datapath, session->id, noted) < 0)
		return false;
	account(session, &session->up, offload->bytes[OFFLOAD_BALANCER],
		delivered_by(noted, OFFLOAD_UPSTREAM));
	account(session, &session->down, offload->bytes[OFFLOAD_UPSTREAM],
		delivered_by(noted, OFFLOAD_BALANCER));
	active = noted->last_active / 1000000;
	if (active > session->last_active)
		session->last_active = active;
	return true;
}

static bool is_carried(const struct tcp_session *session)
{
	return session->state == TCP_MOVED || session->state == TCP_OFFLOADED;
}

void tcp_offload_look(struct tcp_session *session)
{
	struct offload_session noted;

	if (is_carried(session))
		look(session, &noted);
}

static enum close_reason end_reason(const struct offload_session *noted)
{
	uint8_t balancer = noted->legs[OFFLOAD_BALANCER].seen;
	uint8_t upstream = noted->legs[OFFLOAD_UPSTREAM].seen;

	if ((balancer | upstream) & (OFFLOAD_SEEN_SYN | OFFLOAD_SEEN_TAKEN))
		return CLOSE_REPLACED;
	if (balancer & OFFLOAD_SEEN_RESET)
		return CLOSE_CLIENT_RESET;
	return upstream & OFFLOAD_SEEN_RESET ? CLOSE_UPSTREAM_RESET : CLOSE_FINISHED;
}

/* Returns whether it goes on. */
static bool goes_on(struct tcp_session *session, struct offload_session *noted)
{
	if (!look(session, noted)) {
		session->failed_step = "bpf";
		session->error = -ENOENT;
		tcp_session_close(session, CLOSE_SYSTEM_ERROR);
		return false;
	}
	if (noted->state != OFFLOAD_ENDED)
		return true;
	tcp_session_close(session, end_reason(noted));
	return false;
}

/* Of our socket to somebody who does not acknowledge: what it was to send again nobody else has. */
static bool has_given_up(const struct tcp_session *session, const struct tcp_end *end)
{
	return session->relay->sys->socket_error(end->fd) < 0;
}

static void moved_expired(struct tcp_session *session)
{
	struct tcp_offload *offload = session->offload;
	struct offload_session noted;

	if (!goes_on(session, &noted))
		return;
	if (is_acknowledged(&noted)) {
		leave_sockets(session, &noted);
		return;
	}
	if (has_given_up(session, &session->client)) {
		tcp_session_close(session, CLOSE_CLIENT_UNRESPONSIVE);
		return;
	}
	if (has_given_up(session, &session->upstream)) {
		tcp_session_close(session, CLOSE_UPSTREAM_UNRESPONSIVE);
		return;
	}
	if (offload->wait < LOOK_WAIT_MAX)
		offload->wait *= 2;
	set_state(session, TCP_MOVED, offload->wait);
}

/* OFFLOADED */

/* Asks a far end that has been silent for a sign of life. Returns whether it is taken for dead. */
static bool probe(struct tcp_session *session, const struct offload_session *noted,
		  enum offload_leg_name leg)
{
	struct tcp_offload *offload = session->offload;
	uint64_t now = session->relay->loop.now, seen = noted->legs[leg].last_seen / 1000000;
	struct offload_record record;

	if (seen + session->settings->keepalive > now) {
		offload->probes[leg] = 0;
		return false;
	}
	if (offload->probes[leg] > 0 && now < offload->probed + PROBE_INTERVAL)
		return false;
	if (offload->probes[leg] == PROBES_MAX)
		return true;
	if (datapath_read_record(session->relay->datapath, session->id, &record) == 0 &&
	    datapath_probe(session->relay->datapath, &record, noted, leg) == 0) {
		offload->probes[leg]++;
		offload->probed = now;
	}
	return false;
}

static void offloaded_expired(struct tcp_session *session)
{
	const struct relay_settings *settings = session->settings;
	uint64_t wait = LOOK_INTERVAL, idle;
	struct offload_session noted;

	if (!goes_on(session, &noted))
		return;
	idle = session->relay->loop.now - session->last_active;
	if (settings->idle_timeout > 0 && idle >= settings->idle_timeout) {
		tcp_session_close(session, CLOSE_IDLE_TIMEOUT);
		return;
	}
	if (settings->keepalive > 0 && probe(session, &noted, OFFLOAD_BALANCER)) {
		tcp_session_close(session, CLOSE_CLIENT_UNRESPONSIVE);
		return;
	}
	if (settings->keepalive > 0 && probe(session, &noted, OFFLOAD_UPSTREAM)) {
		tcp_session_close(session, CLOSE_UPSTREAM_UNRESPONSIVE);
		return;
	}
	if (settings->idle_timeout > 0 && settings->idle_timeout - idle < wait)
		wait = settings->idle_timeout - idle;
	set_state(session, TCP_OFFLOADED, wait);
}

void tcp_offload_expired(struct tcp_session *session)
{
	if (session->state == TCP_SETTLING)
		settling_expired(session);
	else if (session->state == TCP_MOVED)
		moved_expired(session);
	else
		offloaded_expired(session);
}

int tcp_offload_adopted(struct tcp_session *session, const struct offload_record *record)
{
	session->offload = create(session, record);
	if (session->offload == NULL)
		return -ENOMEM;
	session->without_sockets = true;
	enter(session);
	/* At once: it may have ended meanwhile. */
	set_state(session, TCP_OFFLOADED, 0);
	return 0;
}

/* The end */

void tcp_offload_ended(struct relay *relay, uint64_t id)
{
	struct tcp_offload **found = tfind(&id, &relay->offloads, compare_ids);
	struct offload_session noted;

	if (found != NULL)
		goes_on((*found)->session, &noted);
}

/* So that they can be told. What can't be had goes without. */
static void revive_sockets(struct tcp_session *session, const struct offload_session *noted)
{
	struct datapath *datapath = session->relay->datapath;
	struct offload_record record;

	if (datapath_read_record(datapath, session->id, &record) < 0)
		return;
	session->client.fd = datapath_revive(datapath, &record, noted, OFFLOAD_BALANCER);
	session->upstream.fd = datapath_revive(datapath, &record, noted, OFFLOAD_UPSTREAM);
	session->client.readable = session->upstream.readable = false;
}

/* Both far ends know what the kernel has seen end; of other ends they are told. Returns whether. */
static bool bring_news(struct tcp_session *session)
{
	struct offload_session noted;

	if (!look(session, &noted))
		return true;
	if (noted.state == OFFLOAD_ENDED)
		return false;
	revive_sockets(session, &noted);
	datapath_end(session->relay->datapath, session->id);
	return true;
}

void tcp_offload_close(struct tcp_session *session, enum close_reason reason)
{
	struct tcp_offload *offload = session->offload;
	struct relay *relay = session->relay;

	if (!is_carried(session)) {
		release(relay, offload);
	} else {
		tdelete(offload, &relay->offloads, compare_ids);
		abandon_sockets(session);
		if (reason == CLOSE_LEFT_TO_KERNEL) {
			tcp_offload_look(session);
			free(offload);
		} else if (bring_news(session)) {
			release(relay, offload);
		} else {
			linger(relay, offload);
		}
	}
	session->offload = NULL;
}

void tcp_offload_leave(struct relay *relay)
{
	relay->leaving = true;
	for (struct list *link = relay->sessions.next, *next = link->next; link != &relay->sessions;
	     link = next, next = link->next) {
		struct tcp_session *session = container_of(link, struct tcp_session, link);

		if (session->state == TCP_OFFLOADED)
			tcp_session_close(session, CLOSE_LEFT_TO_KERNEL);
	}
}
