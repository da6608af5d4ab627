/* SPDX-License-Identifier: MIT */
/*
 * Bytes on their way through a session: short writes, back-pressure and how much is held, urgent
 * data in its place, turns.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tcp_flow.h"

static void writes_may_be_as_short_as_they_like(void **state)
{
	(void)state;
	for (size_t limit = 1; limit < 3000; limit = limit * 2 + 1) {
		stall(limit, limit + 1);
		fixture_send(from, 2 * limit + 70);
		read_all(limit / 2 + 1);
		expect_all(to, from, skip);
	}
	finish_both();
}

static void an_interrupted_call_is_made_again(void **state)
{
	(void)state;
	fake_fail(&fixture.fake, FAKE_RECV, 1, -EINTR);
	fake_fail(&fixture.fake, FAKE_RECV, 2, -EINTR);
	fake_fail(&fixture.fake, FAKE_SEND, 1, -EINTR);
	fake_fail(&fixture.fake, FAKE_SEND, 2, -EINTR);
	fake_fail(&fixture.fake, FAKE_SPLICE_IN, 1, -EINTR);
	fake_fail(&fixture.fake, FAKE_SPLICE_IN, 3, -EINTR);
	fake_fail(&fixture.fake, FAKE_SPLICE_OUT, 1, -EINTR);
	fake_fail(&fixture.fake, FAKE_SPLICE_OUT, 3, -EINTR);
	fixture_send(from, MIB);
	fixture_settle(&fixture);
	assert_true(calls(FAKE_SPLICE_OUT) >= 3);
	finish_both();
}

static void a_blocked_sink_stops_the_reading_of_the_source(void **state)
{
	unsigned reads, writes;

	(void)state;
	stall(1000, 2000);
	fixture_send(from, MIB);
	fixture_settle(&fixture);
	assert_true(in_hand() > 0);
	assert_true(in_hand() <= RELAY_HOT_SIZE);

	reads = calls(FAKE_RECV) + calls(FAKE_SPLICE_IN);
	writes = calls(FAKE_SEND) + calls(FAKE_SPLICE_OUT);
	for (unsigned i = 0; i < 20; i++) {
		fixture_send(from, 5000);
		fixture_pass(&fixture, 100);
	}
	assert_int_equal(calls(FAKE_RECV) + calls(FAKE_SPLICE_IN), reads);
	assert_int_equal(calls(FAKE_SEND) + calls(FAKE_SPLICE_OUT), writes);
	read_all(1000);
	finish_both();
}

static void the_other_direction_goes_on_while_one_is_blocked(void **state)
{
	(void)state;
	stall(1000, 2000);
	fixture_send(from, MIB);
	fixture_send(to, MIB);
	fixture_settle(&fixture);
	assert_true(in_hand() > 0);
	expect_all(from, to, to == client ? FIXTURE_V1_SIZE : 0);
	finish_both();
}

static void what_is_held_in_memory_never_exceeds_a_hot_buffer(void **state)
{
	(void)state;
	stall(3000, 5000);
	for (unsigned i = 0; i < 300; i++) {
		const struct stream *stream = the_stream();

		fixture_send(from, 10000);
		fixture_settle(&fixture);
		if (stream->held != NULL)
			assert_true(stream->held->capacity <= RELAY_HOT_SIZE);
		if (stream->pipe == NULL)
			assert_true(in_hand() <= RELAY_HOT_SIZE);
		else
			assert_true(in_hand() <= stream->pipe->size);
		fake_peer_read(to, i % 3 * 3000);
	}
	finish_both();
}

static void an_idle_stream_owns_neither_memory_nor_a_pipe(void **state)
{
	(void)state;
	stall(1000, 2000);
	fixture_send(from, 10000);
	fixture_settle(&fixture);
	assert_non_null(the_stream()->held);
	read_all(1000);
	assert_null(the_stream()->held);
	stall(FAKE_NO_LIMIT, FAKE_NO_LIMIT);
	start_splicing(4 * MIB);
	expect_all(to, from, skip);
	assert_null(the_stream()->held);
	assert_null(the_stream()->pipe);
}

static void small_messages_are_copied(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		fixture_send(from, 1000);
		fixture_settle(&fixture);
	}
	assert_int_equal(calls(FAKE_SPLICE_IN), 0);
	finish_both();
}

static void urgent_data_stays_in_its_place_in_the_stream(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		fixture_send(from, 1000 + i);
		fake_peer_send_urgent(from, '!');
		fixture_send(from, 500);
		fixture_settle(&fixture);
		expect_all(to, from, skip);
	}
	finish_both();
}

static void urgent_data_as_the_last_byte_is_delivered_before_the_end(void **state)
{
	(void)state;
	fixture_send(from, 1000);
	fake_peer_send_urgent(from, '!');
	fake_peer_finish(from);
	fixture_settle(&fixture);
	expect_all(to, from, skip);
	assert_true(to->fin_delivered);
}

static void many_sessions_take_turns(void **state)
{
	struct fake_socket *small_client, *small_upstream;

	(void)state;
	fixture_open(&fixture, &small_client, &small_upstream);
	from->receive_limit = 64 * MIB;
	fixture_send(from, 32 * MIB);
	fixture_send(small_client, 100);
	/* The big one is first in the round, and gives way before it is done. */
	fixture_round(&fixture);
	expect_all(small_upstream, small_client, FIXTURE_V1_SIZE);
	assert_true(to->out.length < 4 * MIB);
	fixture_settle(&fixture);
	expect_all(to, from, skip);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(writes_may_be_as_short_as_they_like),
		BOTH(an_interrupted_call_is_made_again),
		BOTH(a_blocked_sink_stops_the_reading_of_the_source),
		BOTH(the_other_direction_goes_on_while_one_is_blocked),
		BOTH(what_is_held_in_memory_never_exceeds_a_hot_buffer),
		BOTH(an_idle_stream_owns_neither_memory_nor_a_pipe),
		BOTH(small_messages_are_copied),
		BOTH(urgent_data_stays_in_its_place_in_the_stream),
		BOTH(urgent_data_as_the_last_byte_is_delivered_before_the_end),
		BOTH(many_sessions_take_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
