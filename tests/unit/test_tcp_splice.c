/* SPDX-License-Identifier: MIT */
/*
 * The road through a pipe: when a stream takes it, and the ways off it: no pipe to be had, a small
 * one, a stuck one, an end, a reset, urgent data, for which a splice stops.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tcp_flow.h"

static void a_stream_that_fills_its_reads_goes_through_a_pipe(void **state)
{
	(void)state;
	fixture_send(from, 3 * MIB);
	fixture_settle(&fixture);
	expect_all(to, from, skip);
	assert_int_equal(calls(FAKE_PIPE), 1);
	/* Nearly all of it. */
	assert_true(calls(FAKE_RECV) <= 8);
	finish_both();
}

static void a_stream_that_turns_to_small_messages_is_copied_again(void **state)
{
	unsigned splices;

	(void)state;
	start_splicing(MIB);
	for (unsigned i = 0; i < 10; i++) {
		fixture_send(from, 100);
		fixture_settle(&fixture);
	}
	splices = calls(FAKE_SPLICE_IN);
	for (unsigned i = 0; i < 10; i++) {
		fixture_send(from, 100);
		fixture_settle(&fixture);
	}
	assert_int_equal(calls(FAKE_SPLICE_IN), splices);
	finish_both();
}

static void a_pipe_that_fills_before_the_socket_is_empty_loses_nothing(void **state)
{
	(void)state;
	/* Small segments use up a pipe's pages long before its bytes. */
	fixture.fake.splice_limit = 17000;
	start_splicing(2 * MIB);
	finish_both();
}

static void a_sink_that_takes_little_of_a_full_pipe_loses_nothing(void **state)
{
	(void)state;
	stall(50000, 70000);
	fixture_send(from, 2 * MIB);
	read_all(33333);
	assert_true(calls(FAKE_SPLICE_OUT) > calls(FAKE_SPLICE_IN));
	finish_both();
}

static void an_empty_socket_ends_the_turn_of_a_spliced_stream(void **state)
{
	unsigned splices;

	(void)state;
	start_splicing(MIB);
	splices = calls(FAKE_SPLICE_IN);
	fixture_pass(&fixture, 1000);
	assert_int_equal(calls(FAKE_SPLICE_IN), splices);
	fixture_send(from, MIB);
	finish_both();
}

static void without_a_pipe_the_stream_is_copied(void **state)
{
	(void)state;
	fixture.relay.pipes.limit = 0;
	fixture_send(from, 2 * MIB);
	fixture_settle(&fixture);
	assert_int_equal(calls(FAKE_SPLICE_IN), 0);
	assert_true(fixture_count(&fixture, COUNTER_PIPES_MISSING) > 0);
	finish_both();
}

static void a_pipe_that_cannot_be_made_is_gone_without(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 10; i++)
		fake_fail(&fixture.fake, FAKE_PIPE, i, i % 2 ? -EMFILE : -ENOMEM);
	fixture_send(from, 2 * MIB);
	fixture_settle(&fixture);
	assert_true(fixture_count(&fixture, COUNTER_PIPES_MISSING) > 0);
	finish_both();
}

static void a_kernel_without_splice_is_asked_once(void **state)
{
	(void)state;
	fake_fail(&fixture.fake, FAKE_SPLICE_IN, 1, -ENOSYS);
	fixture_send(from, 3 * MIB);
	fixture_settle(&fixture);
	assert_int_equal(calls(FAKE_SPLICE_IN), 1);
	finish_both();
}

static void a_pipe_that_the_kernel_cuts_short_is_gone_without(void **state)
{
	(void)state;
	fixture.fake.pipe_size = 8192;
	fixture_send(from, 2 * MIB);
	fixture_settle(&fixture);
	assert_int_equal(calls(FAKE_SPLICE_IN), 0);
	assert_true(list_empty(&fixture.fake.pipes));
	finish_both();
}

static void a_pipe_goes_back_to_the_pool_for_the_next_stream(void **state)
{
	struct fake_socket *other_client, *other_upstream;

	(void)state;
	start_splicing(MIB);
	fixture_open(&fixture, &other_client, &other_upstream);
	fixture_send(other_client, MIB);
	fixture_settle(&fixture);
	expect_all(other_upstream, other_client, FIXTURE_V1_SIZE);
	assert_int_equal(calls(FAKE_PIPE), 1);
}

static void a_stream_whose_pipe_is_stuck_does_not_starve_the_others(void **state)
{
	struct fake_socket *other_client, *other_upstream;

	(void)state;
	fixture.relay.pipes.limit = 1;
	stall(50000, 70000);
	fixture_send(from, 2 * MIB);
	fixture_settle(&fixture);
	fake_peer_read(to, 250000);
	fixture_settle(&fixture);
	assert_non_null(the_stream()->pipe);
	fixture_open(&fixture, &other_client, &other_upstream);
	fixture_send(other_client, MIB);
	fixture_settle(&fixture);
	expect_all(other_upstream, other_client, FIXTURE_V1_SIZE);
	fake_peer_finish(other_client);
	fake_peer_finish(other_upstream);
	fixture_settle(&fixture);
	read_all(50000);
	expect_all(to, from, skip);
}

