/* SPDX-License-Identifier: MIT */
/*
 * Handing a session over. The instant for it is one at which this process holds no byte: what one
 * socket has received the other has sent, and the kernel has seen no more come in. Where in doubt, the
 * session stays a relay.
 */
#include "relay/tcp_offload.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "offload/datapath.h"
#include "os/socket.h"
#include "os/sys.h"
#include "relay/budget.h"
#include "relay/tcp_listener.h"
#include "relay/tcp_session.h"

/* Moves of bytes before a session is observed: a short one costs nothing more. */
#define MOVES_BEFORE_BUFFERS 2
#define MOVES_BEFORE_WATCH   4

/*
 * What a socket may receive that is not read yet, in bytes: no more than the other end takes at once.
 */
#define SMALL_BUFFER 131072

/* Milliseconds between tries, doubled each time; and of the state that lasts longest. */
#define TRY_WAIT_FIRST 1
#define TRY_WAIT_MAX   1000
#define SETTLE_TRIES   2 /* that failed before the session is made to settle */
#define SETTLE_TICKS   200
#define LOOK_WAIT_MAX  100

/* TCP_ESTABLISHED of <netinet/tcp.h>, whose struct tcp_info is not the one of <linux/tcp.h>. */
#define STATE_ESTABLISHED 1

/* Timestamps must never go back, and the ticks of two hosts do not come at the same moment. */
#define CLOCKS_APART 1

/* What both legs must have negotiated alike. */
#define OPTIONS_ALIKE (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_ECN)

/* One leg at the instant. */
struct leg {
	struct tcp_end *end;
	struct stream *to; /* what goes to its far end */
	struct tcp_info info;
	struct tcp_position position;
	size_t passed; /* bytes that it has received, that were passed on, and that it still holds */
};

static struct offload_tuple tuple_of(const struct address *source,
				     const struct address *destination)
{
	struct offload_tuple tuple = {
		.source_port = htons(source->port),
		.destination_port = htons(destination->port),
	};

	if (source->family == ADDRESS_IPV6) {
		memcpy(tuple.source, source->ip, 16);
		memcpy(tuple.destination, destination->ip, 16);
		return tuple;
	}
	tuple.source[2] = tuple.destination[2] = htonl(0xffff);
	memcpy(&tuple.source[3], source->ip, 4);
	memcpy(&tuple.destination[3], destination->ip, 4);
	return tuple;
}

/* As the packets go that leave by the leg. */
static struct offload_tuple turned(const struct offload_tuple *tuple)
{
	struct offload_tuple other = {
		.source_port = tuple->destination_port,
		.destination_port = tuple->source_port,
	};

	memcpy(other.source, tuple->destination, sizeof(other.source));
	memcpy(other.destination, tuple->source, sizeof(other.destination));
	return other;
}

static int address_of(struct tcp_session *session, int fd, struct address *address)
{
	struct sockaddr_storage found;
	int error = session->relay->sys->local_address(fd, &found);

	if (error == 0)
		*address = address_from_sockaddr(&found);
	return error;
}

static int find_tuples(struct tcp_session *session, struct offload_tuple tuples[static 2])
{
	const struct address *upstream =
		relay_settings_forward(session->settings, session->client_address.family);
	struct address here, dialled_from;
	int error = address_of(session, session->client.fd, &here);

	if (error == 0)
		error = address_of(session, session->upstream.fd, &dialled_from);
	if (error < 0)
		return error;
	/* Packets of one family do not become those of the other. */
	if (here.family != dialled_from.family)
		return -EAFNOSUPPORT;
	tuples[OFFLOAD_BALANCER] = tuple_of(&session->balancer, &here);
	tuples[OFFLOAD_UPSTREAM] = tuple_of(upstream, &dialled_from);
	return 0;
}

static bool holds_bytes(const struct stream *stream)
{
	return stream->held != NULL || (stream->pipe != NULL && stream->pipe->length > 0);
}

/*
 * Passes on what a leg has received, and leaves it there: reading it would have the far end send more.
 * Returns 0 when all of it has been passed on, or -errno.
 */
