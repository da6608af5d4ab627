/* SPDX-License-Identifier: MIT */
/*
 * A relay with one listener over the fake operating system, and a clock that the test moves. What
 * must hold whatever a test does is checked when it stops: every descriptor is closed, every
 * budget, pipe and hold given back. Aborts where it is not, or where the relay spins.
 */
#ifndef MMPROXY_TESTS_RELAY_FIXTURE_H
#define MMPROXY_TESTS_RELAY_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/close_reason.h"
#include "base/counter.h"
#include "base/prefix_set.h"
#include "base/refcount.h"
#include "fake_sys.h"
#include "os/own_addresses.h"
#include "relay/budget.h"
#include "relay/client_counts.h"
#include "relay/header_queue.h"
#include "relay/relay.h"
#include "relay/settings.h"

struct fake_datapath;
struct fake_plugins;
struct tcp_session;

#define FIXTURE_BALANCER "192.0.2.1:50000"
#define FIXTURE_CLIENT   "203.0.113.9:40000"
#define FIXTURE_UPSTREAM "127.0.0.1:8080"
#define FIXTURE_V1       "PROXY TCP4 203.0.113.9 198.51.100.1 40000 443\r\n"
#define FIXTURE_V1_SIZE  (sizeof(FIXTURE_V1) - 1)

struct relay_fixture {
	struct fake_sys fake;
	struct relay relay;
	struct relay_settings settings; /* may be changed before a session starts */
	struct refcount owner;
	struct own_addresses own; /* 198.51.100.7, and the broadcast 198.51.100.255 */
	struct budget descriptors, sessions;
	struct header_queue header_queue;
	struct client_counts client_counts;
	struct fake_socket *listening;
	struct tcp_listener *listener;
	size_t event_limit;             /* events in one round, 1 or more */
	struct fake_plugins *plugins;   /* NULL: there are none */
	struct fake_datapath *datapath; /* NULL: all sessions stay relays */
};

void fixture_start(struct relay_fixture *fixture);
/* Ends what is left, and checks. */
void fixture_stop(struct relay_fixture *fixture);

/* Sessions have to pass so many plugins from now on. `plugins` is the fixture's until it stops. */
void fixture_use_plugins(struct relay_fixture *fixture, struct fake_plugins *plugins,
			 unsigned count);

/* Sessions may go over to the kernel from now on. */
void fixture_use_datapath(struct relay_fixture *fixture, struct fake_datapath *datapath);

/* One round of the loop, without waiting. Returns whether it had anything to do. */
bool fixture_round(struct relay_fixture *fixture);
/* Rounds until there is nothing to do. */
void fixture_settle(struct relay_fixture *fixture);
/* Settles, then lets time pass, stopping wherever a timer does. */
void fixture_pass(struct relay_fixture *fixture, uint64_t milliseconds);

/* The oldest session that lives, NULL when there is none. */
struct tcp_session *fixture_session(struct relay_fixture *fixture);

/* Opens a session with FIXTURE_V1: both peers' ends, settled. */
void fixture_open(struct relay_fixture *fixture, struct fake_socket **client,
		  struct fake_socket **upstream);

uint64_t fixture_count(const struct relay_fixture *fixture, enum counter counter);
uint64_t fixture_closed(const struct relay_fixture *fixture, enum close_reason reason);

/* The peer sends bytes that do not repeat. */
void fixture_send(struct fake_socket *peer, size_t length);

#endif
