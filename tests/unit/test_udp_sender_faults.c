/* SPDX-License-Identifier: MIT */
/*
 * What the kernel may say to a sender, and what becomes of the datagrams: those that can go, go,
 * and of the others whoever asked is told. Last, at random.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "udp_sending.h"
#include "wire/spp.h"

#define HEADER_LENGTH SPP_LENGTH
#define SCHEDULES     3000

static int start_connected(void **state)
{
	(void)state;
	sending_start(true);
	return 0;
}

static int start_unconnected(void **state)
{
	(void)state;
	sending_start(false);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	sending_stop();
	return 0;
}

/* The call of this number, counted from 1, and `more` after it fail. */
static void fail_call(unsigned number, unsigned more, int error)
{
	sending.post.failing = number;
	sending.post.failing_for = more;
	sending.post.error = error;
}

static void add_with_header(unsigned flow, size_t length)
{
	struct udp_outgoing outgoing = datagram(flow, length);

	outgoing.header = pattern(1 << 18);
	outgoing.header_length = HEADER_LENGTH;
	assert_true(sending_add(&outgoing));
}

static void messages_that_a_call_leaves_behind_are_sent_by_the_next(void **state)
{
	(void)state;
	sending.post.at_most = 3;
	for (unsigned i = 0; i < 10; i++)
		add_many(i % 2, 100, 2);
	sending_flush();
	EXPECT_MESSAGES(2, 2, 2, 2, 2, 2, 2, 2, 2, 2);
	assert_int_equal(sending.post.calls, 4);
	expect_errors(0, 10);
}

/* A path with a small MTU, a device without checksums, a tunnel. */
static void a_run_that_is_refused_goes_one_by_one(void **state)
{
	static const int errors[] = {-EINVAL, -EIO, -EMSGSIZE};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		sending.post.message_count = 0;
		sending.post.run_error = errors[i];
		add(1, 50);
		add_many(0, 100, 3);
		add(0, 99);
		add(1, 50);
		sending_flush();
		EXPECT_MESSAGES(1, 1, 1, 1, 1, 1);
		expect_errors(0, 6);
		for (unsigned j = 0; j < 6; j++)
			assert_int_equal(sending.reports[j].run.refused, j >= 1 && j <= 4);
	}
}

static void one_by_one_the_pieces_are_cut_where_the_datagrams_end(void **state)
{
	(void)state;
	sending.post.run_error = -EINVAL;
	for (unsigned i = 0; i < 3; i++) {
		/* Neighbours in memory, and not: pieces of three, of one and of two. */
		struct udp_outgoing outgoing = datagram(0, 100);

		for (unsigned j = 0; j < 6; j++) {
			if (j == 3 || j == 4)
				outgoing.bytes = datagram(0, 100).bytes;
			assert_true(sending_add(&outgoing));
			outgoing.bytes += 100;
		}
		add(0, 1 + 40 * i);
	}
	sending_flush();
	assert_int_equal(sending.report_count, 21);
}

static void one_by_one_each_keeps_its_header(void **state)
{
	(void)state;
	sending.post.run_error = -EIO;
	for (unsigned i = 0; i < 3; i++)
		add_with_header(0, 100);
	add_with_header(0, 7);
	add_with_header(1, 0);
	add_with_header(1, 0);
	sending_flush();
	EXPECT_MESSAGES(1, 1, 1, 1, 1, 1);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(sending.reports[i].run.headers, HEADER_LENGTH);
}

