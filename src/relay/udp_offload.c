/* SPDX-License-Identifier: MIT */
/*
 * Handing over goes in steps, so that no datagram is lost: first the kernel gets the flow, with its
 * socket still open for what had been on its way; then, a moment later, the socket is closed.
 * Taking back goes the other way round.
 */
#include "relay/udp_offload.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "os/sys.h"
#include "relay/relay.h"
#include "relay/settings.h"
#include "relay/udp_handover.h"
#include "relay/udp_workspace.h"

/*
 * Datagrams from the client before a flow is handed over, and as many from the upstream: a question
 * with its answer, or a few, costs nothing more. After each return it takes so many times more.
 */
#define FIRST_DATAGRAMS 4
#define RETURN_FACTOR   8
#define RETURNS_MAX     6

/* Milliseconds for which the socket stays, for what was under way; longer while no answer comes. */
#define SETTLE_TIME  100
#define SETTLE_TIMES 10

/*
 * Milliseconds from look to look at a flow; and how many flows a second are looked at, at least
 * roughly, where there are many.
 */
#define LOOK_INTERVAL    1000
#define LOOKS_PER_SECOND 1000

/* Looks until a flow that was first silent, and then only asks, is taken back. */
#define LOOKS_TO_PROVE 2

enum state {
	CONSIDERED, /* its header is known */
	GIVEN,      /* the kernel has it, the socket is there yet */
	CARRIED,    /* without a socket */
};

struct udp_offload {
	struct udp_flow *flow;
	struct timer timer;
	struct udp_places places;
	enum state state;
	uint64_t sent;     /* from the client by us, when it was given */
	uint64_t answered; /* from the upstream, at the last look */
	bool asked;        /* the kernel had passed something before that look; */
	bool asking;       /* since the one before */
	bool proven;       /* and that was answered */
	unsigned looks;    /* while the socket stays */
	unsigned in_vain;  /* looks at which something had been asked, and nothing answered */
	struct offload_udp_passed from_client,
		from_upstream; /* what has been counted of the kernel's */
	uint8_t header_length;
	uint8_t header[OFFLOAD_UDP_HEADER_MAX];
};

bool udp_offload_is_possible(const struct relay *relay)
{
	return relay->datapath != NULL && relay->datapath->udp != NULL;
}

static bool is_wanted(const struct udp_listener *listener)
{
	return udp_offload_is_possible(listener->relay) && listener->settings->offload;
}

