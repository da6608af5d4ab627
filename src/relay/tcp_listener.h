/* SPDX-License-Identifier: MIT */
/*
 * One worker's share of a listener: a socket that accepts, and the settings that new sessions get.
 * Stops accepting, rather than spinning or refusing, while there is no room for another session.
 */
#ifndef MMPROXY_RELAY_TCP_LISTENER_H
#define MMPROXY_RELAY_TCP_LISTENER_H

#include <stdbool.h>

#include "base/list.h"
#include "base/timer_wheel.h"
#include "os/loop.h"

struct budget;
struct relay;
struct relay_settings;

struct tcp_listener {
	struct loop_source source;
	struct list link; /* relay->listeners */
	struct timer retry;
	struct relay *relay;
	const struct relay_settings *settings; /* holds settings->owner */
	struct budget *budget;                 /* this listener's sessions, of all workers */
	int fd;
	bool paused;
};

/* Starts accepting on `fd`, which is taken over. Holds settings->owner. Returns NULL on failure. */
struct tcp_listener *tcp_listener_create(struct relay *relay, int fd,
					 const struct relay_settings *settings,
					 struct budget *budget);

/* New sessions get these settings. */
void tcp_listener_set_settings(struct tcp_listener *listener,
			       const struct relay_settings *settings);

/* Accepts what already waits, so that closing resets nobody, and closes. Frees the listener. */
void tcp_listener_destroy(struct tcp_listener *listener);

/* A descriptor has become free: listeners that paused for want of one try again. */
void tcp_listeners_resume(struct relay *relay);

#endif
