/* SPDX-License-Identifier: MIT */
/*
 * The schedule's steps, and the rules. First the byte string says how large buffers, windows and
 * pipes are, then what happens, a byte or two a step. When it is used up everybody makes an end:
 * what was held back is let go, readers read, whoever has not finished finishes, time passes. Then
 * the session must be over, and have told the truth to both sides.
 */
#include "tcp_schedule.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "fake_datapath.h"
#include "fake_sys.h"
#include "relay/tcp_session.h"
#include "relay_fixture.h"
#include "tcp_schedule_plugins.h"

/* Below every deadline of a session that reads, writes and acknowledges in the end. */
#define TIME_MAX 20000
#define TIME_END 200000
/* Each side sends no more than about this: it may go through in very small pieces. */
#define BYTES_MAX (2 << 20)

/* The header as a client sends it: in one piece, or in two. */
#define HEADER      FIXTURE_V1
#define HEADER_SIZE FIXTURE_V1_SIZE

struct schedule {
	const uint8_t *bytes;
	size_t length, at;
	FILE *trace;
	struct relay_fixture fixture;
	struct fake_datapath kernel; /* where the last byte is odd */
	struct schedule_plugins plugins;
	struct fake_socket *client, *upstream; /* the second is NULL before the dial */
	size_t header_sent;
	uint64_t passed; /* milliseconds */
	unsigned faults;
	bool reset[2]; /* client, upstream: it has sent a reset of its own accord */
	bool hard;     /* a call failed for good: the session may end in the middle */
	const char *broken;
};

static uint8_t next(struct schedule *schedule)
{
	return schedule->at < schedule->length ? schedule->bytes[schedule->at++] : 0;
}

static uint8_t next_of(void *schedule)
{
	return next(schedule);
}

__attribute__((format(printf, 2, 3))) static void note(struct schedule *schedule,
						       const char *format, ...)
{
	va_list values;

	if (schedule->trace == NULL)
		return;
	va_start(values, format);
	vfprintf(schedule->trace, format, values);
	va_end(values);
	fputc('\n', schedule->trace);
}

static void expect(struct schedule *schedule, bool holds, const char *rule)
{
	if (holds || schedule->broken != NULL)
		return;
	schedule->broken = rule;
	note(schedule, "BROKEN: %s", rule);
}

static size_t pick_size(struct schedule *schedule)
{
	static const size_t sizes[] = {1,     2,     17,    100,   1000,   1460,   5000,   9000,
				       20000, 40000, 65535, 65536, 100000, 131072, 200000, 3};

	return sizes[next(schedule) % 16];
}

static size_t pick_limit(struct schedule *schedule)
{
	static const size_t limits[] = {4 << 20, 4 << 20, 500000, 200000, 65536, 30000, 5000, 700};

	return limits[next(schedule) % 8];
}

static void set_up(struct schedule *schedule)
{
	struct relay_fixture *fixture = &schedule->fixture;
	uint8_t flags;

	fixture_start(fixture);
	fixture->fake.receive_limit = pick_limit(schedule);
	fixture->fake.send_limit = pick_limit(schedule);
	fixture->fake.peer_window = pick_limit(schedule);
	fixture->fake.splice_limit = pick_limit(schedule);
	flags = next(schedule);
	fixture->fake.hold_connects = (flags & 1) != 0;
	fixture->event_limit = (flags & 2) != 0 ? 1 : 128;
	if (flags & 4)
		fixture->relay.pipes.limit = 0;
	if (flags & 8)
		fixture->fake.pipe_size = (flags & 16) != 0 ? 65536 : 4096;
	if (flags & 32)
		fixture->settings.user_timeout = 0;
	if (flags & 128)
		schedule_plugins_use(&schedule->plugins, fixture, next(schedule), next_of,
				     schedule);
	if (schedule->length > 0 && schedule->bytes[schedule->length - 1] & 1)
		fixture_use_datapath(fixture, &schedule->kernel);
	schedule->client = fake_incoming(fixture->listening, FIXTURE_BALANCER);
	schedule->header_sent = flags & 64 ? next(schedule) % HEADER_SIZE : HEADER_SIZE;
	fake_peer_send(schedule->client, HEADER, schedule->header_sent);
}

static bool may_send(const struct fake_socket *peer)
{
	return peer->state == FAKE_CONNECTED && !peer->in_fin && !peer->peer_gone &&
	       peer->closed == FAKE_OPEN;
}

