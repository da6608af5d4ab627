/* SPDX-License-Identifier: MIT */
/*
 * Calls that fail on a session's way to the kernel, and behind it: whatever fails, and whenever, no
 * byte is lost or doubled, and nothing is left behind.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tcp_handoff.h"

/* A failure at each of so many calls of a kind; of more, at some. */
#define FAILURES_MAX 60

static bool no_memory;

void *__real_calloc(size_t number, size_t size);
void *__wrap_calloc(size_t number, size_t size);

void *__wrap_calloc(size_t number, size_t size)
{
	return no_memory ? NULL : __real_calloc(number, size);
}

/* Bytes both ways, with some under way and some unread whenever a hand-off is tried. */
static void converse(void)
{
	/* Of two sockets that have bytes one is looked at, and the other has them when it is tried.
	 */
	fixture.event_limit = 1;
	for (unsigned i = 0; i < 6; i++) {
		client->hold_acks = i % 2 == 1;
		fixture_send(client, 700 + i);
		fixture_send(upstream, 900 + i);
		fixture_round(&fixture);
		fixture_send(client, 30);
		fixture_pass(&fixture, 2);
	}
	client->hold_acks = false;
	fake_network(client);
	fixture_pass(&fixture, 1000);
	exchange(2);
	fake_peer_finish(client);
	fixture_pass(&fixture, 6000);
	fake_peer_finish(upstream);
	fixture_pass(&fixture, 20000);
}

static void expect_that_all_was_well(void)
{
	expect_all_bytes();
	expect_closed(&fixture, CLOSE_FINISHED);
	assert_true(client->fin_delivered && upstream->fin_delivered);
	assert_false(client->saw_reset || upstream->saw_reset);
	assert_int_equal(count(COUNTER_BYTES_FROM_CLIENT), client->in.length - FIXTURE_V1_SIZE);
	assert_int_equal(count(COUNTER_BYTES_FROM_UPSTREAM), upstream->in.length);
	assert_int_equal(fake_datapath_count(&kernel), 0);
}

/* Returns how many calls of this kind there were, of which the `in`th failed. */
static unsigned with_system(enum fake_call call, unsigned in, int error)
{
	unsigned before;

	start_session(NULL);
	before = fixture.fake.calls[call];
	if (in > 0)
		fake_fail(&fixture.fake, call, in, error);
	converse();
	before = fixture.fake.calls[call] - before;
	expect_that_all_was_well();
	stop(NULL);
	return before;
}

static void each_of_system(enum fake_call call, int error)
{
	unsigned calls = with_system(call, 0, 0), step = 1 + calls / FAILURES_MAX;

	assert_true(calls > 0);
	for (unsigned in = 1; in <= calls; in += step)
		with_system(call, in, error);
}

static void a_call_of_the_hand_off_that_fails_is_harmless(void **state)
{
	(void)state;
	each_of_system(FAKE_UNREAD, -EBADF);
	each_of_system(FAKE_NOT_SENT, -EBADF);
	each_of_system(FAKE_PEEK, -EAGAIN);
	each_of_system(FAKE_PEEK, -EINTR);
	each_of_system(FAKE_POSITION, -EPERM);
	each_of_system(FAKE_TCP_INFO, -ENOMEM);
	each_of_system(FAKE_SEND, -EAGAIN);
	each_of_system(FAKE_SEND, -EINTR);
	each_of_system(FAKE_SET_OPTION, -ENOMEM);
}

static unsigned with_kernel(enum fake_datapath_call call, unsigned in, int error)
{
	unsigned calls;

	start_session(NULL);
	if (in > 0)
		fake_datapath_fail(&kernel, call, in, error);
	converse();
	calls = kernel.calls[call];
	expect_that_all_was_well();
	stop(NULL);
	return calls;
}

static void each_of_kernel(enum fake_datapath_call call, int error)
{
	unsigned calls = with_kernel(call, 0, 0);

	assert_true(calls > 0);
	for (unsigned in = 1; in <= calls; in++)
		with_kernel(call, in, error);
}

static void what_the_kernel_refuses_stays_a_relay_or_is_tried_again(void **state)
{
	(void)state;
	each_of_kernel(FAKE_OBSERVE, -ENOMEM);
	each_of_kernel(FAKE_OBSERVE, -EEXIST);
	each_of_kernel(FAKE_OBSERVE, -E2BIG);
	each_of_kernel(FAKE_KEEP_RECORD, -ENOMEM);
	each_of_kernel(FAKE_FIND_WAY, -ENETUNREACH);
	each_of_kernel(FAKE_MOVE, -EAGAIN);
	each_of_kernel(FAKE_MOVE, -ENOENT);
	each_of_kernel(FAKE_MOVE, -EPERM);
}

static void a_look_that_fails_before_the_move_is_harmless(void **state)
{
	(void)state;
	start_session(state);
	kernel.fail_in[FAKE_LOOK] = 1;
	kernel.errors[FAKE_LOOK] = -ENOENT;
	converse();
	expect_that_all_was_well();
	stop(state);
}

static void without_memory_it_stays(void **state)
{
	(void)state;
	start_session(state);
	exchange(1);
	no_memory = true;
	exchange(3);
	no_memory = false;
	assert_int_equal(session_state(), TCP_RELAY);
	assert_int_equal(count(COUNTER_OFFLOAD_STAYED_ERROR), 1);
	assert_int_equal(kernel.calls[FAKE_OBSERVE], 0);
	converse();
	expect_that_all_was_well();
	stop(state);
}

static void a_bpf_that_was_forbidden_counts_as_an_error(void **state)
{
	(void)state;
	start_session(state);
	fake_datapath_fail(&kernel, FAKE_OBSERVE, 1, -EPERM);
	exchange(5);
	assert_int_equal(count(COUNTER_OFFLOAD_STAYED_ERROR), 1);
	stop(state);
}

/* Behind the hand-off. */

static void close_carried(enum fake_datapath_call call, int error)
{
	start_session(NULL);
	hand_off();
	fake_datapath_fail(&kernel, call, 1, error);
	tcp_session_close(fixture_session(&fixture), CLOSE_KILLED);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_KILLED);
	fixture_pass(&fixture, 11000);
	assert_int_equal(fake_datapath_count(&kernel), 0);
	stop(NULL);
}

static void an_end_is_an_end_whatever_fails(void **state)
{
	(void)state;
	close_carried(FAKE_LOOK, -ENOENT);
	close_carried(FAKE_READ_RECORD, -ENOENT);
	close_carried(FAKE_REVIVE, -EMFILE);
	close_carried(FAKE_END, -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_of_the_hand_off_that_fails_is_harmless),
		cmocka_unit_test(what_the_kernel_refuses_stays_a_relay_or_is_tried_again),
		cmocka_unit_test(a_look_that_fails_before_the_move_is_harmless),
		cmocka_unit_test(without_memory_it_stays),
		cmocka_unit_test(a_bpf_that_was_forbidden_counts_as_an_error),
		cmocka_unit_test(an_end_is_an_end_whatever_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