void udp_offload_prepare_listener(struct udp_listener *listener)
{
	const struct sys *sys = listener->relay->sys;

	if (listener->offers || !is_wanted(listener))
		return;
	listener->offers = true;
	/* The interface that a datagram came by. Of an IPv4 socket the second fails. */
	sys->set_option(listener->fd, IPPROTO_IP, IP_PKTINFO, 1);
	sys->set_option(listener->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	/* Interfaces would join datagrams for it, which then have a header each. */
	sys->set_option(listener->fd, IPPROTO_UDP, UDP_GRO, 0);
}

uint64_t udp_offload_first(const struct udp_listener *listener)
{
	return is_wanted(listener) ? FIRST_DATAGRAMS : UINT64_MAX;
}

bool udp_offload_is_carried(const struct udp_flow *flow)
{
	return flow->offload != NULL && flow->offload->state != CONSIDERED;
}

/* When the flow is considered next. */
static void put_off(struct udp_flow *flow)
{
	uint64_t datagrams = FIRST_DATAGRAMS;

	if (flow->offload_returns < RETURNS_MAX)
		flow->offload_returns++;
	for (unsigned i = 0; i < flow->offload_returns; i++)
		datagrams *= RETURN_FACTOR;
	flow->offload_at = flow->datagrams_from_client + datagrams;
}

static void drop(struct udp_flow *flow)
{
	timer_drop(&flow->offload->timer);
	free(flow->offload);
	flow->offload = NULL;
}

static void add_passed(struct offload_udp_passed *counted, const struct offload_udp_count *noted,
		       uint64_t *datagrams, uint64_t *bytes, struct counter_set *counters,
		       enum counter counter_datagrams, enum counter counter_bytes)
{
	uint64_t more = noted->datagrams - counted->datagrams;
	uint64_t more_bytes = noted->bytes - counted->bytes;

	*datagrams += more;
	*bytes += more_bytes;
	counter_add(counters, counter_datagrams, more);
	counter_add(counters, counter_bytes, more_bytes);
	*counted = (struct offload_udp_passed){noted->datagrams, noted->bytes};
}

/* Returns when it was used last, in milliseconds of the loop's clock. */
static uint64_t count(struct udp_flow *flow, const struct offload_udp_flow *noted)
{
	struct counter_set *counters = &flow->listener->relay->counters;
	struct udp_offload *offload = flow->offload;
	uint64_t used = noted->from_client.last_seen;

	add_passed(&offload->from_client, &noted->from_client, &flow->datagrams_from_client,
		   &flow->bytes_from_client, counters, COUNTER_DATAGRAMS_FROM_CLIENT,
		   COUNTER_BYTES_FROM_CLIENT);
	add_passed(&offload->from_upstream, &noted->from_upstream, &flow->datagrams_from_upstream,
		   &flow->bytes_from_upstream, counters, COUNTER_DATAGRAMS_FROM_UPSTREAM,
		   COUNTER_BYTES_FROM_UPSTREAM);
	if (noted->from_upstream.last_seen > used)
		used = noted->from_upstream.last_seen;
	used /= 1000000;
	/* The round may have begun before that. */
	if (used > flow->listener->relay->loop.now)
		used = flow->listener->relay->loop.now;
	return used > flow->entry.last_used ? used : flow->entry.last_used;
}

uint64_t udp_offload_count(struct udp_flow *flow)
{
	struct offload_udp_flow noted;

	if (!udp_offload_is_carried(flow) ||
	    udp_datapath_look(flow->listener->relay->datapath, flow->id, &noted) < 0)
		return flow->entry.last_used;
	return count(flow, &noted);
}

bool udp_offload_look(struct udp_flow *flow)
{
	uint64_t used = udp_offload_count(flow);

	if (used <= flow->entry.last_used)
		return false;
	flow_table_touch_at(&flow->listener->flows, &flow->entry, used);
	return true;
}

/* The kernel has nothing of it any more. */
static void take(struct udp_flow *flow)
{
	struct relay *relay = flow->listener->relay;
	struct offload_udp_flow noted;

	if (udp_offload_is_carried(flow)) {
		udp_claim_take_back(relay->udp_claims, &flow->claim);
		if (udp_datapath_look(relay->datapath, flow->id, &noted) == 0)
			count(flow, &noted);
		udp_datapath_forget(relay->datapath, flow->id);
		flow->listener->carried--;
	}
	drop(flow);
}

/*
 * For the next mmproxy: what has passed without the kernel, also after it got the flow, and what of
 * the kernel's has been counted, and is not to be counted again.
 */
static void write_record(const struct udp_flow *flow)
{
	struct datapath *datapath = flow->listener->relay->datapath;
	const struct udp_offload *offload = flow->offload;
	struct offload_udp_record record;

	if (udp_datapath_read_record(datapath, flow->id, &record) < 0)
		return;
	record.counted[0] = offload->from_client;
	record.counted[1] = offload->from_upstream;
	record.before[0].datagrams = flow->datagrams_from_client - offload->from_client.datagrams;
	record.before[0].bytes = flow->bytes_from_client - offload->from_client.bytes;
	record.before[1].datagrams =
		flow->datagrams_from_upstream - offload->from_upstream.datagrams;
	record.before[1].bytes = flow->bytes_from_upstream - offload->from_upstream.bytes;
	udp_datapath_keep_record(datapath, flow->id, &record);
}

void udp_offload_end(struct udp_flow *flow, bool leave)
{
	if (flow->offload == NULL)
		return;
	if (!leave) {
		take(flow);
		return;
	}
	udp_offload_count(flow);
	write_record(flow);
	udp_claim_leave(flow->listener->relay->udp_claims, &flow->claim);
	flow->listener->carried--;
	drop(flow);
}

/*
 * One whose claim is lost goes on elsewhere, and has no places any more. Left, it would be taken
 * for a flow that lives.
 */
static void leave(struct udp_flow *flow)
{
	udp_flow_close(flow,
		       udp_claim_is_lost(&flow->claim) ? CLOSE_FLOW_MOVED : CLOSE_LEFT_TO_KERNEL);
}

static void leave_queue(struct list *queue)
{
	for (struct list *link = queue->next, *next = link->next; link != queue;
	     link = next, next = link->next) {
		struct flow_entry *entry = container_of(link, struct flow_entry, link);
		struct udp_flow *flow = container_of(entry, struct udp_flow, entry);

		if (flow->offload != NULL && flow->offload->state == CARRIED)
			leave(flow);
	}
}

void udp_offload_leave(struct relay *relay)
{
	relay->leaving = true;
	for (struct list *link = relay->udp_listeners.next; link != &relay->udp_listeners;
	     link = link->next) {
		struct udp_listener *listener = container_of(link, struct udp_listener, link);

		leave_queue(&listener->flows.fresh);
		leave_queue(&listener->flows.assured);
	}
}

bool udp_offload_take_back(struct udp_flow *flow)
{
	counter_add(&flow->listener->relay->counters, COUNTER_OFFLOAD_UDP_RETURNED, 1);
	/* Answers have somewhere to go at any time. */
	if (flow->fd < 0 && !udp_dial_again(flow))
		return false;
	take(flow);
	put_off(flow);
	return true;
}

static void set_look(struct udp_flow *flow)
{
	struct udp_listener *listener = flow->listener;
	uint64_t wait = LOOK_INTERVAL;

	if (listener->carried > LOOKS_PER_SECOND)
		wait = (uint64_t)listener->carried * LOOK_INTERVAL / LOOKS_PER_SECOND;
	loop_timer_set(&listener->relay->loop, &flow->offload->timer, wait);
}

/* It goes on as an ordinary flow, whose socket is there still. */
static void keep_socket(struct udp_flow *flow, enum counter why)
{
	counter_add(&flow->listener->relay->counters, why, 1);
	take(flow);
	put_off(flow);
}

/*
 * Does it work? Who has asked four times, and was answered, is answered as well when the kernel
 * passes the questions; or else somebody on this host drops them. Looks as well.
 */
static bool prove(struct udp_flow *flow, unsigned patience)
{
	struct udp_offload *offload = flow->offload;
	uint64_t asked = offload->from_client.datagrams;
	bool answered;

	udp_offload_look(flow);
	answered = flow->datagrams_from_upstream > offload->answered;
	if (offload->asked && answered)
		offload->proven = true;
	offload->asking = offload->from_client.datagrams > asked;
	if (offload->asking && !answered)
		offload->in_vain++;
	offload->asked = offload->from_client.datagrams > 0;
	offload->answered = flow->datagrams_from_upstream;
	return offload->proven || offload->in_vain < patience;
}

static void close_socket(struct udp_flow *flow)
{
	/* The last answers that came by it. */
	udp_reply_ready(&flow->source, 0);
	udp_dial_close(flow);
	write_record(flow);
	flow->offload->state = CARRIED;
	flow->offload->in_vain = 0;
	if (flow->listener->relay->leaving)
		leave(flow);
	else
		set_look(flow);
}

/* Time has passed for what was under way. */
static void settled(struct udp_flow *flow)
{
	struct udp_offload *offload = flow->offload;

	if (!prove(flow, SETTLE_TIMES))
		keep_socket(flow, COUNTER_OFFLOAD_UDP_STAYED_UNANSWERED);
	else if (!offload->asked && flow->datagrams_from_client > offload->sent)
		keep_socket(flow, COUNTER_OFFLOAD_UDP_STAYED_UNSEEN);
	else if (offload->asking && !offload->proven && ++offload->looks <= SETTLE_TIMES)
		loop_timer_set(&flow->listener->relay->loop, &offload->timer, SETTLE_TIME);
	else
		close_socket(flow);
}

static void looked(struct udp_flow *flow)
{
	struct udp_listener *listener = flow->listener;
	uint64_t timeout = udp_listener_idle_timeout(listener);
	bool works = prove(flow, LOOKS_TO_PROVE);

	if (timeout != 0 && flow->entry.last_used + timeout <= listener->relay->loop.now)
		udp_flow_close(flow, udp_listener_idle_reason(listener));
	else if (works)
		set_look(flow);
	else if (udp_dial_again(flow))
		keep_socket(flow, COUNTER_OFFLOAD_UDP_STAYED_UNANSWERED);
}

static void timer_expired(struct timer *timer)
{
	struct udp_flow *flow = container_of(timer, struct udp_offload, timer)->flow;

	if (udp_claim_is_lost(&flow->claim))
		udp_flow_close(flow, CLOSE_FLOW_MOVED);
	else if (flow->offload->state == GIVEN)
		settled(flow);
	else
		looked(flow);
}

void udp_offload_consider(struct udp_flow *flow, const uint8_t *header, size_t length)
{
	bool first = flow->settings->udp.framing == UDP_FRAMING_FIRST;
	struct udp_offload *offload = flow->offload;

	if (offload != NULL)
		return;
	/* A reload may have ended that. */
	if (!is_wanted(flow->listener)) {
		flow->offload_at = UINT64_MAX;
		return;
	}
	if (!flow->entry.assured || flow->datagrams_from_upstream < FIRST_DATAGRAMS) {
		flow->offload_at += FIRST_DATAGRAMS;
		return;
	}
	if (!first && length > OFFLOAD_UDP_HEADER_MAX) {
		counter_add(&flow->listener->relay->counters, COUNTER_OFFLOAD_UDP_STAYED_HEADER, 1);
		flow->offload_at = UINT64_MAX;
		return;
	}
	offload = calloc(1, sizeof(*offload));
	if (offload == NULL) {
		counter_add(&flow->listener->relay->counters, COUNTER_OFFLOAD_UDP_STAYED_ERROR, 1);
		put_off(flow);
		return;
	}
	offload->flow = flow;
	timer_init(&offload->timer, timer_expired);
	if (!first) {
		offload->header_length = (uint8_t)length;
		memcpy(offload->header, header, length);
	}
	flow->offload = offload;
}

static int give(struct udp_flow *flow, enum counter *stays)
{
	struct relay *relay = flow->listener->relay;
	struct udp_offload *offload = flow->offload;
	struct udp_handover handover;
	int error;

	if (!udp_handover_prepare(flow, offload->header, offload->header_length, &handover, stays))
		return -EOPNOTSUPP;
	offload->places = handover.places;
	error = udp_claim_hand_over(relay->udp_claims, &flow->claim, relay->datapath,
				    &offload->places, &handover.flow, &handover.record);
	*stays = error == -E2BIG || error == -ENOSPC ? COUNTER_OFFLOAD_UDP_STAYED_FULL
						     : COUNTER_OFFLOAD_UDP_STAYED_ERROR;
	return error;
}

void udp_offload_try(struct udp_flow *flow)
{
	struct relay *relay = flow->listener->relay;
	struct udp_offload *offload = flow->offload;
	enum counter stays;
	int error;

	/* Others of its may wait in the queue, which would be overtaken. */
	if (offload->state != CONSIDERED || !relay->udp->emptied)
		return;
	error = give(flow, &stays);
	if (error < 0) {
		counter_add(&relay->counters, stays, 1);
		drop(flow);
		/* What the flow is does not change; what the kernel can does. */
		if (error == -EOPNOTSUPP)
			flow->offload_at = UINT64_MAX;
		else
			put_off(flow);
		return;
	}
	counter_add(&relay->counters, COUNTER_OFFLOAD_UDP_MOVED, 1);
	offload->state = GIVEN;
	offload->sent = flow->datagrams_from_client;
	offload->answered = flow->datagrams_from_upstream;
	flow->listener->carried++;
	loop_timer_set(&relay->loop, &offload->timer, SETTLE_TIME);
}