/* The client's first bytes are the header's; what is still due of it goes first. */
static void complete_header(struct schedule *schedule)
{
	if (!may_send(schedule->client))
		return;
	fake_peer_send(schedule->client, &HEADER[schedule->header_sent],
		       HEADER_SIZE - schedule->header_sent);
	schedule->header_sent = HEADER_SIZE;
}

static void send_bytes(struct schedule *schedule, struct fake_socket *peer, size_t size)
{
	if (!may_send(peer) || peer->in.length > BYTES_MAX)
		return;
	if (peer == schedule->client)
		complete_header(schedule);
	fixture_send(peer, size);
}

static void finish(struct schedule *schedule, struct fake_socket *peer)
{
	if (peer == schedule->client)
		complete_header(schedule);
	if (!peer->peer_gone)
		fake_peer_finish(peer);
}

static void reset(struct schedule *schedule, struct fake_socket *peer)
{
	if (peer->closed == FAKE_OPEN && peer->state == FAKE_CONNECTED)
		schedule->reset[peer == schedule->upstream] = true;
	fake_peer_reset(peer);
}

static void read_some(struct fake_socket *peer, size_t size)
{
	peer->peer_stalls = true;
	fake_peer_read(peer, size);
}

static void inject(struct schedule *schedule)
{
	static const enum fake_call calls[] = {FAKE_RECV,       FAKE_SEND,   FAKE_SPLICE_IN,
					       FAKE_SPLICE_OUT, FAKE_ACCEPT, FAKE_RECV};
	static const enum fake_call hard_calls[] = {
		FAKE_RECV, FAKE_SEND,   FAKE_SPLICE_IN, FAKE_SPLICE_OUT, FAKE_SOCKET,
		FAKE_PIPE, FAKE_UNSENT, FAKE_WATCH,     FAKE_BIND,       FAKE_CONNECT};
	static const int errors[] = {-ECONNRESET, -ETIMEDOUT, -EPIPE, -ENOMEM};
	uint8_t what = next(schedule), when = next(schedule);

	if (schedule->faults++ >= FAKE_PLANS_MAX)
		return;
	if (what < 240) {
		fake_fail(&schedule->fixture.fake, calls[what % 6], 1 + when % 8,
			  what & 64 ? -EINTR : -EAGAIN);
		return;
	}
	schedule->hard = true;
	fake_fail(&schedule->fixture.fake, hard_calls[when % 10], 1 + when % 3, errors[what % 4]);
}

static void pass(struct schedule *schedule, uint64_t milliseconds)
{
	if (schedule->passed + milliseconds > TIME_MAX)
		return;
	schedule->passed += milliseconds;
	fixture_pass(&schedule->fixture, milliseconds);
}

static void settle_connect(struct schedule *schedule, bool done)
{
	struct fake_socket *upstream = schedule->upstream;

	if (upstream == NULL || upstream->state != FAKE_CONNECTING || upstream->closed != FAKE_OPEN)
		return;
	if (done) {
		fake_connect_done(upstream);
	} else {
		schedule->hard = true;
		fake_connect_failed(upstream, -ECONNREFUSED);
	}
}

static void hold(struct fake_socket *peer, uint8_t how)
{
	peer->hold_arrival = (how & 1) != 0;
	peer->hold_delivery = (how & 2) != 0;
	peer->hold_acks = (how & 4) != 0;
	fake_network(peer);
}

static const char *const step_names[32] = {
	[0] = "finishes",
	[1] = "resets",
	[2] = "closes",
	[3 ... 4] = "is held",
	[5 ... 6] = "is let go",
	[7 ... 8] = "reads",
	[9] = "reads on",
	[10] = "gets a fault",
	[11] = "sends urgent data",
	[12] = "and time passes",
	[13] = "and much time passes",
	[14 ... 15] = "answers the dial",
	[16 ... 17] = "settles",
	[18] = "gets a verdict, or settles",
	[19 ... 23] = "in a round",
	[24 ... 31] = "sends",
};

