/* SPDX-License-Identifier: MIT */
/*
 * A relay with one UDP listener over the fake operating system, and a clock that the test moves.
 * What must hold whatever a test does is checked between rounds and when it stops: every flow has
 * one place, and one descriptor unless its verdict is awaited or the kernel carries it, each
 * socket's counts are published, there are no more places than there may be and somebody owes each
 * that is over the limit; every claim, budget and hold is given back. Aborts where it is not, or
 * where the relay spins.
 */
#ifndef MMPROXY_TESTS_UDP_FIXTURE_H
#define MMPROXY_TESTS_UDP_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/close_reason.h"
#include "base/counter.h"
#include "base/prefix_set.h"
#include "base/refcount.h"
#include "fake_udp.h"
#include "os/own_addresses.h"
#include "relay/budget.h"
#include "relay/client_counts.h"
#include "relay/flow_quota.h"
#include "relay/relay.h"
#include "relay/settings.h"
#include "relay/udp.h"
#include "relay/udp_claims.h"
#include "wire/proxy_header.h"

#define UDP_BALANCER    "192.0.2.1:50000"
#define UDP_CLIENT      "203.0.113.9:40000"
#define UDP_DESTINATION "198.51.100.1:53"
#define UDP_LISTENER    "192.0.2.200:5353"
#define UDP_UPSTREAM    "127.0.0.1:8053"
#define UDP_UPSTREAM_6  "[::1]:8053"

struct fake_plugins;

/* Sockets with the same quota, at most. */
#define UDP_LISTENERS_MAX 8

/* Room for the longest header that udp_fixture_header() writes. */
#define UDP_HEADER_MAX 64

struct udp_fixture {
	struct fake_udp fake;
	struct relay relay;
	struct relay_settings settings; /* may be changed before a flow opens */
	struct refcount owner;
	struct own_addresses own; /* 198.51.100.7, and the broadcast 198.51.100.255 */
	struct budget descriptors;
	struct udp_claims claims;
	struct client_counts client_counts;
	struct flow_quota quota;
	struct fake_udp_socket *listening;
	struct udp_listener *listener; /* NULL once the test has destroyed it */
	struct udp_listener *others[UDP_LISTENERS_MAX - 1];
	/* By member of the quota, the listener's first, then the others'. NULL: alone. */
	struct fake_udp_socket *notices[UDP_LISTENERS_MAX];
	size_t event_limit;           /* events in one round, 1 or more */
	unsigned event_start;         /* the socket whose event comes first */
	struct fake_plugins *plugins; /* NULL: there are none */
};

/* For `max_flows`, in a row of `sockets` with the same quota, of which this is one. */
void udp_fixture_start(struct udp_fixture *fixture, enum udp_framing framing, unsigned max_flows,
		       unsigned sockets);
/* Ends what is left, and checks. */
void udp_fixture_stop(struct udp_fixture *fixture);

/* Flows have to pass so many plugins from now on. `plugins` is the fixture's until it stops. */
void udp_fixture_use_plugins(struct udp_fixture *fixture, struct fake_plugins *plugins,
			     unsigned count);

/*
 * The next socket with the same quota; *listening: its descriptor. None hears of a notice unless
 * the test wakes it.
 */
struct udp_listener *udp_fixture_listen(struct udp_fixture *fixture,
					struct fake_udp_socket **listening);
/* Before the fixture stops, which ends it as well. */
void udp_fixture_unlisten(struct udp_fixture *fixture, struct udp_listener *listener);

/* Settles, then one of the quota's members hears of its notice, if there is one. */
void udp_fixture_wake(struct udp_fixture *fixture, unsigned member);
/* All hear of theirs. Then there are no more flows than the limit and no debts: that is checked. */
void udp_fixture_wake_all(struct udp_fixture *fixture);
/* What all members owe. */
unsigned udp_fixture_debts(const struct udp_fixture *fixture);

/* One round of the loop, without waiting. Returns whether it had anything to do. */
bool udp_fixture_round(struct udp_fixture *fixture);
/* Rounds until there is nothing to do. */
void udp_fixture_settle(struct udp_fixture *fixture);
/* Settles, then lets time pass, stopping wherever a timer does. */
void udp_fixture_pass(struct udp_fixture *fixture, uint64_t milliseconds);

/* "192.0.2.1:50000"; NULL: none. */
struct address udp_fixture_address(const char *text);

/* A v2 header for a datagram, LOCAL without a client. Returns its length. */
size_t udp_fixture_header(uint8_t header[static UDP_HEADER_MAX], const struct address *client,
			  const struct address *destination);

uint64_t udp_fixture_count(const struct udp_fixture *fixture, enum counter counter);
uint64_t udp_fixture_closed(const struct udp_fixture *fixture, enum close_reason reason);
unsigned udp_fixture_claims(const struct udp_fixture *fixture); /* that stand */

#endif
