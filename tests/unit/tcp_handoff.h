/* SPDX-License-Identifier: MIT */
/*
 * A session that may go over to the kernel, and the conversation that brings it there: a fresh
 * fixture with a fake datapath for each test. Behind cmocka.h.
 */
#ifndef MMPROXY_TESTS_TCP_HANDOFF_H
#define MMPROXY_TESTS_TCP_HANDOFF_H

#include "fake_datapath.h"
#include "relay/tcp_offload.h"
#include "relay/tcp_session.h"
#include "relay_checks.h"
#include "relay_fixture.h"

/* Milliseconds between looks at what the kernel carries, and some more. */
#define LOOK 5100

static struct relay_fixture fixture;
static struct fake_datapath kernel;
static struct fake_socket *client, *upstream;

static inline int start(void **state)
{
	(void)state;
	fixture_start(&fixture);
	fixture_use_datapath(&fixture, &kernel);
	client = upstream = NULL;
	return 0;
}

static inline int start_session(void **state)
{
	start(state);
	fixture_open(&fixture, &client, &upstream);
	return 0;
}

static inline int stop(void **state)
{
	(void)state;
	fixture_stop(&fixture);
	return 0;
}

#define TEST(name)       cmocka_unit_test_setup_teardown(name, start_session, stop)
#define TEST_ALONE(name) cmocka_unit_test_setup_teardown(name, start, stop)

static inline enum tcp_state session_state(void)
{
	struct tcp_session *session = fixture_session(&fixture);

	return session != NULL ? (enum tcp_state)session->state : TCP_CLOSED;
}

/* A question and an answer, and some time for thought. */
static inline void exchange(unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		fixture_send(client, 100 + i);
		fixture_settle(&fixture);
		fixture_send(upstream, 200 + i);
		fixture_settle(&fixture);
		fixture_pass(&fixture, 2);
	}
}

static inline void expect_all_bytes(void)
{
	expect_all(upstream, client, FIXTURE_V1_SIZE);
	expect_all(client, upstream, 0);
}

/* The kernel carries it, and there are no sockets. */
static inline void hand_off(void)
{
	exchange(5);
	fixture_pass(&fixture, 10);
	assert_int_equal(session_state(), TCP_OFFLOADED);
	assert_int_equal(client->closed, FAKE_ABANDONED);
	assert_int_equal(upstream->closed, FAKE_ABANDONED);
}

static inline uint64_t count(enum counter counter)
{
	return fixture_count(&fixture, counter);
}

/* The first of those that the kernel knows of. */
static inline struct fake_carried *carried(void)
{
	size_t i = 0;

	while (i < FAKE_CARRIED_MAX - 1 && !kernel.carried[i].used)
		i++;
	assert_true(kernel.carried[i].used);
	return &kernel.carried[i];
}

#endif