static void one_by_one_each_goes_where_the_run_would_have_gone(void **state)
{
	struct udp_route route = {
		.peer.in = {.sin_family = AF_INET, .sin_port = htons(4000)},
		.peer_length = sizeof(route.peer.in),
		.local_family = AF_INET,
	};

	(void)state;
	inet_pton(AF_INET, "192.0.2.1", &route.peer.in.sin_addr);
	inet_pton(AF_INET, "198.51.100.7", &route.local.in);
	sending.post.run_error = -EINVAL;
	for (unsigned i = 0; i < 3; i++) {
		struct udp_outgoing outgoing = datagram(0, 100);

		outgoing.route = &route;
		assert_true(sending_add(&outgoing));
	}
	sending_flush();
	EXPECT_MESSAGES(1, 1, 1);
	for (unsigned i = 0; i < 3; i++) {
		const struct fake_message *message = &sending.post.messages[i];

		assert_int_equal(message->name_length, sizeof(route.peer.in));
		assert_memory_equal(&message->name, &route.peer.in, sizeof(route.peer.in));
		assert_true(message->has_local4);
		assert_int_equal(message->local4.ipi_spec_dst.s_addr, route.local.in.s_addr);
		assert_int_equal(message->segment, 0);
	}
}

static void of_a_refused_run_only_what_is_too_large_is_dropped(void **state)
{
	(void)state;
	sending.post.mtu = 99;
	add_many(0, 100, 3);
	add(0, 99);
	add(1, 50);
	sending_flush();
	EXPECT_MESSAGES(1, 1);
	assert_int_equal(sending.report_count, 5);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(sending.reports[i].error, i < 3 ? -EMSGSIZE : 0);
}

static void a_datagram_that_is_too_large_does_not_hold_up_the_others(void **state)
{
	(void)state;
	sending.post.mtu = 1472;
	add(0, 1473);
	add(1, 100);
	add(0, 2000);
	add(0, 1472);
	sending_flush();
	EXPECT_MESSAGES(1, 1);
	assert_int_equal(sending.reports[0].error, -EMSGSIZE);
	assert_int_equal(sending.reports[1].error, 0);
	assert_int_equal(sending.reports[2].error, -EMSGSIZE);
	assert_int_equal(sending.reports[3].error, 0);
	assert_false(sending.reports[0].run.refused);
}

static void a_full_kernel_is_asked_once_a_run_and_no_more(void **state)
{
	static const int errors[] = {-EAGAIN, -ENOBUFS, -ENOMEM};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		sending.post.calls = 0;
		fail_call(1, 1000, errors[i]);
		add_many(0, 100, 3);
		add(1, 100);
		add_many(0, 100, 2);
		sending_flush();
		expect_errors(errors[i], 3);
		assert_int_equal(sending.post.calls, 3);
		assert_int_equal(sending.reports[0].run.datagrams, 3);
	}
	assert_int_equal(sending.post.message_count, 0);
}

static void when_there_is_room_again_the_rest_goes(void **state)
{
	(void)state;
	fail_call(2, 0, -EAGAIN);
	sending.post.at_most = 2;
	for (unsigned i = 0; i < 6; i++)
		add(i, 100);
	sending_flush();
	EXPECT_MESSAGES(1, 1, 1, 1, 1);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(sending.reports[i].error, i == 2 ? -EAGAIN : 0);
}

static const int path_errors[] = {-ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH, -EHOSTDOWN, -ENONET,
				  -ENOPROTOOPT,  -EOPNOTSUPP,   -EPROTO,      -EACCES};
#define PATH_ERRORS (sizeof(path_errors) / sizeof(path_errors[0]))

/* It answers something that was sent before. */
static void an_error_of_the_path_is_counted_and_costs_no_datagram(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PATH_ERRORS; i++) {
		assert_true(udp_is_path_error(path_errors[i]));
		sending.post.calls = sending.post.message_count = 0;
		fail_call(1, 0, path_errors[i]);
		add_many(0, 100, 3);
		add(0, 200);
		sending_flush();
		EXPECT_MESSAGES(3, 1);
		expect_errors(0, 2);
		assert_int_equal(icmp_errors(), i + 1);
	}
}

/* What a router has found too large was sent before, and is no datagram of these. */
static void that_an_earlier_one_was_too_large_costs_no_datagram(void **state)
{
	(void)state;
	fail_call(1, 0, -EMSGSIZE);
	add_many(0, 100, 3);
	add(0, 200);
	sending_flush();
	EXPECT_MESSAGES(3, 1);
	expect_errors(0, 2);
	assert_false(sending.reports[0].run.refused);
	assert_int_equal(icmp_errors(), 1);
}

