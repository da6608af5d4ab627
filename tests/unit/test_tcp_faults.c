/* SPDX-License-Identifier: MIT */
/*
 * Every call of one conversation fails once, each way it can. Whatever becomes of the session, no
 * byte is lost silently or doubled, an orderly end never stands for less than everything, and
 * nothing is left open or held.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "relay_checks.h"
#include "relay_fixture.h"

#define UPLOAD   700000
#define DOWNLOAD 400000
#define BREAK    20000  /* milliseconds: the relay looks after what is under way */
#define LONG     200000 /* past every deadline */

/* Calls of one kind that are made to fail, one conversation each. */
#define FAILURES_MAX 120

static struct relay_fixture fixture;
static struct fake_socket *client, *upstream;

static void limit(struct fake_socket *socket)
{
	socket->peer_stalls = true;
	socket->peer_window = 60000;
	socket->send_limit = 90000;
}

static void both_read(void)
{
	for (unsigned i = 0; i < 200; i++) {
		fixture_settle(&fixture);
		fake_peer_read(client, 30000);
		fake_peer_read(upstream, 30000);
	}
}

static bool alive(const struct fake_socket *socket)
{
	return socket->state == FAKE_CONNECTED && socket->closed == FAKE_OPEN;
}

static void connect_and_dial(void)
{
	upstream = NULL;
	client = fake_incoming(fixture.listening, FIXTURE_BALANCER);
	limit(client);
	fake_peer_send(client, FIXTURE_V1, 20);
	fixture_settle(&fixture);
	if (alive(client))
		fake_peer_send(client, &FIXTURE_V1[20], FIXTURE_V1_SIZE - 20);
	if (alive(client))
		fixture_send(client, 10);
	/* A listener may have to pause. */
	fixture_pass(&fixture, 100);
	upstream = fake_dialled(&fixture.fake);
	if (upstream != NULL && upstream->state == FAKE_CONNECTED)
		limit(upstream);
	else
		upstream = NULL;
}

/* Both ways at once, with a long break, by copy and by splice; half-closes, or a reset. */
static void converse(bool reset)
{
	connect_and_dial();
	if (upstream != NULL) {
		if (alive(client))
			fixture_send(client, UPLOAD);
		if (alive(upstream))
			fixture_send(upstream, DOWNLOAD);
		fixture_pass(&fixture, BREAK);
		both_read();
		fake_peer_finish(client);
		both_read();
		if (reset)
			fake_peer_reset(upstream);
		else
			fake_peer_finish(upstream);
		both_read();
	}
	fake_peer_finish(client);
	fixture_pass(&fixture, LONG);
}

static void expect_truth(const char *what, const struct fake_socket *from,
			 const struct fake_socket *to, size_t skip)
{
	size_t sent = from->in.length > skip ? from->in.length - skip : 0;

	if (to->out.length > sent)
		fail_msg("%s: more arrives than was sent", what);
	expect_start(to, from, skip);
	if (to->fin_delivered && !(from->in_fin && to->out_delivered == sent))
		fail_msg("%s: an orderly end after %zu of %zu bytes", what, to->out_delivered,
			 sent);
}

/* With the `in`th call of this kind failing. Returns how many calls of the kind there were. */
static unsigned converse_with(enum fake_call call, unsigned in, int error, bool harmless,
			      bool reset)
{
	char what[64];
	unsigned calls;

	snprintf(what, sizeof(what), "call kind %d, number %u, error %d", (int)call, in, error);
	fixture_start(&fixture);
	calls = fixture.fake.calls[call];
	if (in > 0)
		fake_fail(&fixture.fake, call, in, error);
	converse(reset);
	if (fixture_session(&fixture) != NULL)
		fail_msg("%s: the session lives on", what);
	if (upstream != NULL) {
		expect_truth(what, client, upstream, FIXTURE_V1_SIZE);
		expect_truth(what, upstream, client, 0);
	} else {
		assert_int_equal(client->out_delivered, 0);
	}
	if (harmless && fixture_closed(&fixture, CLOSE_FINISHED) != 1)
		fail_msg("%s: the session did not finish", what);
	if (harmless) {
		assert_int_equal(upstream->out_delivered, 10 + UPLOAD);
		assert_int_equal(client->out_delivered, DOWNLOAD);
	}
	calls = fixture.fake.calls[call] - calls;
	fixture_stop(&fixture);
	return calls;
}

