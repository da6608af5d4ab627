/* SPDX-License-Identifier: MIT */
/* What tests of the relay ask again and again. Behind cmocka.h. */
#ifndef MMPROXY_TESTS_RELAY_CHECKS_H
#define MMPROXY_TESTS_RELAY_CHECKS_H

#include "relay_fixture.h"

/* One of a test's several runs; its name says which. */
#define TEST_RUN(name, which, setup, teardown)                                                     \
	{                                                                                          \
#name ": " which, name, setup, teardown, NULL                                      \
	}

/* What `from` sent, less `skip` bytes of header, has reached `to`: a start of it, in order. */
static inline void expect_start(const struct fake_socket *to, const struct fake_socket *from,
				size_t skip)
{
	assert_true(to->out_delivered <= from->in.length - skip);
	if (to->out_delivered > 0)
		assert_memory_equal(to->out.bytes, from->in.bytes + skip, to->out_delivered);
}

/* All of it, and nothing else. */
static inline void expect_all(const struct fake_socket *to, const struct fake_socket *from,
			      size_t skip)
{
	assert_int_equal(to->out_delivered, from->in.length - skip);
	expect_start(to, from, skip);
}

/* The one session there was is over, for this reason. */
static inline void expect_closed(struct relay_fixture *fixture, enum close_reason reason)
{
	if (fixture_session(fixture) != NULL)
		fail_msg("the session lives on, and should be closed: %s",
			 close_reason_name(reason));
	for (unsigned i = 0; i < CLOSE_REASON_COUNT; i++) {
		uint64_t count = fixture_closed(fixture, (enum close_reason)i);

		if (count != (i == reason))
			fail_msg("%u sessions closed for %s, due was one for %s", (unsigned)count,
				 close_reason_name((enum close_reason)i),
				 close_reason_name(reason));
	}
}

/* How the program let go of it, and what its peer saw of that. */
static inline void expect_end(const struct fake_socket *socket, enum fake_closed closed)
{
	assert_int_equal(socket->closed, closed);
	if (closed == FAKE_CLOSED_RESET) {
		assert_true(socket->saw_reset || socket->peer_gone || socket->peer_silent);
	} else {
		assert_false(socket->saw_reset);
		assert_true(socket->fin_delivered || socket->hold_delivery);
	}
}

#endif