static void a_pipe_that_holds_bytes_of_a_closed_session_is_not_used_again(void **state)
{
	struct fake_socket *other_client, *other_upstream;

	(void)state;
	stall(50000, 70000);
	fixture_send(from, 2 * MIB);
	fixture_settle(&fixture);
	fake_peer_read(to, 250000);
	fixture_settle(&fixture);
	assert_non_null(the_stream()->pipe);
	assert_true(the_stream()->pipe->length > 0);
	fake_peer_reset(to);
	fixture_settle(&fixture);
	assert_null(fixture_session(&fixture));
	assert_int_equal(fixture.relay.pipes.alive, 0);
	fixture_open(&fixture, &other_client, &other_upstream);
	fixture_send(other_client, MIB);
	fixture_settle(&fixture);
	expect_all(other_upstream, other_client, FIXTURE_V1_SIZE);
}

static void a_reset_behind_bytes_in_a_pipe_waits_for_them(void **state)
{
	(void)state;
	stall(50000, 70000);
	fixture_send(from, MIB);
	fixture_settle(&fixture);
	fake_peer_read(to, 250000);
	fixture_settle(&fixture);
	assert_non_null(the_stream()->pipe);
	fake_peer_reset(from);
	read_all(30000);
	fixture_pass(&fixture, 200);
	expect_all(to, from, skip);
	assert_true(to->saw_reset);
	assert_int_equal(to->destroyed, 0);
}

static void urgent_data_takes_a_stream_off_the_pipe(void **state)
{
	unsigned splices;

	(void)state;
	start_splicing(MIB);
	fixture_send(from, MIB);
	fake_peer_send_urgent(from, '!');
	fixture_send(from, MIB);
	fixture_settle(&fixture);
	expect_all(to, from, skip);
	splices = calls(FAKE_SPLICE_IN);
	fixture_send(from, 2 * MIB);
	fixture_settle(&fixture);
	assert_int_equal(calls(FAKE_SPLICE_IN), splices);
	finish_both();
}

/* While a splice is under way, and before any event can tell: urgent data, and an end behind it. */
static int urgent_data_arrives(void *context, enum fake_call call)
{
	void (*end)(struct fake_socket * socket) = *(void (**)(struct fake_socket *))context;

	if (call == FAKE_SPLICE_IN && !from->in_fin && !from->peer_gone) {
		fixture_send(from, 2000);
		fake_peer_send_urgent(from, '!');
		fixture_send(from, 3000);
		end(from);
	}
	return 0;
}

static void splice_into_urgent_data(void (*end)(struct fake_socket *socket))
{
	start_splicing(MIB);
	fixture.fake.fault = urgent_data_arrives;
	fixture.fake.context = &end;
	/* Less than a turn: no event comes between. */
	fixture_send(from, 300000);
	fixture_pass(&fixture, 200);
	fixture.fake.fault = NULL;
	expect_all(to, from, skip);
}

/* A splice stops before the mark, and calls that the end when a FIN has come in behind it. */
static void urgent_data_and_the_end_behind_it_are_not_lost_in_a_splice(void **state)
{
	(void)state;
	splice_into_urgent_data(fake_peer_finish);
	assert_true(to->fin_delivered);
	fake_peer_finish(to);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_FINISHED);
}

static void urgent_data_before_a_reset_is_not_lost_in_a_splice(void **state)
{
	(void)state;
	splice_into_urgent_data(fake_peer_reset);
	assert_true(to->saw_reset);
	assert_int_equal(to->destroyed, 0);
	assert_null(fixture_session(&fixture));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_stream_that_fills_its_reads_goes_through_a_pipe),
		BOTH(a_stream_that_turns_to_small_messages_is_copied_again),
		BOTH(a_pipe_that_fills_before_the_socket_is_empty_loses_nothing),
		BOTH(a_sink_that_takes_little_of_a_full_pipe_loses_nothing),
		BOTH(an_empty_socket_ends_the_turn_of_a_spliced_stream),
		BOTH(without_a_pipe_the_stream_is_copied),
		BOTH(a_pipe_that_cannot_be_made_is_gone_without),
		BOTH(a_kernel_without_splice_is_asked_once),
		BOTH(a_pipe_that_the_kernel_cuts_short_is_gone_without),
		BOTH(a_pipe_goes_back_to_the_pool_for_the_next_stream),
		BOTH(a_stream_whose_pipe_is_stuck_does_not_starve_the_others),
		BOTH(a_pipe_that_holds_bytes_of_a_closed_session_is_not_used_again),
		BOTH(a_reset_behind_bytes_in_a_pipe_waits_for_them),
		BOTH(urgent_data_takes_a_stream_off_the_pipe),
		BOTH(urgent_data_and_the_end_behind_it_are_not_lost_in_a_splice),
		BOTH(urgent_data_before_a_reset_is_not_lost_in_a_splice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