static void step(struct schedule *schedule)
{
	uint8_t what = next(schedule);
	struct fake_socket *peer = what & 128 ? schedule->upstream : schedule->client;

	if (peer == NULL)
		peer = schedule->client;
	note(schedule, "%llu: %s %s (%u)", (unsigned long long)schedule->passed,
	     peer == schedule->client ? "client" : "upstream", step_names[what % 32U],
	     schedule->at < schedule->length ? schedule->bytes[schedule->at] : 0U);
	switch (what % 32) {
	case 0:
		finish(schedule, peer);
		break;
	case 1:
		/* Rare, or hardly any schedule would see an orderly end. */
		if (next(schedule) % 4 == 0)
			reset(schedule, peer);
		break;
	case 2:
		if (next(schedule) % 4 == 0 && may_send(peer)) {
			complete_header(schedule);
			fake_peer_close(peer);
		}
		break;
	case 3:
	case 4:
		hold(peer, next(schedule));
		break;
	case 5:
	case 6:
		hold(peer, 0);
		break;
	case 7:
	case 8:
		read_some(peer, pick_size(schedule));
		break;
	case 9:
		peer->peer_stalls = false;
		fake_network(peer);
		break;
	case 10:
		inject(schedule);
		break;
	case 11:
		/* Rare where it would keep nearly every session from the kernel. */
		if (schedule->fixture.datapath != NULL && next(schedule) % 16 != 0)
			break;
		if (may_send(peer) && schedule->header_sent == HEADER_SIZE)
			fake_peer_send_urgent(peer, '!');
		break;
	case 12:
		pass(schedule, 1 + next(schedule));
		break;
	case 13:
		pass(schedule, 20U * next(schedule));
		break;
	case 14:
	case 15:
		settle_connect(schedule, next(schedule) % 16 != 0);
		break;
	case 16:
	case 17:
		fixture_settle(&schedule->fixture);
		break;
	case 18:
		if (!schedule_plugins_answer(&schedule->plugins, what / 32))
			fixture_settle(&schedule->fixture);
		break;
	case 19:
	case 20:
	case 21:
	case 22:
	case 23:
		fixture_round(&schedule->fixture);
		break;
	default:
		send_bytes(schedule, peer, pick_size(schedule));
		break;
	}
}

/* `to` holds a start of what `from` sent, and sees an orderly end only behind all of it. */
static void check_direction(struct schedule *schedule, const struct fake_socket *from,
			    const struct fake_socket *to, size_t skip)
{
	size_t sent = from->in.length > skip ? from->in.length - skip : 0;

	expect(schedule, to->out.length <= sent, "bytes arrive that nobody sent");
	if (schedule->broken == NULL && to->out.length > 0)
		expect(schedule, memcmp(to->out.bytes, from->in.bytes + skip, to->out.length) == 0,
		       "the bytes are others than were sent");
	if (to->fin_delivered)
		expect(schedule, from->in_fin && to->out_delivered == sent,
		       "an orderly end stands before the last byte");
}

static size_t in_hand(const struct fake_socket *from, const struct fake_socket *to, size_t skip)
{
	size_t passed_on = to->out.length + skip;

	return from->in_read > passed_on ? from->in_read - passed_on : 0;
}

/* After every step. */
static void check_always(struct schedule *schedule)
{
	const struct fake_socket *client = schedule->client;
	size_t limit = schedule->fixture.fake.pipe_size > 0 ? RELAY_HOT_SIZE : 4 * RELAY_HOT_SIZE;

	if (schedule->upstream == NULL)
		schedule->upstream = fake_dialled(&schedule->fixture.fake);
	if (schedule->upstream == NULL || schedule->upstream->state == FAKE_CONNECTING)
		return;
	if (fixture_session(&schedule->fixture) == NULL)
		return;
	expect(schedule, in_hand(client, schedule->upstream, HEADER_SIZE) <= limit,
	       "more is held for the upstream than is allowed");
	expect(schedule, in_hand(schedule->upstream, client, 0) <= limit,
	       "more is held for the client than is allowed");
}

/* One side reset of its own accord, the other did nothing of the kind. */
static void check_reset(struct schedule *schedule, const struct fake_socket *died,
			const struct fake_socket *other, size_t skip)
{
	size_t arrived = died->in_arrived > skip ? died->in_arrived - skip : 0;
	size_t read = died->in_read > skip ? died->in_read - skip : 0;

	/* It may have come too late to matter. */
	if (fixture_closed(&schedule->fixture, CLOSE_FINISHED) > 0)
		return;
	expect(schedule, other->saw_reset, "a reset was not passed on");
	/* In the kernel it may overtake what is on its way, as between any two hosts. */
	if (fixture_count(&schedule->fixture, COUNTER_OFFLOADED) > 0)
		return;
	expect(schedule, other->destroyed == 0, "a reset destroyed bytes that were on their way");
	expect(schedule, other->out_delivered >= read,
	       "a byte that was read before a reset is lost");
	expect(schedule, other->out_delivered == arrived,
	       "a byte that had arrived before a reset is lost");
}

