/* SPDX-License-Identifier: MIT */
/* Receiving for a listener's flows, and ending those whose time has come. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "os/sys.h"
#include "relay/flow_quota.h"
#include "relay/relay.h"
#include "relay/settings.h"
#include "relay/udp_offload.h"
#include "relay/udp_workspace.h"

/* A drained flow has ended when it has been quiet for so long, in milliseconds. */
#define DRAIN_IDLE_TIMEOUT 1000

/* Times that all slots were filled, one after the other, in which any queue has been read once. */
#define FILLS_MAX 128

/* May there be more than was read? If there was nothing, a round has passed without an event. */
static bool is_behind(const struct udp_listener *listener)
{
	return listener->fills > 0 && listener->relay->loop.heard <= listener->filled;
}

/* What stood in the queue before `told` has been read. */
static void note_fill(struct udp_listener *listener, bool emptied)
{
	if (emptied || !is_behind(listener) || listener->fills == FILLS_MAX)
		listener->fills = 0;
	if (emptied)
		return;
	if (listener->fills++ == 0)
		listener->told = listener->relay->loop.heard;
	listener->filled = listener->relay->loop.now;
}

static uint64_t told_until(const struct udp_listener *listener)
{
	return is_behind(listener) ? listener->told : listener->relay->loop.heard;
}

static void listener_ready(struct loop_source *source, uint32_t events)
{
	struct udp_listener *listener = container_of(source, struct udp_listener, source);
	struct relay *relay = listener->relay;
	int count = udp_receiver_fill(&relay->udp->arrivals, relay->sys, listener->fd, 0,
				      UDP_RECEIVER_SLOTS);

	(void)events;
	relay->udp->emptied = count < UDP_RECEIVER_SLOTS;
	note_fill(listener, relay->udp->emptied);
	/* Level-triggered: what is left is reported in the next round. */
	if (count > 0)
		udp_inbound_run(listener, (unsigned)count);
}

/* Another socket has taken a place over the limit, for which this one is to make room. */
static void notices_ready(struct loop_source *source, uint32_t events)
{
	struct udp_listener *listener = container_of(source, struct udp_listener, notices_source);
	eventfd_t count;

	(void)events;
	eventfd_read(listener->member->notices, &count);
	while (flow_quota_owes(listener->quota, listener->member))
		udp_flow_evict(listener);
}

uint32_t udp_listener_idle_timeout(const struct udp_listener *listener)
{
	uint32_t timeout = listener->settings->udp.idle_timeout;

	if (listener->draining && (timeout == 0 || timeout > DRAIN_IDLE_TIMEOUT))
		return DRAIN_IDLE_TIMEOUT;
	return timeout;
}

enum close_reason udp_listener_idle_reason(const struct udp_listener *listener)
{
	return listener->draining ? CLOSE_SHUTDOWN : CLOSE_IDLE_TIMEOUT;
}

/*
 * One timer for all flows, set to when the one that was used longest ago would have been idle for
 * long enough. A flow that is used meanwhile costs nothing but its place in a queue.
 */
static void set_timer(struct udp_listener *listener)
{
	const struct flow_entry *oldest = flow_table_oldest(&listener->flows);
	struct loop *loop = &listener->relay->loop;
	uint32_t timeout = udp_listener_idle_timeout(listener);

	timer_drop(&listener->idle);
	if (oldest == NULL || timeout == 0)
		return;
	if (oldest->last_used + timeout > loop->now)
		loop_timer_set(loop, &listener->idle, oldest->last_used + timeout - loop->now);
	else
		loop_timer_set(loop, &listener->idle, 0);
}