static void one_that_is_too_large_itself_is_no_error_of_the_path(void **state)
{
	(void)state;
	sending.post.mtu = 100;
	add(0, 200);
	add(0, 100);
	sending_flush();
	EXPECT_MESSAGES(1);
	assert_int_equal(sending.reports[0].error, -EMSGSIZE);
	assert_int_equal(icmp_errors(), 0);
}

static void an_error_of_the_path_that_persists_is_reported(void **state)
{
	(void)state;
	fail_call(1, 1, -ECONNREFUSED);
	add_many(0, 100, 2);
	add(0, 200);
	sending_flush();
	EXPECT_MESSAGES(1);
	assert_int_equal(sending.reports[0].error, -ECONNREFUSED);
	assert_int_equal(sending.reports[1].error, 0);
	assert_in_range(icmp_errors(), 1, 2);
}

static void an_error_of_the_path_may_hide_that_runs_are_refused(void **state)
{
	(void)state;
	fail_call(1, 0, -ECONNREFUSED);
	sending.post.run_error = -EIO;
	add_many(0, 100, 3);
	sending_flush();
	EXPECT_MESSAGES(1, 1, 1);
	assert_int_equal(icmp_errors(), 1);
}

static void one_by_one_an_error_of_the_path_costs_no_datagram(void **state)
{
	(void)state;
	for (unsigned call = 2; call <= 4; call++) {
		sending.post.calls = sending.post.message_count = 0;
		fail_call(call, 0, -ECONNREFUSED);
		sending.post.run_error = -EIO;
		add_many(0, 100, 3);
		sending_flush();
		EXPECT_MESSAGES(1, 1, 1);
		expect_errors(0, 3);
		assert_int_equal(icmp_errors(), call - 1);
	}
}

static void to_a_peer_that_is_named_no_error_belongs_to_another_datagram(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PATH_ERRORS; i++) {
		sending.post.calls = sending.post.message_count = 0;
		fail_call(1, 0, path_errors[i]);
		add_many(0, 100, 3);
		add(1, 200);
		sending_flush();
		EXPECT_MESSAGES(1);
		assert_int_equal(sending.reports[0].error, path_errors[i]);
		assert_int_equal(sending.reports[1].error, 0);
	}
	assert_int_equal(icmp_errors(), 0);
}

static void other_errors_are_none_of_the_path(void **state)
{
	static const int errors[] = {0,       1,    -EAGAIN, -EINTR,   -EMSGSIZE,
				     -EINVAL, -EIO, -EPERM,  -ENOBUFS, -EBADF};

	(void)state;
	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		assert_false(udp_is_path_error(errors[i]));
}

static void an_interruption_costs_no_datagram(void **state)
{
	(void)state;
	for (unsigned call = 1; call <= 5; call++) {
		sending.post.calls = sending.post.message_count = 0;
		sending.post.run_error = -EINVAL;
		fail_call(call, 0, -EINTR);
		add_many(0, 100, 3);
		add(1, 100);
		sending_flush();
		EXPECT_MESSAGES(1, 1, 1, 1);
		expect_errors(0, 4);
	}
	assert_int_equal(icmp_errors(), 0);
}

static void a_firewall_that_forbids_one_run_lets_the_others_go(void **state)
{
	(void)state;
	fail_call(1, 0, -EPERM);
	add_many(0, 100, 3);
	add_many(1, 100, 3);
	sending_flush();
	EXPECT_MESSAGES(3);
	/* Not one by one: that would not help. */
	assert_int_equal(sending.reports[0].run.datagrams, 3);
	assert_int_equal(sending.reports[0].error, -EPERM);
	assert_int_equal(sending.post.calls, 2);
}

/* At random: sizes, flows, headers, memory, and a kernel in a bad mood. */
static uint64_t random_state;

static unsigned random_below(unsigned limit)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(random_state >> 33) % limit;
}

