/* SPDX-License-Identifier: MIT */
/* TCP sessions, as the listener and the worker see them. */
#ifndef MMPROXY_RELAY_TCP_H
#define MMPROXY_RELAY_TCP_H

#include "base/address.h"

struct budget;
struct header_queue;
struct relay;
struct relay_settings;

struct tcp_start {
	int fd; /* the accepted connection; taken over */
	struct address balancer;
	const struct relay_settings *settings; /* the session takes a hold of its owner */
	struct budget *listener_budget;        /* given back at the end, as relay->descriptors is */
	struct header_queue *header_queue;     /* the worker's, of this listener */
};

/*
 * Starts a session, which may be over when the call returns. When memory runs out the connection is
 * closed and the budgets given back.
 */
void tcp_start(struct relay *relay, const struct tcp_start *start);

/* Ends all sessions: mmproxy stops. */
void tcp_close_all(struct relay *relay);

#endif
