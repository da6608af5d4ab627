/* SPDX-License-Identifier: MIT */
/*
 * A UDP listener's places for flows, which its sockets share, each of which a worker has: clients
 * that come by one or another, and what each socket has and owes. Behind cmocka.h.
 */
#ifndef MMPROXY_TESTS_UDP_PLACES_H
#define MMPROXY_TESTS_UDP_PLACES_H

#include "udp_talk.h"

/* Members of the quota. */
enum { FIRST, SECOND };

/* Other sockets of the listener, as other workers have them. */
static struct fake_udp_socket *second, *third;
static struct udp_listener *second_listener;

static inline int start_with(unsigned max_flows, unsigned sockets)
{
	send_to = NULL;
	udp_fixture_start(&fixture, UDP_FRAMING_EVERY, max_flows, sockets);
	second_listener = udp_fixture_listen(&fixture, &second);
	return second_listener != NULL ? 0 : -1;
}

static inline int start_two_with_10(void **state)
{
	(void)state;
	return start_with(10, 2);
}

static inline int start_three_of_four(void **state)
{
	(void)state;
	start_with(10, 4);
	return udp_fixture_listen(&fixture, &third) != NULL ? 0 : -1;
}

/* By which socket the next datagrams come. */
static inline void by(struct fake_udp_socket *socket)
{
	send_to = socket;
}

static inline void clients_come(unsigned first, unsigned clients)
{
	for (unsigned i = first; i < first + clients; i++)
		send_as(client_name(i), "x");
	settle();
}

/* Of each the upstream has answered, and then the client has spoken again. */
static inline void assure(unsigned first, unsigned clients)
{
	for (unsigned i = first; i < first + clients; i++)
		answer(client_name(i), "y");
	settle();
	clients_come(first, clients);
}

/* One after the other. */
static inline void come_to_stay(unsigned first, unsigned clients)
{
	for (unsigned i = first; i < first + clients; i++) {
		clients_come(i, 1);
		assure(i, 1);
	}
}

/* One socket alone hears of its notice. */
static inline void wake(unsigned member)
{
	udp_fixture_wake(&fixture, member);
}

static inline void wake_all(void)
{
	udp_fixture_wake_all(&fixture);
}

static inline bool noticed(unsigned member)
{
	return fake_udp_posted(fixture.notices[member]);
}

static inline unsigned here(void)
{
	return fixture.listener->flows.count;
}

static inline unsigned there(void)
{
	return second_listener->flows.count;
}

static inline unsigned debt_of(unsigned member)
{
	return atomic_load(&fixture.quota.members[member].debt);
}

/* How many of these clients have a flow. */
static inline unsigned alive(unsigned first, unsigned clients)
{
	unsigned sum = 0;

	for (unsigned i = first; i < first + clients; i++)
		sum += socket_for(client_name(i)) != NULL;
	return sum;
}

static inline unsigned places(void)
{
	return atomic_load(&fixture.quota.flows.used);
}

#endif