static int random_fault(struct post *post, const struct fake_message *message)
{
	static const int errors[] = {-EAGAIN,       -ENOBUFS,      -EINTR,    -EINVAL,
				     -ECONNREFUSED, -EHOSTUNREACH, -EMSGSIZE, -EPERM};

	(void)message;
	if (post->at_most > 0 && random_below(4) == 0)
		post->at_most = 1 + random_below(20);
	return random_below(12) == 0 ? errors[random_below(8)] : 0;
}

static void add_randomly(unsigned flow, unsigned usual_length)
{
	static struct udp_outgoing last;
	struct udp_outgoing outgoing = datagram(flow, usual_length);

	if (random_below(8) == 0)
		outgoing.length = random_below(usual_length + 1);
	if (random_below(64) == 0)
		outgoing.length = random_below(3000);
	if (random_below(2) == 0 && last.bytes != NULL)
		outgoing.bytes = pattern(last.bytes - pattern(0) + last.length);
	outgoing.alone = random_below(16) == 0;
	if (flow % 2 == 1) {
		outgoing.header = pattern(flow * 100);
		outgoing.header_length = HEADER_LENGTH;
	}
	if (!sending_add(&outgoing)) {
		sending_flush();
		assert_true(sending_add(&outgoing));
	}
	last = outgoing;
}

static void whatever_happens_each_datagram_is_accounted_for(void **state)
{
	(void)state;
	for (unsigned schedule = 0; schedule < SCHEDULES; schedule++) {
		unsigned length = 1 + random_below(200);
		unsigned flow = 0;

		random_state = schedule;
		sending_start(schedule % 2 == 0);
		sending.post.fault = schedule % 3 > 0 ? random_fault : NULL;
		sending.post.run_error = schedule % 5 == 0 ? -EIO : 0;
		sending.post.at_most = schedule % 7 == 0;
		sending.post.mtu = schedule % 11 == 0 ? length : 0;
		for (unsigned i = random_below(200); i > 0; i--) {
			if (random_below(6) == 0)
				flow = random_below(FLOWS);
			add_randomly(flow, length);
		}
		sending_flush();
		sending_stop();
	}
}

int main(void)
{
#define TEST(name)             cmocka_unit_test_setup_teardown(name, start_connected, stop)
#define UNCONNECTED_TEST(name) cmocka_unit_test_setup_teardown(name, start_unconnected, stop)
	const struct CMUnitTest tests[] = {
		TEST(messages_that_a_call_leaves_behind_are_sent_by_the_next),
		TEST(a_run_that_is_refused_goes_one_by_one),
		TEST(one_by_one_the_pieces_are_cut_where_the_datagrams_end),
		TEST(one_by_one_each_keeps_its_header),
		UNCONNECTED_TEST(one_by_one_each_goes_where_the_run_would_have_gone),
		TEST(of_a_refused_run_only_what_is_too_large_is_dropped),
		TEST(a_datagram_that_is_too_large_does_not_hold_up_the_others),
		TEST(a_full_kernel_is_asked_once_a_run_and_no_more),
		TEST(when_there_is_room_again_the_rest_goes),
		TEST(an_error_of_the_path_is_counted_and_costs_no_datagram),
		TEST(that_an_earlier_one_was_too_large_costs_no_datagram),
		TEST(one_that_is_too_large_itself_is_no_error_of_the_path),
		TEST(an_error_of_the_path_that_persists_is_reported),
		TEST(an_error_of_the_path_may_hide_that_runs_are_refused),
		TEST(one_by_one_an_error_of_the_path_costs_no_datagram),
		UNCONNECTED_TEST(to_a_peer_that_is_named_no_error_belongs_to_another_datagram),
		TEST(other_errors_are_none_of_the_path),
		TEST(an_interruption_costs_no_datagram),
		TEST(a_firewall_that_forbids_one_run_lets_the_others_go),
		cmocka_unit_test(whatever_happens_each_datagram_is_accounted_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
