/* SPDX-License-Identifier: MIT */
/*
 * A test's one session, where its first bytes matter: a fresh fixture for each test, a balancer
 * that says something, and the upstream that is dialled for it. Behind cmocka.h.
 */
#ifndef MMPROXY_TESTS_TCP_TALK_H
#define MMPROXY_TESTS_TCP_TALK_H

#include <string.h>

#include "relay_checks.h"
#include "relay_fixture.h"

static struct relay_fixture fixture;
static struct fake_socket *client, *upstream; /* the second is NULL while there was no dial */

static inline int start(void **state)
{
	(void)state;
	fixture_start(&fixture);
	client = upstream = NULL;
	return 0;
}

static inline int stop(void **state)
{
	(void)state;
	fixture_stop(&fixture);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

static inline void connect_client(void)
{
	client = fake_incoming(fixture.listening, FIXTURE_BALANCER);
}

/* A client connects and says this at once. */
static inline void say_bytes(const void *bytes, size_t length)
{
	connect_client();
	fake_peer_send(client, bytes, length);
	fixture_settle(&fixture);
	upstream = fake_dialled(&fixture.fake);
}

/* For literals, which may hold NUL bytes. */
#define SAY(literal) say_bytes(literal, sizeof(literal) - 1)

static inline uint64_t count(enum counter counter)
{
	return fixture_count(&fixture, counter);
}

static inline void expect_address(const struct address *address, const char *due)
{
	char text[ADDRESS_TEXT_SIZE];

	assert_string_equal(address_format(address, text), due);
}

/* The address that the upstream is dialled from. */
static inline void expect_bound(const char *due)
{
	assert_non_null(upstream);
	expect_address(&upstream->bound, due);
}

/* What the upstream has received. */
static inline void expect_received(const char *due)
{
	assert_non_null(upstream);
	assert_int_equal(upstream->out_delivered, strlen(due));
	if (due[0] != '\0')
		assert_memory_equal(upstream->out.bytes, due, strlen(due));
}

/* The client has said "hello", and an answer finds its way back. */
static inline void expect_echo(void)
{
	expect_received("hello");
	fake_peer_send(upstream, "answer", 6);
	fixture_settle(&fixture);
	assert_int_equal(client->out_delivered, 6);
	assert_memory_equal(client->out.bytes, "answer", 6);
}

/* The client learns by a reset that nothing came of it, and no dial is left over. */
static inline void expect_failure(enum close_reason reason)
{
	expect_closed(&fixture, reason);
	expect_end(client, FAKE_CLOSED_RESET);
	if (upstream != NULL)
		assert_int_not_equal(upstream->closed, FAKE_OPEN);
}

#endif