static void fail_each(enum fake_call call, const int *errors, size_t count, bool harmless)
{
	unsigned calls = converse_with(call, 0, 0, true, false);
	unsigned step = 1 + calls / FAILURES_MAX;

	for (size_t i = 0; i < count; i++) {
		for (unsigned in = 1; in <= calls + 1; in += step)
			converse_with(call, in, errors[i], harmless, false);
		for (unsigned in = 1; in <= calls + 1; in += 2 * step)
			converse_with(call, in, errors[i], false, true);
	}
}

#define FAIL_EACH(call, harmless, ...)                                                             \
	do {                                                                                       \
		const int errors[] = {__VA_ARGS__};                                                \
                                                                                                   \
		fail_each(call, errors, sizeof(errors) / sizeof(errors[0]), harmless);             \
	} while (0)

/*
 * All but SO_LINGER, which takes no memory and no right: it cannot fail. Those of a hand-off are
 * test_tcp_offload_faults.c's.
 */
static void the_conversations_use_every_kind_of_call(void **state)
{
	(void)state;
	for (unsigned call = 0; call < FAKE_UNREAD; call++) {
		unsigned calls = converse_with((enum fake_call)call, 0, 0, true, false) +
				 converse_with((enum fake_call)call, 0, 0, false, true);

		if (calls == 0)
			fail_msg("no call of kind %u", call);
	}
}

static void an_interruption_or_a_wait_anywhere_is_harmless(void **state)
{
	(void)state;
	FAIL_EACH(FAKE_RECV, true, -EINTR, -EAGAIN);
	FAIL_EACH(FAKE_SEND, true, -EINTR, -EAGAIN);
	FAIL_EACH(FAKE_SPLICE_IN, true, -EINTR, -EAGAIN);
	FAIL_EACH(FAKE_SPLICE_OUT, true, -EINTR, -EAGAIN);
	FAIL_EACH(FAKE_ACCEPT, true, -EINTR, -EAGAIN);
}

static void what_can_be_gone_without_is(void **state)
{
	(void)state;
	FAIL_EACH(FAKE_PIPE, true, -EMFILE, -ENFILE, -ENOMEM);
	FAIL_EACH(FAKE_SPLICE_IN, true, -ENOSYS, -EPERM, -ENOMEM, -EINVAL);
	FAIL_EACH(FAKE_ACCEPT, true, -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM, -ECONNABORTED);
	FAIL_EACH(FAKE_TCP_INFO, true, -ENOMEM);
}

static void a_failed_read_or_write_loses_nothing_silently(void **state)
{
	(void)state;
	FAIL_EACH(FAKE_RECV, false, -ECONNRESET, -ETIMEDOUT, -ENOMEM);
	FAIL_EACH(FAKE_SEND, false, -ECONNRESET, -EPIPE, -ETIMEDOUT, -ENOBUFS);
	FAIL_EACH(FAKE_SPLICE_IN, false, -ECONNRESET, -ETIMEDOUT);
	FAIL_EACH(FAKE_SPLICE_OUT, false, -ECONNRESET, -EPIPE, -ENOMEM);
}

static void a_failed_dial_leaves_nothing_behind(void **state)
{
	(void)state;
	FAIL_EACH(FAKE_SOCKET, false, -EMFILE, -ENFILE, -ENOBUFS, -EAFNOSUPPORT);
	FAIL_EACH(FAKE_BIND, false, -EADDRINUSE, -EACCES, -EADDRNOTAVAIL, -EINVAL);
	FAIL_EACH(FAKE_CONNECT, false, -ECONNREFUSED, -EADDRNOTAVAIL, -ENETUNREACH, -EACCES);
	FAIL_EACH(FAKE_SET_OPTION, false, -EPERM, -ENOPROTOOPT);
}

static void failures_of_the_rest_leave_nothing_behind(void **state)
{
	(void)state;
	FAIL_EACH(FAKE_UNSENT, false, -EINVAL);
	FAIL_EACH(FAKE_SHUTDOWN, false, -ENOTCONN, -ENOMEM);
	FAIL_EACH(FAKE_WATCH, false, -ENOSPC, -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_conversations_use_every_kind_of_call),
		cmocka_unit_test(an_interruption_or_a_wait_anywhere_is_harmless),
		cmocka_unit_test(what_can_be_gone_without_is),
		cmocka_unit_test(a_failed_read_or_write_loses_nothing_silently),
		cmocka_unit_test(a_failed_dial_leaves_nothing_behind),
		cmocka_unit_test(failures_of_the_rest_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
