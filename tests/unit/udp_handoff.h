/* SPDX-License-Identifier: MIT */
/*
 * A UDP flow that is handed over to the kernel, and the kernel under the test's hand. Behind
 * cmocka.h.
 */
#ifndef MMPROXY_TESTS_UDP_HANDOFF_H
#define MMPROXY_TESTS_UDP_HANDOFF_H

#include "fake_udp_datapath.h"
#include "udp_talk.h"

/* Milliseconds until the socket of a flow that was handed over is closed, and a few more. */
#define SETTLED 150

#define OTHER_BALANCER "192.0.2.2:50000"

static struct fake_udp_datapath kernel;

/* Another socket of the listener, as another worker has one. */
static struct fake_udp_socket *second;
static struct udp_listener *second_listener;

static inline int handoff_start(enum udp_framing framing, unsigned sockets)
{
	send_to = NULL;
	udp_fixture_start(&fixture, framing, 1000, sockets);
	fake_udp_datapath_init(&kernel);
	fixture.relay.datapath = &kernel.datapath;
	fixture.settings.offload = true;
	fixture.fake.interface = FAKE_UDP_LOOPBACK;
	fixture.listening->wildcard = true;
	if (sockets > 1) {
		second_listener = udp_fixture_listen(&fixture, &second);
		second->wildcard = true;
	}
	return 0;
}

static inline int start_handoff(void **state)
{
	(void)state;
	return handoff_start(UDP_FRAMING_EVERY, 1);
}

static inline int start_handoff_of_two(void **state)
{
	(void)state;
	return handoff_start(UDP_FRAMING_EVERY, 2);
}

/* So many questions by the balancer, each answered. */
static inline void talk(const char *balancer, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		send_via(balancer, UDP_CLIENT, UDP_DESTINATION, "question");
		settle();
		answer(UDP_CLIENT, "answer");
		settle();
	}
}

/* They talk until the kernel has the flow, and it has no socket. */
static inline void hand_over_by(const char *balancer)
{
	const size_t before = fake_udp_datapath_count(&kernel);

	for (unsigned i = 0; i < 100 && fake_udp_datapath_count(&kernel) == before; i++)
		talk(balancer, 1);
	pass(SETTLED);
	assert_int_equal(fake_udp_datapath_count(&kernel), before + 1);
	assert_null(socket_for(UDP_CLIENT));
}

static inline void hand_over(void)
{
	hand_over_by(UDP_BALANCER);
}

/* mmproxy stops, or a worker of its. */
static inline void leave(void)
{
	udp_offload_leave(&fixture.relay);
	pass(SETTLED);
	fixture.relay.leaving = false;
}

/* The only flow that the kernel has. */
static inline struct fake_udp_carried *carried(void)
{
	struct fake_udp_carried *only = NULL;

	assert_int_equal(fake_udp_datapath_count(&kernel), 1);
	for (size_t i = 0; i < FAKE_UDP_CARRIED_MAX; i++)
		if (kernel.carried[i].used)
			only = &kernel.carried[i];
	return only;
}

#endif