static int pass_on(struct tcp_session *session, struct leg *from, const struct leg *to)
{
	struct relay *relay = session->relay;
	int unread = relay->sys->unread(from->end->fd);
	size_t size = (size_t)unread;
	ssize_t length;

	if (unread <= 0)
		return unread;
	if (size > RELAY_HOT_SIZE)
		size = RELAY_HOT_SIZE;
	length = relay->sys->peek(from->end->fd, relay->hot, size);
	if (length > 0)
		length = relay->sys->send(to->end->fd, relay->hot, (size_t)length);
	if (length <= 0)
		return length == 0 ? -EAGAIN : (int)length;
	from->passed = (size_t)length;
	return from->passed == (size_t)unread ? 0 : -EAGAIN;
}

/* It stays a relay for now: what was passed on is read, and was moved. */
static void read_passed(struct tcp_session *session, struct leg *from, struct stream *stream)
{
	if (from->passed == 0)
		return;
	session->relay->sys->skip(from->end->fd, from->passed);
	stream->bytes += from->passed;
	from->passed = 0;
}

/* Can it be, ever? 0; or -errno: EOPNOTSUPP, never. */
static int judge_noted(const struct offload_session *noted)
{
	for (int i = 0; i < 2; i++) {
		const struct offload_leg *leg = &noted->legs[i];

		if (leg->seen & (OFFLOAD_SEEN_ODD | OFFLOAD_SEEN_FIN))
			return -EOPNOTSUPP;
		if (!(leg->seen & OFFLOAD_SEEN_ANY))
			return -EAGAIN;
	}
	return 0;
}

/* Is nothing of the leg anywhere but at its far end? Takes its position. 0 or -errno. */
static int take_position(const struct sys *sys, struct leg *leg)
{
	if (sys->not_sent(leg->end->fd) != 0 || (size_t)sys->unread(leg->end->fd) != leg->passed)
		return -EAGAIN;
	if (sys->tcp_info(leg->end->fd, &leg->info) < 0 || leg->info.tcpi_state != STATE_ESTABLISHED)
		return -EAGAIN;
	return sys->tcp_position(leg->end->fd, &leg->position);
}

/* Packets that arrive by `from` leave by `to`. */
static struct offload_change change_between(const struct leg *from, const struct offload_leg *noted,
					    const struct leg *to, const struct offload_leg *noted_to,
					    const struct offload_tuple *tuple)
{
	return (struct offload_change){
		.tuple = *tuple,
		.sequence = to->position.sent - from->position.received,
		.acknowledgement = to->position.received - from->position.sent,
		.timestamp = to->position.timestamp - noted->timestamp + CLOCKS_APART,
		.timestamp_echo = noted_to->timestamp - from->position.timestamp - CLOCKS_APART,
		.window_left = from->info.tcpi_snd_wscale,
		.window_right = to->info.tcpi_rcv_wscale,
		.way = OFFLOAD_IN_PLACE,
	};
}

/* The way of what leaves by a leg: a packet that came by lo and leaves there stays in place. */
static void find_way(struct offload_change *change, unsigned from, unsigned to)
{
	const unsigned lo = 1;

	if (from == to)
		return;
	change->interface = to;
	change->way = to == lo ? OFFLOAD_TO_LOOPBACK : OFFLOAD_TO_NEIGHBOUR;
}

static int move_now(struct tcp_session *session, struct leg legs[static 2],
		    const struct offload_session *noted)
{
	struct offload_move move = {.session = session->id};

	if ((legs[0].info.tcpi_options ^ legs[1].info.tcpi_options) & OPTIONS_ALIKE)
		return -EOPNOTSUPP;
	for (int i = 0; i < 2; i++) {
		const struct offload_leg *from = &noted->legs[i], *to = &noted->legs[!i];
		struct offload_tuple tuple = turned(&session->offload->tuples[!i]);
		struct offload_change *change = &move.legs[i].change;

		*change = change_between(&legs[i], from, &legs[!i], to, &tuple);
		find_way(change, from->interface, to->interface);
		move.legs[i].received = legs[i].position.received;
		move.legs[i].sent = legs[i].position.sent;
	}
	return datapath_move(session->relay->datapath, &move);
}

