/* SPDX-License-Identifier: MIT */
/* Sessions that the kernel carries: their way there, their looks, their end. */
#include "relay/tcp_offload.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
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

/* For what was sent before the move, where user_timeout leaves it to the kernel: as long as that.
 */
#define PATIENCE 900000

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

	uint32_t user_timeout = session->settings->user_timeout;

	offload->bytes[OFFLOAD_BALANCER] = session->up.bytes;
	offload->bytes[OFFLOAD_UPSTREAM] = session->down.bytes;
	offload->next = session->relay->loop.now + (user_timeout > 0 ? user_timeout : PATIENCE);
	tsearch(offload, &session->relay->offloads, compare_ids);
}

/*
 * What they have sent they send again in repair mode too; but should this process be killed, they
 * close without a word, which their far ends would take for one of the session's.
 */
static void keep_sockets_silent(const struct tcp_session *session)
{
	const struct sys *sys = session->relay->sys;

	sys->set_option(session->client.fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);
	sys->set_option(session->upstream.fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);
}

/* The kernel has it. Events that this round has fetched already find another state. */
static void moved(struct tcp_session *session)
{
	struct tcp_offload *offload = session->offload;
	struct relay *relay = session->relay;

	keep_sockets_silent(session);
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

/* Has the leg's far end got all that our socket sent? */
static bool is_acknowledged(const struct offload_session *noted, enum offload_leg_name leg)
{
	return noted->legs[leg].delivered >= 0;
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

static uint64_t idle_time(const struct tcp_session *session)
{
	return session->relay->loop.now - session->last_active;
}

/* OFFLOADED, until the next look. It has not been idle for too long. */
static void wait_for_look(struct tcp_session *session)
{
	const uint64_t idle_timeout = session->settings->idle_timeout;
	uint64_t wait = LOOK_INTERVAL;

	if (idle_timeout > 0 && idle_timeout - idle_time(session) < wait)
		wait = idle_timeout - idle_time(session);
	set_state(session, TCP_OFFLOADED, wait);
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
		wait_for_look(session);
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
	uint64_t active, now = session->relay->loop.now;

	if (datapath_look(session->relay->datapath, session->id, noted) < 0)
		return false;
	account(session, &session->up, offload->bytes[OFFLOAD_BALANCER],
		delivered_by(noted, OFFLOAD_UPSTREAM));
	account(session, &session->down, offload->bytes[OFFLOAD_UPSTREAM],
		delivered_by(noted, OFFLOAD_BALANCER));
	active = noted->last_active / 1000000;
	/* It may lie behind the beginning of this round, which is what the loop's clock says. */
	if (active > now)
		active = now;
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

/* A SYN alone may be anybody's. With a reset of the same far end, that knows of no other. */
static bool has_begun_another(const struct offload_leg *leg)
{
	return (leg->seen & OFFLOAD_SEEN_SYN) && (leg->seen & OFFLOAD_SEEN_RESET);
}

static enum close_reason end_reason(const struct offload_session *noted)
{
	const struct offload_leg *balancer = &noted->legs[OFFLOAD_BALANCER];
	const struct offload_leg *upstream = &noted->legs[OFFLOAD_UPSTREAM];

	if ((balancer->seen & OFFLOAD_SEEN_TAKEN) || has_begun_another(balancer) ||
	    has_begun_another(upstream))
		return CLOSE_REPLACED;
	if (balancer->seen & OFFLOAD_SEEN_RESET)
		return CLOSE_CLIENT_RESET;
	return upstream->seen & OFFLOAD_SEEN_RESET ? CLOSE_UPSTREAM_RESET : CLOSE_FINISHED;
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

static enum close_reason unresponsive(enum offload_leg_name leg)
{
	return leg == OFFLOAD_BALANCER ? CLOSE_CLIENT_UNRESPONSIVE : CLOSE_UPSTREAM_UNRESPONSIVE;
}

/* Has our socket to a far end that does not acknowledge? What it was to send again nobody else has.
 */
static bool has_given_up(const struct tcp_session *session, enum offload_leg_name leg)
{
	int fd = leg == OFFLOAD_BALANCER ? session->client.fd : session->upstream.fd;

	return fd >= 0 && session->relay->sys->socket_error(fd) < 0;
}

/* Returns whether it goes on; or it has ended, by itself or for its silence. */
static bool outlives_look(struct tcp_session *session, struct offload_session *noted)
{
	const uint32_t idle_timeout = session->settings->idle_timeout;

	if (!goes_on(session, noted))
		return false;
	if (idle_timeout > 0 && idle_time(session) >= idle_timeout) {
		tcp_session_close(session, CLOSE_IDLE_TIMEOUT);
		return false;
	}
	for (unsigned leg = 0; leg < 2; leg++) {
		if (is_acknowledged(noted, leg) ||
		    (session->relay->loop.now < session->offload->next &&
		     !has_given_up(session, leg)))
			continue;
		tcp_session_close(session, unresponsive(leg));
		return false;
	}
	return true;
}

static void moved_expired(struct tcp_session *session)
{
	struct tcp_offload *offload = session->offload;
	struct offload_session noted;

	if (!outlives_look(session, &noted))
		return;
	if (is_acknowledged(&noted, OFFLOAD_BALANCER) &&
	    is_acknowledged(&noted, OFFLOAD_UPSTREAM)) {
		leave_sockets(session, &noted);
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

	if (seen >= offload->probed[leg])
		offload->probes[leg] = 0;
	if (seen + session->settings->keepalive > now)
		return false;
	if (offload->probes[leg] > 0 && now < offload->probed[leg] + PROBE_INTERVAL)
		return false;
	if (offload->probes[leg] == PROBES_MAX)
		return true;
	if (datapath_read_record(session->relay->datapath, session->id, &record) == 0 &&
	    datapath_probe(session->relay->datapath, &record, noted, leg) == 0) {
		offload->probes[leg]++;
		offload->probed[leg] = now;
	}
	return false;
}

static void offloaded_expired(struct tcp_session *session)
{
	const struct relay_settings *settings = session->settings;
	struct offload_session noted;

	if (!outlives_look(session, &noted))
		return;
	for (unsigned leg = 0; leg < 2 && settings->keepalive > 0; leg++) {
		if (probe(session, &noted, leg)) {
			tcp_session_close(session, unresponsive(leg));
			return;
		}
	}
	wait_for_look(session);
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
	session->without_sockets = true;
	session->offload = create(session, record);
	if (session->offload == NULL)
		return -ENOMEM;
	/* When bytes last came, the first look says. */
	session->last_active = session->started;
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

/*
 * Whoever does not know of the end yet is to be told; of one that the kernel has seen both know.
 * Returns whether its packets are the sockets'.
 *
 * A reset may come to a far end that does not believe it, as something before it was lost, and that
 * asks. As long as the kernel carries its packets, the other far end's host answers for one that is
 * gone. This host could not: it answers for no address that is not its own.
 */
static bool bring_news(struct tcp_session *session, enum close_reason reason)
{
	struct offload_session noted;

	if (!look(session, &noted))
		return true;
	if (noted.state == OFFLOAD_ENDED)
		return false;
	revive_sockets(session, &noted);
	datapath_end(session->relay->datapath, session->id);
	/* In order, with acknowledgements. */
	return reason == CLOSE_IDLE_TIMEOUT;
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
		} else if (bring_news(session, reason)) {
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