static void check_end(struct schedule *schedule)
{
	const struct fake_socket *client = schedule->client, *upstream = schedule->upstream;
	bool finished = fixture_closed(&schedule->fixture, CLOSE_FINISHED) > 0;
	const char *broken =
		schedule_plugins_check(&schedule->plugins, client, schedule->faults == 0);

	expect(schedule, fixture_session(&schedule->fixture) == NULL, "the session lives on");
	expect(schedule, broken == NULL, broken);
	if (upstream == NULL || upstream->state == FAKE_CONNECTING ||
	    fixture_count(&schedule->fixture, COUNTER_SESSIONS_RELAYED) == 0)
		return;
	check_direction(schedule, client, upstream, HEADER_SIZE);
	check_direction(schedule, upstream, client, 0);
	if (schedule->hard)
		return;
	if (schedule->reset[0] && !schedule->reset[1] && !upstream->peer_gone)
		check_reset(schedule, client, upstream, HEADER_SIZE);
	if (schedule->reset[1] && !schedule->reset[0] && !client->peer_gone)
		check_reset(schedule, upstream, client, 0);
	if (!client->peer_gone && !upstream->peer_gone) {
		expect(schedule, finished, "nobody broke off, and the session is not finished");
		expect(schedule, !client->saw_reset && !upstream->saw_reset,
		       "a reset that nobody sent");
		expect(schedule, client->fin_delivered && upstream->fin_delivered,
		       "an orderly end was not passed on");
	}
	if (finished)
		expect(schedule, !client->shut_when_dead && !upstream->shut_when_dead,
		       "an orderly end, where a reset had come in");
}

static void note_socket(struct schedule *schedule, const char *name,
			const struct fake_socket *socket)
{
	note(schedule,
	     "%s: sent %zu%s, arrived %zu, read %zu; was sent %zu%s, has %zu%s, reset %d, lost "
	     "%zu; "
	     "state %d, closed %d",
	     name, socket->in.length, socket->in_fin ? " and FIN" : "", socket->in_arrived,
	     socket->in_read, socket->out.length, socket->out_fin ? " and FIN" : "",
	     socket->out_delivered, socket->fin_delivered ? " and FIN" : "", socket->saw_reset,
	     socket->destroyed, (int)socket->state, (int)socket->closed);
}

static void note_end(struct schedule *schedule)
{
	note_socket(schedule, "client", schedule->client);
	if (schedule->upstream != NULL)
		note_socket(schedule, "upstream", schedule->upstream);
	for (unsigned i = 0; i < CLOSE_REASON_COUNT; i++) {
		if (fixture_closed(&schedule->fixture, (enum close_reason)i) > 0)
			note(schedule, "%s", close_reason_name((enum close_reason)i));
	}
}

static void let_go(struct fake_socket *peer)
{
	peer->hold_arrival = peer->hold_delivery = peer->hold_acks = peer->peer_stalls = false;
	fake_network(peer);
}

static void make_an_end(struct schedule *schedule)
{
	schedule->fixture.fake.hold_connects = false;
	for (unsigned round = 0; round < 3; round++) {
		if (schedule->upstream == NULL)
			schedule->upstream = fake_dialled(&schedule->fixture.fake);
		settle_connect(schedule, true);
		finish(schedule, schedule->client);
		let_go(schedule->client);
		if (schedule->upstream != NULL) {
			finish(schedule, schedule->upstream);
			let_go(schedule->upstream);
		}
		fixture_settle(&schedule->fixture);
		if (schedule_plugins_answer(&schedule->plugins, 0))
			fixture_settle(&schedule->fixture);
	}
	fixture_pass(&schedule->fixture, TIME_END);
	/* What was still on its way when the program closed. */
	let_go(schedule->client);
	if (schedule->upstream != NULL)
		let_go(schedule->upstream);
}

const char *tcp_schedule_run(const uint8_t *bytes, size_t length, FILE *trace)
{
	static struct schedule schedule;

	schedule = (struct schedule){.bytes = bytes, .length = length, .trace = trace};
	set_up(&schedule);
	while (schedule.at < length && schedule.broken == NULL) {
		step(&schedule);
		check_always(&schedule);
	}
	make_an_end(&schedule);
	check_end(&schedule);
	note_end(&schedule);
	fixture_stop(&schedule.fixture);
	return schedule.broken;
}