static int find_instant(struct tcp_session *session, struct leg legs[static 2])
{
	struct datapath *datapath = session->relay->datapath;
	struct offload_session noted;
	int error = pass_on(session, &legs[0], &legs[1]);

	if (error == 0)
		error = pass_on(session, &legs[1], &legs[0]);
	for (int i = 0; i < 2 && error == 0; i++)
		error = take_position(session->relay->sys, &legs[i]);
	if (error == 0)
		error = datapath_look(datapath, session->id, &noted);
	if (error == 0)
		error = judge_noted(&noted);
	return error < 0 ? error : move_now(session, legs, &noted);
}

/* 0: the session has been moved. -EOPNOTSUPP: it never can be. */
static int try_move(struct tcp_session *session)
{
	struct leg legs[2] = {
		[OFFLOAD_BALANCER] = {.end = &session->client},
		[OFFLOAD_UPSTREAM] = {.end = &session->upstream},
	};
	int error;

	if (session->client.no_splice || session->upstream.no_splice)
		return -EOPNOTSUPP; /* urgent data */
	if (holds_bytes(&session->up) || holds_bytes(&session->down) || session->up.eof ||
	    session->down.eof)
		return -EAGAIN;
	error = find_instant(session, legs);
	if (error == 0) {
		session->up.bytes += legs[0].passed;
		session->down.bytes += legs[1].passed;
	} else {
		read_passed(session, &legs[0], &session->up);
		read_passed(session, &legs[1], &session->down);
	}
	return error;
}

static void set_state(struct tcp_session *session, enum tcp_state state, uint64_t wait)
{
	session->state = (uint8_t)state;
	loop_timer_set(&session->relay->loop, &session->timer, wait);
}

static void stay_relay(struct tcp_session *session)
{
	session->offload_never = true;
	if (session->small_buffers) {
		socket_free_receive_buffer(session->relay->sys, session->client.fd);
		socket_free_receive_buffer(session->relay->sys, session->upstream.fd);
	}
	tcp_offload_forget(session);
}

/* The kernel has it. Events that this round has fetched already find another state. */
static void moved(struct tcp_session *session)
{
	loop_unwatch(&session->relay->loop, session->client.fd);
	loop_unwatch(&session->relay->loop, session->upstream.fd);
	session->client.watched = session->upstream.watched = false;
	session->offload->wait = TRY_WAIT_FIRST;
	set_state(session, TCP_MOVED, TRY_WAIT_FIRST);
}

static bool observe(struct tcp_session *session)
{
	struct tcp_offload *offload = calloc(1, sizeof(*offload));

	session->offload = offload;
	if (offload == NULL || find_tuples(session, offload->tuples) < 0 ||
	    datapath_observe(session->relay->datapath, session->id, offload->tuples) < 0) {
		session->offload_never = true;
		free(offload);
		session->offload = NULL;
		return false;
	}
	offload->wait = TRY_WAIT_FIRST;
	offload->next_try = session->relay->loop.now + TRY_WAIT_FIRST;
	return true;
}

static void shrink_buffers(struct tcp_session *session)
{
	socket_fix_receive_buffer(session->relay->sys, session->client.fd, SMALL_BUFFER);
	socket_fix_receive_buffer(session->relay->sys, session->upstream.fd, SMALL_BUFFER);
	session->small_buffers = true;
}

static void begin_settling(struct tcp_session *session)
{
	session->offload->ticks = 0;
	set_state(session, TCP_SETTLING, TRY_WAIT_FIRST);
}

/* What came in meanwhile has no event of its own any more. */
static void return_to_relay(struct tcp_session *session)
{
	struct tcp_end *ends[] = {&session->client, &session->upstream};

	for (size_t i = 0; i < 2; i++)
		ends[i]->readable = ends[i]->writable = ends[i]->probe = true;
	session->state = TCP_RELAY;
	tcp_relay_advance(session);
}

