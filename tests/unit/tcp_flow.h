/* SPDX-License-Identifier: MIT */
/*
 * A session with bytes on their way in one direction, up or down: each test of the group runs once
 * for either. Behind cmocka.h.
 */
#ifndef MMPROXY_TESTS_TCP_FLOW_H
#define MMPROXY_TESTS_TCP_FLOW_H

#include "relay/chunk.h"
#include "relay/tcp_session.h"
#include "relay_checks.h"
#include "relay_fixture.h"

#define MIB (1 << 20)

static struct relay_fixture fixture;
static struct fake_socket *client, *upstream;

/* Bytes go from one to the other; a header of `skip` bytes came before them. */
static struct fake_socket *from, *to;
static size_t skip;

static inline int start_up(void **state)
{
	(void)state;
	fixture_start(&fixture);
	fixture_open(&fixture, &client, &upstream);
	from = client;
	to = upstream;
	skip = FIXTURE_V1_SIZE;
	return 0;
}

static inline int start_down(void **state)
{
	(void)state;
	fixture_start(&fixture);
	fixture_open(&fixture, &client, &upstream);
	from = upstream;
	to = client;
	skip = 0;
	return 0;
}

static inline int stop(void **state)
{
	(void)state;
	fixture_stop(&fixture);
	return 0;
}

static inline unsigned calls(enum fake_call call)
{
	return fixture.fake.calls[call];
}

static inline struct stream *the_stream(void)
{
	struct tcp_session *session = fixture_session(&fixture);

	assert_non_null(session);
	return from == client ? &session->up : &session->down;
}

/* Read by the session and not yet passed on. */
static inline size_t in_hand(void)
{
	return from->in_read - skip - to->out.length;
}

static inline void stall(size_t window, size_t send_limit)
{
	to->peer_stalls = true;
	to->peer_window = window;
	to->send_limit = send_limit;
}

/* The reader reads everything, `step` bytes between rounds. */
static inline void read_all(size_t step)
{
	do
		fixture_settle(&fixture);
	while (fake_peer_read(to, step) > 0);
}

static inline void finish_both(void)
{
	fake_peer_finish(from);
	fake_peer_finish(to);
	read_all(100000);
	expect_all(to, from, skip);
	expect_closed(&fixture, CLOSE_FINISHED);
	expect_end(client, FAKE_CLOSED_ORDERLY);
	expect_end(upstream, FAKE_CLOSED_ORDERLY);
}

/* Enough for the stream to take the road through a pipe, with more on the way. */
static inline void start_splicing(size_t length)
{
	fixture_send(from, length);
	fixture_settle(&fixture);
	assert_true(calls(FAKE_SPLICE_IN) > 0);
}

#define BOTH(name) TEST_RUN(name, "up", start_up, stop), TEST_RUN(name, "down", start_down, stop)

#endif
