/* SPDX-License-Identifier: MIT */
#include "fake_datapath.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "fake_socket.h"
#include "offload/tuple.h"
#include "os/sys.h"

/* By so many milliseconds the times that the kernel notes may be late: see OFFLOAD_TICK. */
#define LATE 18

static uint64_t noted_time(uint64_t now)
{
	return now < LATE ? 0 : (now - LATE) * 1000000;
}

static struct fake_datapath *self_of(struct datapath *datapath)
{
	return container_of(datapath, struct fake_datapath, datapath);
}

static void expect(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fake_datapath: %s\n", what);
	abort();
}

static int fault(struct fake_datapath *self, enum fake_datapath_call call)
{
	self->calls[call]++;
	if (self->fail_in[call] == 0 || --self->fail_in[call] > 0)
		return 0;
	return self->errors[call];
}

struct fake_carried *fake_datapath_session(struct fake_datapath *self, uint64_t session)
{
	for (size_t i = 0; i < FAKE_CARRIED_MAX; i++)
		if (self->carried[i].used && self->carried[i].id == session)
			return &self->carried[i];
	return NULL;
}

size_t fake_datapath_count(const struct fake_datapath *self)
{
	size_t count = 0;

	for (size_t i = 0; i < FAKE_CARRIED_MAX; i++)
		count += self->carried[i].used;
	return count;
}

