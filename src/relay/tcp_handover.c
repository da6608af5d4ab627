/* SPDX-License-Identifier: MIT */
/*
 * Streams never have both sockets empty at once. So what has been received and not been read is
 * passed on, and left where it is: reading it would open the window, and have the far end send
 * more. Only when the session has moved, or has not, is it taken off.
 */
#include "relay/tcp_handover.h"

#include <errno.h>
#include <linux/tcp.h>
#include <stdio.h>

#include "offload/datapath.h"
#include "offload/tuple.h"
#include "os/sys.h"
#include "os/wall_clock.h"
#include "relay/tcp_offload.h"
#include "relay/tcp_session.h"

/* TCP_ESTABLISHED of <netinet/tcp.h>, whose struct tcp_info is not the one of <linux/tcp.h>. */
#define STATE_ESTABLISHED 1

/* Since Linux 6.14; before, there are none in microseconds. */
#ifndef TCPI_OPT_USEC_TS
#define TCPI_OPT_USEC_TS 64
#endif

/* Timestamps must never go back, and the ticks of two hosts do not come at the same moment. */
#define CLOCKS_APART 1

/* Bytes of IP and TCP without options. */
#define HEADERS_IPV4 40
#define HEADERS_IPV6 60

/* One leg at the moment. */
struct leg {
	struct tcp_end *end;
	struct tcp_info info;
	struct tcp_position position;
	size_t passed; /* bytes that it has received, that were passed on, and that it still holds
			*/
};

static int local_address(const struct tcp_session *session, int fd, struct address *address)
{
	struct sockaddr_storage found;
	int error = session->relay->sys->local_address(fd, &found);

	if (error == 0)
		*address = address_from_sockaddr(&found);
	return error;
}

int tcp_handover_record(const struct tcp_session *session, struct offload_record *record)
{
	const uint64_t age = (session->relay->loop.now - session->started) / 1000;
	struct address here, dialled_from;
	int error = local_address(session, session->client.fd, &here);

	if (error == 0)
		error = local_address(session, session->upstream.fd, &dialled_from);
	if (error != 0)
		return error;
	if (here.family != dialled_from.family)
		return -EAFNOSUPPORT;
	*record = (struct offload_record){
		.header_version = session->header_version,
		.header_local = session->header_local,
		.started = wall_clock_seconds() - age,
		.balancer = offload_address_of(&session->balancer),
		.client = offload_address_of(&session->client_address),
		.destination = offload_address_of(&session->destination_address),
		.legs =
			{
				[OFFLOAD_BALANCER].tuple =
					offload_tuple_of(&session->balancer, &here),
				[OFFLOAD_UPSTREAM].tuple = offload_tuple_of(
					relay_settings_forward(session->settings,
							       session->client_address.family),
					&dialled_from),
			},
	};
	snprintf(record->listener, sizeof(record->listener), "%s",
		 session->settings->listener_name);
	return 0;
}

static int stay(enum counter *stays, enum counter reason)
{
	*stays = reason;
	return -EOPNOTSUPP;
}

static bool holds_bytes(const struct stream *stream)
{
	return stream->held != NULL || (stream->pipe != NULL && stream->pipe->length > 0);
}

/* A socket tells its error once, and from then on looks like one that has ended in order. */
static int note_error(struct tcp_end *end, int error)
{
	if (error != -EAGAIN && error != -EINTR && end->error == 0)
		end->error = error;
	return error;
}

/* Returns 0 when all that a leg has received has been passed on, or -errno. */
static int pass_on(struct relay *relay, struct leg *from, const struct leg *to)
{
	int unread = relay->sys->unread(from->end->fd);
	size_t size = (size_t)unread;
	ssize_t length;

	if (unread <= 0)
		return unread;
	if (size > RELAY_HOT_SIZE)
		size = RELAY_HOT_SIZE;
	length = relay->sys->peek(from->end->fd, relay->hot, size);
	if (length <= 0)
		return length == 0 ? -EAGAIN : note_error(from->end, (int)length);
	length = relay->sys->send(to->end->fd, relay->hot, (size_t)length);
	if (length <= 0)
		return length == 0 ? -EAGAIN : note_error(to->end, (int)length);
	from->passed = (size_t)length;
	return from->passed == (size_t)unread ? 0 : -EAGAIN;
}

/* What was passed on has been moved. It is read at last, unless its socket goes with it. */
static void account_passed(struct tcp_session *session, struct leg *from, struct stream *stream,
			   bool read)
{
	if (from->passed == 0)
		return;
	if (read)
		session->relay->sys->skip(from->end->fd, from->passed);
	stream_count(session->relay, stream, from->passed);
	from->passed = 0;
}

