/* SPDX-License-Identifier: MIT */
/*
 * One worker's share of a listener: a socket that accepts, and the settings that new sessions get.
 * While there is no room for another session, nor anybody who makes some (tcp_room.h), it stops
 * accepting, rather than spinning or refusing.
 */
#ifndef MMPROXY_RELAY_TCP_LISTENER_H
#define MMPROXY_RELAY_TCP_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/timer_wheel.h"
#include "os/loop.h"

struct budget;
struct header_queue;
struct relay;
struct relay_settings;

struct tcp_listener {
	struct loop_source source;
	struct list link; /* relay->listeners */
	struct timer retry;
	struct relay *relay;
	const struct relay_settings *settings; /* holds settings->owner */
	struct budget *budget;                 /* this listener's sessions, of all workers */
	struct header_queue *header_queue;     /* this worker's */
	int fd;
	uint32_t events;
	bool lives_on;
	bool paused;
};

struct tcp_listener_start {
	int fd; /* taken over */
	const struct relay_settings *settings;
	struct budget *budget;             /* outlives settings->owner */
	struct header_queue *header_queue; /* the same */
	bool shared;                       /* other workers accept from the same socket */
	bool lives_on; /* the socket stays open elsewhere, with whoever waits in its queue */
};

/* Starts accepting. Holds settings->owner. NULL with errno on failure. */
struct tcp_listener *tcp_listener_create(struct relay *relay,
					 const struct tcp_listener_start *start);

/* New sessions get these settings, and a place in this budget and this queue. */
void tcp_listener_set_settings(struct tcp_listener *listener, const struct relay_settings *settings,
			       struct budget *budget, struct header_queue *header_queue);

/*
 * Accepts what already waits, so that closing resets nobody, and closes. Where the socket lives on,
 * who waits is left to its next user. Frees the listener.
 */
void tcp_listener_destroy(struct tcp_listener *listener);

/* A descriptor has become free: listeners that paused for want of one try again. */
void tcp_listeners_resume(struct relay *relay);

#endif