static bool same(const struct offload_tuple *a, const struct offload_tuple *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static struct fake_carried *find_place(struct fake_datapath *self,
				       const struct offload_tuple *tuple)
{
	for (size_t i = 0; i < FAKE_CARRIED_MAX; i++) {
		struct fake_carried *carried = &self->carried[i];

		for (unsigned leg = 0; leg < 2 && carried->used && carried->has_places; leg++)
			if (same(&carried->record.legs[leg].tuple, tuple))
				return carried;
	}
	return NULL;
}

/* The newest that is the program's: there may be older ones with the same addresses. */
static struct fake_socket *socket_with(struct fake_sys *fake, const struct offload_tuple *tuple)
{
	for (struct list *link = fake->sockets.previous; link != &fake->sockets;
	     link = link->previous) {
		struct fake_socket *socket = container_of(link, struct fake_socket, link);
		const struct offload_tuple its = offload_tuple_of(&socket->peer, &socket->bound);

		if (socket->fd >= 0 && same(&its, tuple))
			return socket;
	}
	return NULL;
}

static void tell_end(struct fake_carried *carried)
{
	struct fake_datapath *self = carried->of;

	carried->noted.state = OFFLOAD_ENDED;
	if (self->lose_events)
		return;
	expect(self->event_count < FAKE_CARRIED_MAX, "more ends than sessions");
	self->events[self->event_count++] = carried->id;
}

bool fake_datapath_event(struct fake_datapath *self, uint64_t *session)
{
	if (self->event_count == 0)
		return false;
	*session = self->events[0];
	memmove(self->events, self->events + 1, --self->event_count * sizeof(*session));
	return true;
}

static struct fake_carried *carried_by(struct fake_carrier *carrier)
{
	return container_of(carrier, struct fake_carried, carrier);
}

static void note_end(struct fake_carried *carried)
{
	struct fake_socket *const *sockets = carried->sockets;

	if (carried->noted.state == OFFLOAD_MOVED && sockets[0]->in_fin_arrived &&
	    sockets[0]->fin_acked && sockets[1]->in_fin_arrived && sockets[1]->fin_acked)
		tell_end(carried);
}

static void carry(struct fake_carrier *carrier, struct fake_socket *socket)
{
	struct fake_carried *carried = carried_by(carrier);
	unsigned leg = socket == carried->sockets[1];
	struct fake_socket *other = carried->sockets[!leg];
	size_t waiting = socket->in.length - socket->in_arrived;
	uint64_t now = noted_time(socket->fake->now);

	if (socket->hold_arrival)
		return;
	/* Of one that has been reset the host answers. */
	if (waiting > 0 && other->saw_reset) {
		socket->saw_reset = true;
		socket->state = FAKE_DEAD;
		return;
	}
	if (!socket->peer_silent)
		carried->noted.bases[leg].last_seen = now;
	if (waiting > 0) {
		fake_bytes_append(&other->out, socket->in.bytes + socket->in_arrived, waiting);
		socket->in_arrived = socket->in.length;
		carried->noted.last_active = now;
		fake_socket_flush(other);
	}
	if (socket->in_fin && !socket->in_fin_arrived) {
		socket->in_fin_arrived = other->out_fin = true;
		fake_socket_flush(other);
	}
	note_end(carried);
}

static void carry_reset(struct fake_carrier *carrier, struct fake_socket *socket)
{
	struct fake_carried *carried = carried_by(carrier);
	unsigned leg = socket == carried->sockets[1];
	struct fake_socket *other = carried->sockets[!leg];

	if (carried->noted.state == OFFLOAD_MOVED) {
		carried->noted.legs[leg].seen |= OFFLOAD_SEEN_RESET;
		tell_end(carried);
	}
	if (!other->peer_gone)
		other->saw_reset = true;
	socket->state = other->state = FAKE_DEAD;
}

void fake_datapath_begin_another(struct fake_carried *carried, enum offload_leg_name leg)
{
	expect(carried->noted.state == OFFLOAD_MOVED, "there is nothing to be ended");
	carried->noted.legs[leg].seen |= OFFLOAD_SEEN_SYN;
	/* The other far end asks, and hears that there is no such connection any more. */
	fake_peer_reset(carried->sockets[leg]);
}

static int observe(struct datapath *datapath, uint64_t session, const struct offload_record *record)
{
	struct fake_datapath *self = self_of(datapath);
	int error = fault(self, FAKE_OBSERVE);
	struct fake_carried *carried = NULL;

	if (error == 0 && self->full)
		error = -E2BIG;
	for (unsigned leg = 0; leg < 2 && error == 0; leg++)
		if (find_place(self, &record->legs[leg].tuple) != NULL)
			error = -EEXIST;
	for (size_t i = 0; i < FAKE_CARRIED_MAX && carried == NULL; i++)
		if (!self->carried[i].used)
			carried = &self->carried[i];
	if (error == 0 && carried == NULL)
		error = -E2BIG;
	if (error < 0)
		return error;
	expect(fake_datapath_session(self, session) == NULL, "a session is observed twice");
	*carried = (struct fake_carried){
		.carrier = {.carry = carry, .reset = carry_reset},
		.of = self,
		.used = true,
		.has_places = true,
		.id = session,
		.record = *record,
	};
	for (unsigned leg = 0; leg < 2; leg++) {
		carried->sockets[leg] = socket_with(self->fake, &record->legs[leg].tuple);
		expect(carried->sockets[leg] != NULL, "a tuple is no socket's");
	}
	return 0;
}

static int keep_record(struct datapath *datapath, uint64_t session,
		       const struct offload_record *record)
{
	struct fake_carried *carried = fake_datapath_session(self_of(datapath), session);
	int error = fault(self_of(datapath), FAKE_KEEP_RECORD);

	expect(carried != NULL, "a record of no session");
	if (error == 0)
		carried->record = *record;
	return error;
}

static int read_record(struct datapath *datapath, uint64_t session, struct offload_record *record)
{
	struct fake_carried *carried = fake_datapath_session(self_of(datapath), session);
	int error = fault(self_of(datapath), FAKE_READ_RECORD);

	if (error == 0 && carried == NULL)
		error = -ENOENT;
	if (error == 0)
		*record = carried->record;
	return error;
}

static uint8_t seen(const struct fake_carried *carried, unsigned leg)
{
	uint8_t seen = carried->noted.legs[leg].seen;

	if (!carried->of->unseen[leg])
		seen |= OFFLOAD_SEEN_ANY | OFFLOAD_SEEN_TIMESTAMP;
	if (carried->of->odd[leg])
		seen |= OFFLOAD_SEEN_ODD;
	if (carried->sockets[leg]->in_fin_arrived)
		seen |= OFFLOAD_SEEN_FIN;
	return seen;
}

static struct offload_session noted(const struct fake_carried *carried)
{
	struct offload_session noted = carried->noted;

	for (unsigned i = 0; i < 2; i++) {
		const struct fake_socket *socket = carried->sockets[i];
		struct offload_leg *leg = &noted.legs[i];
		struct offload_base *base = &noted.bases[i];

		leg->seen = seen(carried, i);
		leg->end = socket->first_received + (uint32_t)socket->in_arrived +
			   socket->in_fin_arrived;
		leg->acked = socket->first_sent + (uint32_t)socket->out_acked + socket->fin_acked;
		leg->timestamp = 7 * socket->ticks;
		base->interface = carried->of->interfaces[i];
		if (noted.state == OFFLOAD_OBSERVED)
			continue;
		base->sent = socket->first_sent + (uint32_t)carried->sent[i];
		leg->delivered =
			(int64_t)socket->out_acked - (int64_t)carried->sent[i] + socket->fin_acked;
	}
	return noted;
}

static int look(struct datapath *datapath, uint64_t session, struct offload_session *found)
{
	struct fake_carried *carried = fake_datapath_session(self_of(datapath), session);
	int error = fault(self_of(datapath), FAKE_LOOK);

	if (error == 0 && carried == NULL)
		error = -ENOENT;
	if (error == 0)
		*found = noted(carried);
	return error;
}

/* The relay hands it on, and does not look at it. */
static int find_way(struct datapath *datapath, unsigned from, unsigned to,
		    const struct offload_tuple *tuple)
{
	int error = fault(self_of(datapath), FAKE_FIND_WAY);

	(void)tuple;
	if (error < 0)
		return error;
	if (from == to)
		return OFFLOAD_IN_PLACE;
	return to == DATAPATH_LOOPBACK ? OFFLOAD_TO_LOOPBACK : OFFLOAD_TO_NEIGHBOUR;
}

static void untrack(struct datapath *datapath, const struct offload_tuple *tuple)
{
	expect(find_place(self_of(datapath), tuple) != NULL, "nobody's packets are untracked");
	self_of(datapath)->untracked++;
}

/* A byte that comes by `from` must be the one behind the last that was sent to `to`. */
static void judge_change(const struct offload_change *change, const struct fake_socket *from,
			 const struct fake_socket *to, const struct offload_tuple *tuple)
{
	struct tcp_position in, out;

	fake_socket_position(from, &in);
	fake_socket_position(to, &out);
	expect(change->sequence == out.sent - in.received, "sequence numbers do not fit");
	expect(change->acknowledgement == out.received - in.sent, "acknowledgements do not fit");
	/* What the two clocks say of each other is the kernel's tests' concern. */
	expect(same(&change->tuple, tuple), "packets would go to somebody else");
}

static int move(struct datapath *datapath, const struct offload_move *move)
{
	struct fake_datapath *self = self_of(datapath);
	struct fake_carried *carried = fake_datapath_session(self, move->session);
	int error = fault(self, FAKE_MOVE);
	struct offload_session now;

	if (error < 0)
		return error;
	if (self->before_move != NULL)
		self->before_move(self->context);
	if (carried == NULL || carried->noted.state != OFFLOAD_OBSERVED)
		return -ENOENT;
	now = noted(carried);
	for (unsigned i = 0; i < 2; i++)
		if (now.legs[i].end != move->legs[i].received)
			return -EAGAIN;
	for (unsigned i = 0; i < 2; i++) {
		const struct offload_tuple there =
			offload_tuple_turned(&carried->record.legs[!i].tuple);

		judge_change(&move->legs[i].change, carried->sockets[i], carried->sockets[!i],
			     &there);
		carried->sent[i] = carried->sockets[i]->out.length;
		carried->noted.bases[i].change = move->legs[i].change;
		carried->noted.bases[i].last_seen = noted_time(self->fake->now);
		carried->sockets[i]->carrier = &carried->carrier;
	}
	carried->noted.state = OFFLOAD_MOVED;
	/* What a full buffer has kept back is on its way now. */
	for (unsigned i = 0; i < 2; i++)
		fake_network(carried->sockets[i]);
	return 0;
}

static int end(struct datapath *datapath, uint64_t session)
{
	struct fake_carried *carried = fake_datapath_session(self_of(datapath), session);
	int error = fault(self_of(datapath), FAKE_END);

	if (error < 0)
		return error;
	if (carried == NULL || carried->noted.state != OFFLOAD_MOVED)
		return -ENOENT;
	carried->noted.legs[OFFLOAD_BALANCER].seen |= OFFLOAD_SEEN_TAKEN;
	tell_end(carried);
	return 0;
}

static void forget_places(struct datapath *datapath, uint64_t session,
			  const struct offload_tuple tuples[static 2])
{
	struct fake_carried *carried = fake_datapath_session(self_of(datapath), session);

	if (carried == NULL)
		return;
	carried->has_places = false;
	for (unsigned i = 0; i < 2; i++) {
		expect(same(&tuples[i], &carried->record.legs[i].tuple), "another's places");
		if (carried->sockets[i]->carrier == &carried->carrier)
			carried->sockets[i]->carrier = NULL;
	}
}

static void forget(struct datapath *datapath, uint64_t session,
		   const struct offload_tuple tuples[static 2])
{
	struct fake_carried *carried = fake_datapath_session(self_of(datapath), session);

	forget_places(datapath, session, tuples);
	if (carried != NULL)
		carried->used = false;
}

static int find(struct datapath *datapath, const struct offload_tuple *tuple, uint64_t *session)
{
	struct fake_carried *carried = find_place(self_of(datapath), tuple);

	if (carried == NULL)
		return -ENOENT;
	*session = carried->id;
	return 0;
}

static int each(struct datapath *datapath, void (*visit)(uint64_t session, void *context),
		void *context)
{
	struct fake_datapath *self = self_of(datapath);

	for (size_t i = 0; i < FAKE_CARRIED_MAX; i++)
		if (self->carried[i].used)
			visit(self->carried[i].id, context);
	return 0;
}

static struct fake_carried *carried_with(struct datapath *datapath,
					 const struct offload_record *record)
{
	struct fake_datapath *self = self_of(datapath);

	for (size_t i = 0; i < FAKE_CARRIED_MAX; i++)
		if (self->carried[i].used &&
		    memcmp(&self->carried[i].record, record, sizeof(*record)) == 0)
			return &self->carried[i];
	expect(false, "a record of no session");
	return NULL;
}

static int revive(struct datapath *datapath, const struct offload_record *record,
		  const struct offload_session *found, enum offload_leg_name leg)
{
	struct fake_datapath *self = self_of(datapath);
	struct fake_socket *socket = carried_with(datapath, record)->sockets[leg];
	int error = fault(self, FAKE_REVIVE);

	(void)found;
	if (error == 0 && self->fake->open >= self->fake->descriptor_limit)
		error = -EMFILE;
	if (error < 0)
		return error;
	expect(socket->fd < 0, "a socket is there still, and cannot be revived");
	socket->fd = fake_take_fd(self->fake);
	socket->closed = FAKE_OPEN;
	/* It may have given up on its own. */
	if (socket->state == FAKE_DEAD && !socket->peer_gone)
		socket->state = FAKE_CONNECTED;
	socket->linger = false;
	socket->in_read = socket->in_arrived;
	return socket->fd;
}

static int probe(struct datapath *datapath, const struct offload_record *record,
		 const struct offload_session *found, enum offload_leg_name leg)
{
	struct fake_datapath *self = self_of(datapath);
	struct fake_carried *carried = carried_with(datapath, record);
	int error = fault(self, FAKE_PROBE);

	(void)found;
	if (error < 0)
		return error;
	carried->last_probe = self->fake->now;
	if (!carried->sockets[leg]->peer_silent)
		carried->noted.bases[leg].last_seen = noted_time(self->fake->now);
	return 0;
}

static const struct datapath_calls calls = {
	.observe = observe,
	.keep_record = keep_record,
	.read_record = read_record,
	.look = look,
	.find_way = find_way,
	.move = move,
	.end = end,
	.forget_places = forget_places,
	.forget = forget,
	.untrack = untrack,
	.find = find,
	.each = each,
	.revive = revive,
	.probe = probe,
};

void fake_datapath_init(struct fake_datapath *self, struct fake_sys *fake)
{
	*self = (struct fake_datapath){
		.datapath = {.calls = &calls},
		.fake = fake,
		.interfaces = {1, 1},
	};
}

void fake_datapath_fail(struct fake_datapath *self, enum fake_datapath_call call, unsigned in,
			int error)
{
	self->fail_in[call] = in;
	self->errors[call] = error;
}