static int judge_noted(const struct leg legs[static 2], const struct offload_session *noted,
		       enum counter *stays)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct offload_leg *leg = &noted->legs[i];

		if (leg->seen & OFFLOAD_SEEN_ODD)
			return stay(stays, COUNTER_OFFLOAD_STAYED_OPTIONS);
		if (leg->seen & (OFFLOAD_SEEN_FIN | OFFLOAD_SEEN_RESET))
			return stay(stays, COUNTER_OFFLOAD_STAYED_ENDING);
		if (!(leg->seen & OFFLOAD_SEEN_ANY))
			return -EAGAIN;
		if ((legs[i].info.tcpi_options & TCPI_OPT_TIMESTAMPS) &&
		    !(leg->seen & OFFLOAD_SEEN_TIMESTAMP))
			return -EAGAIN;
	}
	/* The way back to the upstream is led by this host's routes alone while it is on this host.
	 */
	if (noted->bases[OFFLOAD_UPSTREAM].interface != DATAPATH_LOOPBACK)
		return stay(stays, COUNTER_OFFLOAD_STAYED_REMOTE);
	return 0;
}

/* What both legs must have negotiated alike. */
static int judge_options(const struct leg legs[static 2], enum counter *stays)
{
	unsigned apart = legs[0].info.tcpi_options ^ legs[1].info.tcpi_options;

	if (apart & (TCPI_OPT_TIMESTAMPS | TCPI_OPT_USEC_TS))
		return stay(stays, COUNTER_OFFLOAD_STAYED_TIMESTAMPS);
	if (apart & TCPI_OPT_SACK)
		return stay(stays, COUNTER_OFFLOAD_STAYED_SACK);
	if (apart & TCPI_OPT_ECN)
		return stay(stays, COUNTER_OFFLOAD_STAYED_ECN);
	return 0;
}

static unsigned headers_of(const struct tcp_session *session)
{
	return session->client_address.family == ADDRESS_IPV4 ? HEADERS_IPV4 : HEADERS_IPV6;
}

/* What fits into one segment on its way to a leg's far end, with options. */
static unsigned room_of(const struct leg *leg, unsigned headers)
{
	unsigned room = leg->info.tcpi_pmtu - headers;

	return leg->position.segment < room ? leg->position.segment : room;
}

/* May one far end send more at once than the way to the other takes? */
static int judge_segments(const struct leg legs[static 2], unsigned headers, enum counter *stays)
{
	for (unsigned i = 0; i < 2; i++)
		if (legs[i].info.tcpi_advmss > room_of(&legs[!i], headers))
			return stay(stays, COUNTER_OFFLOAD_STAYED_SEGMENT);
	return 0;
}

/*
 * Is nothing of the leg anywhere but at its far end? Takes its position first: what comes in
 * afterwards is unread, or the kernel has seen more than that position says. 0 or -errno.
 */
static int take_position(const struct sys *sys, struct leg *leg, enum counter *stays)
{
	int error;

	if (sys->not_sent(leg->end->fd) != 0)
		return -EAGAIN;
	error = sys->tcp_position(leg->end->fd, &leg->position);
	if (error < 0)
		return error;
	if ((size_t)sys->unread(leg->end->fd) != leg->passed)
		return -EAGAIN;
	/* A FIN that has come shows only here. */
	error = sys->tcp_info(leg->end->fd, &leg->info);
	if (error == 0 && leg->info.tcpi_state != STATE_ESTABLISHED)
		error = stay(stays, COUNTER_OFFLOAD_STAYED_ENDING);
	return error;
}

/* Packets that arrive by `from` leave by `to`. */
static struct offload_change change_between(const struct leg *from, const struct offload_leg *noted,
					    const struct leg *to,
					    const struct offload_leg *noted_to)
{
	return (struct offload_change){
		.sequence = to->position.sent - from->position.received,
		.acknowledgement = to->position.received - from->position.sent,
		.timestamp = to->position.timestamp - noted->timestamp + CLOCKS_APART,
		.timestamp_echo = noted_to->timestamp - from->position.timestamp - CLOCKS_APART,
		.window_left = from->info.tcpi_snd_wscale,
		.window_right = to->info.tcpi_rcv_wscale,
	};
}

static int keep_record(const struct tcp_session *session, const struct leg legs[static 2])
{
	struct datapath *datapath = session->relay->datapath;
	struct offload_record record;
	int error = tcp_handover_record(session, &record);

	if (error < 0)
		return error;
	record.bytes[OFFLOAD_BALANCER] = session->up.bytes + legs[OFFLOAD_BALANCER].passed;
	record.bytes[OFFLOAD_UPSTREAM] = session->down.bytes + legs[OFFLOAD_UPSTREAM].passed;
	for (unsigned i = 0; i < 2; i++) {
		record.counted[i] = record.bytes[i];
		record.legs[i].options = legs[i].info.tcpi_options;
		record.legs[i].segment = (__u16)legs[i].info.tcpi_snd_mss;
		record.legs[i].window_sent = legs[i].info.tcpi_rcv_wscale;
		record.legs[i].window_received = legs[i].info.tcpi_snd_wscale;
	}
	return datapath_keep_record(datapath, session->id, &record);
}