bool tcp_offload_consider(struct tcp_session *session)
{
	struct tcp_offload *offload = session->offload;
	uint64_t now = session->relay->loop.now;
	int error;

	if (session->relay->datapath == NULL || session->offload_never)
		return false;
	if (offload == NULL) {
		if (++session->moves == MOVES_BEFORE_BUFFERS)
			shrink_buffers(session);
		if (session->moves >= MOVES_BEFORE_WATCH)
			observe(session);
		return false;
	}
	if (now < offload->next_try)
		return false;
	error = try_move(session);
	if (error == 0) {
		moved(session);
		return true;
	}
	if (error == -EOPNOTSUPP) {
		stay_relay(session);
		return false;
	}
	if (++offload->ticks > SETTLE_TRIES) {
		begin_settling(session);
		return true;
	}
	offload->next_try = now + offload->wait;
	if (offload->wait < TRY_WAIT_MAX)
		offload->wait *= 2;
	return false;
}

/* One direction: bytes go on only where that leaves nothing unsent. */
static bool settle(struct tcp_session *session, struct tcp_end *source, struct tcp_end *sink,
		   struct stream *stream)
{
	struct leg from = {.end = source}, to = {.end = sink};

	if (session->relay->sys->not_sent(sink->fd) != 0)
		return false;
	if (pass_on(session, &from, &to) == 0 && from.passed == 0)
		return true;
	read_passed(session, &from, stream);
	return false;
}

static void settling_expired(struct tcp_session *session)
{
	int error = -EAGAIN;

	if (!holds_bytes(&session->up) && !holds_bytes(&session->down)) {
		const struct sys *sys = session->relay->sys;

		if (sys->not_sent(session->client.fd) == 0 && sys->not_sent(session->upstream.fd) == 0)
			error = try_move(session);
		else if (!settle(session, &session->client, &session->upstream, &session->up))
			settle(session, &session->upstream, &session->client, &session->down);
	}
	if (error == 0) {
		moved(session);
	} else if (error == -EOPNOTSUPP || ++session->offload->ticks > SETTLE_TICKS) {
		stay_relay(session);
		return_to_relay(session);
	} else {
		set_state(session, TCP_SETTLING, TRY_WAIT_FIRST);
	}
}

static bool is_acknowledged(const struct offload_leg *leg)
{
	return (int32_t)(leg->acked - leg->sent) >= 0;
}

/* Our sockets have nothing left to do: they go without a word, and the session lives on. */
static void leave_sockets(struct tcp_session *session)
{
	struct tcp_end *ends[] = {&session->client, &session->upstream};

	for (size_t i = 0; i < 2; i++) {
		ends[i]->source.ready = loop_ignore;
		session->relay->sys->abandon(ends[i]->fd);
		ends[i]->fd = -1;
	}
	session->state = TCP_OFFLOADED;
	budget_give_back(session->relay->descriptors);
	tcp_listeners_resume(session->relay);
}

static void moved_expired(struct tcp_session *session)
{
	struct tcp_offload *offload = session->offload;
	struct offload_session noted;

	if (datapath_look(session->relay->datapath, session->id, &noted) == 0 &&
	    is_acknowledged(&noted.legs[0]) && is_acknowledged(&noted.legs[1])) {
		leave_sockets(session);
		return;
	}
	if (offload->wait < LOOK_WAIT_MAX)
		offload->wait *= 2;
	set_state(session, TCP_MOVED, offload->wait);
}

void tcp_offload_expired(struct tcp_session *session)
{
	if (session->state == TCP_SETTLING)
		settling_expired(session);
	else
		moved_expired(session);
}

void tcp_offload_forget(struct tcp_session *session)
{
	if (session->offload == NULL)
		return;
	datapath_forget(session->relay->datapath, session->id, session->offload->tuples);
	free(session->offload);
	session->offload = NULL;
}
