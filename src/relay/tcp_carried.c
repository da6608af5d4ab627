/* SPDX-License-Identifier: MIT */
/* MOVED and OFFLOADED: what is seen to while the kernel carries a session. */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <search.h>

#include "offload/datapath.h"
#include "os/sys.h"
#include "relay/budget.h"
#include "relay/relay.h"
#include "relay/tcp.h"
#include "relay/tcp_listener.h"
#include "relay/tcp_offload.h"
#include "relay/tcp_session.h"

/* Milliseconds between looks at a session that has moved, doubled each time. */
#define LOOK_WAIT_FIRST 1
#define LOOK_WAIT_MAX   100

/* Between looks at an offloaded one: what it moves is counted then, and lost ends are found. */
#define LOOK_INTERVAL 5000

/* For what was sent before the move, where user_timeout leaves it to the kernel: as long as that.
 */
#define PATIENCE 900000

/* As socket_set_liveness() has it. */
#define PROBE_INTERVAL 10000
#define PROBES_MAX     3

/* Its end will be told by its number; without memory it is found a look later. */
static void enter(struct tcp_session *session)
{
	struct tcp_offload *offload = session->offload;
	uint32_t user_timeout = session->settings->user_timeout;

	offload->next = session->relay->loop.now + (user_timeout > 0 ? user_timeout : PATIENCE);
	tsearch(offload, &session->relay->offloads, tcp_offload_compare);
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
void tcp_carried_begin(struct tcp_session *session)
{
	struct tcp_offload *offload = session->offload;
	struct relay *relay = session->relay;

	keep_sockets_silent(session);
	loop_unwatch(&relay->loop, session->client.fd);
	loop_unwatch(&relay->loop, session->upstream.fd);
	session->client.watched = session->upstream.watched = false;
	offload->wait = LOOK_WAIT_FIRST;
	offload->bytes[OFFLOAD_BALANCER] = session->up.bytes;
	offload->bytes[OFFLOAD_UPSTREAM] = session->down.bytes;
	enter(session);
	counter_add(&relay->counters, COUNTER_OFFLOADED, 1);
	tcp_session_wait(session, TCP_MOVED, LOOK_WAIT_FIRST);
}

/* Has the leg's far end got all that our socket sent? */
static bool is_acknowledged(const struct offload_session *noted, enum offload_leg_name leg)
{
	return noted->legs[leg].delivered >= 0;
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
	tcp_session_wait(session, TCP_OFFLOADED, wait);
}

/* Our sockets have nothing left to do: they go, and the session lives on. */
static void leave_sockets(struct tcp_session *session, const struct offload_session *noted)
{
	struct relay *relay = session->relay;

	tcp_carried_abandon(session);
	/* On lo it sees what comes and goes. */
	if (noted->bases[OFFLOAD_BALANCER].interface != DATAPATH_LOOPBACK)
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
	uint32_t acked = to->acked + noted->bases[leg].change.acknowledgement;
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

bool tcp_carried_look(struct tcp_session *session, struct offload_session *noted)
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

void tcp_offload_look(struct tcp_session *session)
{
	struct offload_session noted;

	if (tcp_is_carried(session))
		tcp_carried_look(session, &noted);
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
	if (!tcp_carried_look(session, noted)) {
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
	tcp_session_wait(session, TCP_MOVED, offload->wait);
}

/* Asks a far end that has been silent for a sign of life. Returns whether it is taken for dead. */
static bool probe(struct tcp_session *session, const struct offload_session *noted,
		  enum offload_leg_name leg)
{
	struct tcp_offload *offload = session->offload;
	uint64_t now = session->relay->loop.now, seen = noted->bases[leg].last_seen / 1000000;
	struct offload_record record;

	/* The kernel's clock is late: by it an answer may have come before the question. */
	if (noted->bases[leg].last_seen != offload->before[leg])
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
		offload->before[leg] = noted->bases[leg].last_seen;
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

void tcp_carried_expired(struct tcp_session *session)
{
	if (session->state == TCP_MOVED)
		moved_expired(session);
	else
		offloaded_expired(session);
}

int tcp_offload_adopted(struct tcp_session *session, const struct offload_record *record)
{
	session->offload = tcp_offload_create(session, record);
	if (session->offload == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < 2; i++)
		session->offload->bytes[i] = record->bytes[i];
	/* When bytes last came, the first look says. */
	session->last_active = session->started;
	enter(session);
	/* At once: it may have ended meanwhile. */
	tcp_session_wait(session, TCP_OFFLOADED, 0);
	return 0;
}

void tcp_offload_ended(struct relay *relay, uint64_t id)
{
	struct tcp_offload **found = tfind(&id, &relay->offloads, tcp_offload_compare);
	struct offload_session noted;

	if (found != NULL)
		goes_on((*found)->session, &noted);
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
