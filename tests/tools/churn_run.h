/* SPDX-License-Identifier: MIT */
/* A run of tcp_churn: its options, the connections it knows, whose turn it is. */
#ifndef MMPROXY_TOOLS_CHURN_RUN_H
#define MMPROXY_TOOLS_CHURN_RUN_H

#include "tcp_churn.h"

/* Connections that the upstream can still tell apart; a power of two. */
#define CHURN_KNOWN (1u << 20)

struct churn_listener {
	int fd; /* -1: there is none */
	struct address address;
};

struct churn_run {
	enum churn_mix mix;
	struct address to, dead_end;
	struct address balancer; /* the first of 65,536; or none: 127.1.0.0, or whatever it is */
	int namespaces[CHURN_SIDES]; /* each side's sockets are made in; -1: both in this one */
	struct churn_listener listeners[2]; /* IPv4, and IPv6 if it is given */
	uint64_t count, seed;               /* count 0: until the input ends */
	unsigned at_a_time, rate;           /* rate: a second; 0: as fast as it goes */
	bool ending;                        /* opens no more */
	int epoll;
	unsigned open;    /* connections with an open end */
	unsigned waiting; /* connections whose upstream's end is not there yet, or never will be */
	uint64_t began, scanned;
	struct churn_connection *known[CHURN_KNOWN];
	struct churn_end *first_queued, **last_queued;
	struct churn_end *paused;
	struct churn_connection *dead;
	struct churn_counts counts;
};

extern struct churn_run churn;

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t churn_now(void);
void churn_watch(int fd, uint32_t events, void *owner);

/* In the namespace of that side. */
int churn_socket(enum churn_side side, int family);

bool churn_may_open(void);
void churn_open(void);
void churn_accept(const struct churn_listener *listener);
/* An end has an event, or its turn has come. */
void churn_take_turn(struct churn_end *end);
/* Each end in the queue gets one turn; who has more to do comes again in the next round. */
void churn_run_queue(void);
/* Whose pause is over gets a turn. */
void churn_wake_paused(uint64_t time);
/* Once a second: who is stuck, and who will not come any more. */
void churn_scan(uint64_t time);
/* At the end of a round, when no event can name them any more. */
void churn_free_dead(void);

#endif
