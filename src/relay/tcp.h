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

/* Ends all sessions: mmproxy stops. What the kernel carries is left to it after the next call. */
void tcp_close_all(struct relay *relay);

/* Sessions that the kernel carries are left to it, from now on. */
void tcp_offload_leave(struct relay *relay);

/* The kernel says that a session has ended; one of this relay's, or none that it knows. */
void tcp_offload_ended(struct relay *relay, uint64_t id);

/* Takes over a session that the kernel carries, when the listeners are there. */
void tcp_adopt(struct relay *relay, uint64_t id);

#endif