static void idle_expired(struct timer *timer)
{
	struct udp_listener *listener = container_of(timer, struct udp_listener, idle);
	struct flow_entry *oldest;

	while ((oldest = flow_table_oldest(&listener->flows)) != NULL &&
	       oldest->last_used + udp_listener_idle_timeout(listener) <= told_until(listener)) {
		struct udp_flow *flow = container_of(oldest, struct udp_flow, entry);

		/* The kernel may know better. */
		if (!udp_offload_look(flow))
			udp_flow_close(flow, udp_listener_idle_reason(listener));
	}
	set_timer(listener);
}

void udp_listener_watch_idle(struct udp_listener *listener)
{
	if (!timer_is_set(&listener->idle))
		set_timer(listener);
}

static int watch(struct udp_listener *listener)
{
	struct loop *loop = &listener->relay->loop;
	int error = loop_watch(loop, listener->fd, EPOLLIN, &listener->source);

	if (error == 0 && listener->member->notices >= 0)
		error = loop_watch(loop, listener->member->notices, EPOLLIN,
				   &listener->notices_source);
	return error;
}

static struct udp_listener *listener_alloc(struct relay *relay,
					   const struct udp_listener_start *start)
{
	struct udp_listener *listener = calloc(1, sizeof(*listener));

	if (listener != NULL && relay->udp == NULL)
		relay->udp = udp_workspace_create(relay);
	if (listener == NULL || relay->udp == NULL ||
	    flow_table_init(&listener->flows, start->settings->udp.max_flows,
			    &relay->udp_claims->secret) < 0) {
		free(listener);
		return NULL;
	}
	return listener;
}

struct udp_listener *udp_listener_create(struct relay *relay,
					 const struct udp_listener_start *start)
{
	struct udp_listener *listener = listener_alloc(relay, start);
	int error;

	if (listener == NULL) {
		relay->sys->close(start->fd);
		errno = ENOMEM;
		return NULL;
	}
	listener->source.ready = listener_ready;
	listener->notices_source.ready = notices_ready;
	listener->relay = relay;
	listener->settings = start->settings;
	listener->quota = start->quota;
	listener->fd = start->fd;
	listener->member = start->member;
	timer_init(&listener->idle, idle_expired);
	list_append(&relay->udp_listeners, &listener->link);
	udp_offload_prepare_listener(listener);
	refcount_take(start->settings->owner);
	error = watch(listener);
	if (error < 0) {
		udp_listener_destroy(listener);
		errno = -error;
		return NULL;
	}
	return listener;
}

void udp_listener_set_settings(struct udp_listener *listener, const struct relay_settings *settings)
{
	const struct relay_settings *old = listener->settings;

	refcount_take(settings->owner);
	listener->settings = settings;
	/* Whom the old plugins refused is the new ones' to judge. */
	free(listener->denials);
	listener->denials = NULL;
	udp_offload_prepare_listener(listener);
	refcount_drop(old->owner);
	set_timer(listener);
}

void udp_listener_drain(struct udp_listener *listener)
{
	listener->draining = true;
	set_timer(listener);
}

bool udp_listener_is_drained(const struct udp_listener *listener)
{
	return listener->draining && atomic_load(&listener->quota->flows.used) == 0;
}

void udp_finish(struct relay *relay)
{
	udp_workspace_destroy(relay->udp);
	relay->udp = NULL;
}

void udp_listener_destroy(struct udp_listener *listener)
{
	const struct flow_entry *entry;

	while ((entry = flow_table_oldest(&listener->flows)) != NULL)
		udp_flow_close(container_of(entry, struct udp_flow, entry), CLOSE_SHUTDOWN);
	if (listener->relay->udp->replying == listener)
		listener->relay->udp->replying = NULL;
	timer_drop(&listener->idle);
	loop_unwatch(&listener->relay->loop, listener->fd);
	listener->relay->sys->close(listener->fd);
	if (listener->member->notices >= 0)
		loop_unwatch(&listener->relay->loop, listener->member->notices);
	flow_table_finish(&listener->flows);
	free(listener->denials);
	list_remove(&listener->link);
	refcount_drop(listener->settings->owner);
	free(listener);
}
