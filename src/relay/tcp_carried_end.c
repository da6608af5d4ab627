/* SPDX-License-Identifier: MIT */
/* The end of a session that the kernel knows of, and what is left of it for late packets. */
#include <search.h>
#include <stdlib.h>

#include "offload/datapath.h"
#include "os/sys.h"
#include "relay/relay.h"
#include "relay/tcp_offload.h"
#include "relay/tcp_session.h"

/* Milliseconds for which late packets are still led to where they belong. */
#define LINGER_TIME 10000

void tcp_offload_forget(struct relay *relay, struct tcp_offload *offload)
{
	datapath_forget(relay->datapath, offload->id, offload->tuples);
	free(offload);
}

/* Those that ended up to a time. Milliseconds until the next of them; 0: there is none. */
static uint64_t forget_ended(struct relay *relay, uint64_t until)
{
	struct list *head = &relay->offloads_ended;

	for (struct list *link = head->next, *next = link->next; link != head;
	     link = next, next = link->next) {
		struct tcp_offload *offload = container_of(link, struct tcp_offload, link);

		if (offload->next > until)
			return offload->next - until;
		list_remove(link);
		tcp_offload_forget(relay, offload);
	}
	return 0;
}

static void linger_expired(struct timer *timer)
{
	struct relay *relay = container_of(timer, struct relay, offload_timer);
	uint64_t wait = forget_ended(relay, relay->loop.now);

	if (wait > 0)
		loop_timer_set(&relay->loop, timer, wait);
}

void tcp_offload_init(struct relay *relay)
{
	list_init(&relay->offloads_ended);
	timer_init(&relay->offload_timer, linger_expired);
}

void tcp_offload_finish(struct relay *relay)
{
	timer_drop(&relay->offload_timer);
	forget_ended(relay, UINT64_MAX);
}

static void linger(struct relay *relay, struct tcp_offload *offload)
{
	offload->session = NULL;
	offload->next = relay->loop.now + LINGER_TIME;
	list_append(&relay->offloads_ended, &offload->link);
	if (!timer_is_set(&relay->offload_timer))
		loop_timer_set(&relay->loop, &relay->offload_timer, LINGER_TIME);
}

void tcp_carried_abandon(struct tcp_session *session)
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

	if (!tcp_carried_look(session, &noted))
		return true;
	if (noted.state == OFFLOAD_ENDED)
		return false;
	revive_sockets(session, &noted);
	datapath_end(session->relay->datapath, session->id);
	/* In order, with acknowledgements. */
	return reason == CLOSE_IDLE_TIMEOUT;
}

/* For the next mmproxy, which is neither to count nor to tell again what this one has. */
static void leave_word(struct tcp_session *session, bool over)
{
	struct datapath *datapath = session->relay->datapath;
	struct offload_record record;

	if (datapath_read_record(datapath, session->id, &record) < 0)
		return;
	record.over = over;
	record.counted[OFFLOAD_BALANCER] = session->up.bytes;
	record.counted[OFFLOAD_UPSTREAM] = session->down.bytes;
	datapath_keep_record(datapath, session->id, &record);
}

void tcp_offload_close(struct tcp_session *session, enum close_reason reason)
{
	struct tcp_offload *offload = session->offload;
	struct relay *relay = session->relay;

	if (!tcp_is_carried(session)) {
		tcp_offload_forget(relay, offload);
	} else {
		tdelete(offload, &relay->offloads, tcp_offload_compare);
		tcp_carried_abandon(session);
		if (reason == CLOSE_LEFT_TO_KERNEL) {
			tcp_offload_look(session);
			leave_word(session, false);
			free(offload);
		} else if (bring_news(session, reason)) {
			tcp_offload_forget(relay, offload);
		} else {
			leave_word(session, true);
			linger(relay, offload);
		}
	}
	session->offload = NULL;
}