static int move(struct tcp_session *session, struct leg legs[static 2],
		const struct offload_session *noted, enum counter *stays)
{
	struct offload_move move = {.session = session->id};
	int error, way;

	for (unsigned i = 0; i < 2; i++) {
		const struct offload_leg *from = &noted->legs[i], *to = &noted->legs[!i];
		struct offload_change *change = &move.legs[i].change;

		*change = change_between(&legs[i], from, &legs[!i], to);
		change->tuple = offload_tuple_turned(&session->offload->tuples[!i]);
		way = datapath_find_way(session->relay->datapath, noted->bases[i].interface,
					noted->bases[!i].interface, &change->tuple);
		if (way < 0)
			return stay(stays, COUNTER_OFFLOAD_STAYED_ROUTE);
		change->way = (__u8)way;
		move.legs[i].received = legs[i].position.received;
		move.legs[i].sent = legs[i].position.sent;
		move.legs[i].edge = legs[i].position.edge;
	}
	error = keep_record(session, legs);
	return error < 0 ? error : datapath_move(session->relay->datapath, &move);
}

static int find_moment(struct tcp_session *session, struct leg legs[static 2], enum counter *stays)
{
	struct relay *relay = session->relay;
	struct offload_session noted;
	int error = pass_on(relay, &legs[0], &legs[1]);

	if (error == 0)
		error = pass_on(relay, &legs[1], &legs[0]);
	for (unsigned i = 0; i < 2 && error == 0; i++)
		error = take_position(relay->sys, &legs[i], stays);
	if (error == 0)
		error = judge_options(legs, stays);
	if (error == 0)
		error = judge_segments(legs, headers_of(session), stays);
	if (error == 0)
		error = datapath_look(relay->datapath, session->id, &noted);
	if (error == 0)
		error = judge_noted(legs, &noted, stays);
	return error != 0 ? error : move(session, legs, &noted, stays);
}

int tcp_handover_try(struct tcp_session *session, enum counter *stays)
{
	struct leg legs[2] = {
		[OFFLOAD_BALANCER] = {.end = &session->client},
		[OFFLOAD_UPSTREAM] = {.end = &session->upstream},
	};
	int error;

	if (session->client.no_splice || session->upstream.no_splice)
		return stay(stays, COUNTER_OFFLOAD_STAYED_URGENT);
	if (holds_bytes(&session->up) || holds_bytes(&session->down))
		return -EAGAIN;
	if (session->up.eof || session->down.eof)
		return stay(stays, COUNTER_OFFLOAD_STAYED_ENDING);
	error = find_moment(session, legs, stays);
	account_passed(session, &legs[OFFLOAD_BALANCER], &session->up, error != 0);
	account_passed(session, &legs[OFFLOAD_UPSTREAM], &session->down, error != 0);
	/* Whatever else has failed will be met again by the relay, or at the next try. */
	return error == 0 || error == -EOPNOTSUPP ? error : -EAGAIN;
}

/* One direction: what has come since, if the sink has sent what it had. */
static void settle_stream(struct tcp_session *session, struct tcp_end *source, struct tcp_end *sink,
			  struct stream *stream)
{
	struct leg from = {.end = source}, to = {.end = sink};

	if (session->relay->sys->not_sent(sink->fd) != 0)
		return;
	pass_on(session->relay, &from, &to);
	account_passed(session, &from, stream, true);
}

/* What the sink had no room for, and nothing new. */
static bool settle_held(struct relay *relay, struct stream *stream, struct tcp_end *source,
			struct tcp_end *sink)
{
	/* The relay looks itself when it goes on. */
	source->readable = false;
	stream_pump(relay, stream, source, sink);
	return !holds_bytes(stream);
}

bool tcp_handover_settle(struct tcp_session *session)
{
	struct relay *relay = session->relay;
	const struct sys *sys = relay->sys;
	struct tcp_end *client = &session->client, *upstream = &session->upstream;
	const bool up = settle_held(relay, &session->up, client, upstream);
	const bool down = settle_held(relay, &session->down, upstream, client);

	if (up && down && sys->not_sent(client->fd) == 0 && sys->not_sent(upstream->fd) == 0)
		return true;
	/* A far end may take nothing before what it says itself is taken: each goes on alone. */
	if (up)
		settle_stream(session, client, upstream, &session->up);
	if (down)
		settle_stream(session, upstream, client, &session->down);
	return false;
}
