/* SPDX-License-Identifier: MIT */
/* Sessions that the kernel cannot carry: each stays a relay, works, and is counted by the reason.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tcp_handoff.h"

static void expect_that_it_stays(enum counter reason)
{
	exchange(10);
	fixture_pass(&fixture, 2000);
	exchange(2);
	assert_int_equal(session_state(), TCP_RELAY);
	for (unsigned i = COUNTER_OFFLOADED; i <= COUNTER_OFFLOAD_STAYED_ERROR; i++)
		if (count((enum counter)i) != (i == reason))
			fail_msg("counter %u is %u", i, (unsigned)count((enum counter)i));
	assert_int_equal(fake_datapath_count(&kernel), 0);
	fake_peer_finish(client);
	fake_peer_finish(upstream);
	fixture_settle(&fixture);
	expect_all_bytes();
	expect_closed(&fixture, CLOSE_FINISHED);
}

static void send_more(void *left)
{
	unsigned *more = left;

	if (*more == 0)
		return;
	--*more;
	fixture_send(client, 77);
}

static void what_never_settles_goes_on_as_a_relay(void **state)
{
	unsigned left = UINT32_MAX;

	(void)state;
	kernel.before_move = send_more;
	kernel.context = &left;
	expect_that_it_stays(COUNTER_OFFLOAD_STAYED_BUSY);
	assert_true(kernel.calls[FAKE_MOVE] > 100);
}

static void it_stays_when_its_packets_are_not_seen(void **state)
{
	(void)state;
	kernel.unseen[OFFLOAD_UPSTREAM] = true;
	expect_that_it_stays(COUNTER_OFFLOAD_STAYED_UNSEEN);
}

static void it_stays_when_there_was_something_odd(void **state)
{
	(void)state;
	kernel.odd[OFFLOAD_BALANCER] = true;
	expect_that_it_stays(COUNTER_OFFLOAD_STAYED_OPTIONS);
}

static void it_stays_when_the_upstream_is_on_another_host(void **state)
{
	(void)state;
	kernel.interfaces[OFFLOAD_UPSTREAM] = 3;
	expect_that_it_stays(COUNTER_OFFLOAD_STAYED_REMOTE);
}

static void it_stays_when_there_is_no_way(void **state)
{
	(void)state;
	fake_datapath_fail(&kernel, FAKE_FIND_WAY, 1, -ENETUNREACH);
	expect_that_it_stays(COUNTER_OFFLOAD_STAYED_ROUTE);
}

static void it_stays_when_only_one_has_timestamps(void **state)
{
	(void)state;
	client->tcp_options &= (uint8_t)~TCPI_OPT_TIMESTAMPS;
	expect_that_it_stays(COUNTER_OFFLOAD_STAYED_TIMESTAMPS);
}

static void it_stays_when_only_one_has_sack(void **state)
{
	(void)state;
	upstream->tcp_options &= (uint8_t)~TCPI_OPT_SACK;
	expect_that_it_stays(COUNTER_OFFLOAD_STAYED_SACK);
}

static void it_stays_when_only_one_has_ecn(void **state)
{
	(void)state;
	client->tcp_options |= TCPI_OPT_ECN;
	expect_that_it_stays(COUNTER_OFFLOAD_STAYED_ECN);
}

static void it_stays_when_the_upstreams_segments_are_too_large(void **state)
{
	(void)state;
	upstream->own_segment = 8960;
	expect_that_it_stays(COUNTER_OFFLOAD_STAYED_SEGMENT);
}

static void it_stays_when_the_way_to_the_balancer_is_narrow(void **state)
{
	(void)state;
	client->path_mtu = 1400;
	expect_that_it_stays(COUNTER_OFFLOAD_STAYED_SEGMENT);
}

static void it_stays_when_there_was_urgent_data(void **state)
{
	(void)state;
	exchange(1);
	fake_peer_send_urgent(client, '!');
	fixture_settle(&fixture);
	expect_that_it_stays(COUNTER_OFFLOAD_STAYED_URGENT);
}

static void it_stays_when_one_side_has_finished(void **state)
{
	(void)state;
	fake_peer_finish(client);
	fixture_settle(&fixture);
	for (unsigned i = 0; i < 20; i++) {
		fixture_send(upstream, 100);
		fixture_pass(&fixture, 3);
	}
	assert_int_equal(session_state(), TCP_RELAY);
	assert_int_equal(count(COUNTER_OFFLOAD_STAYED_ENDING), 1);
	assert_int_equal(count(COUNTER_OFFLOADED), 0);
	fake_peer_finish(upstream);
	fixture_settle(&fixture);
	expect_all_bytes();
	expect_closed(&fixture, CLOSE_FINISHED);
}

static void it_stays_when_the_tables_are_full(void **state)
{
	(void)state;
	kernel.full = true;
	expect_that_it_stays(COUNTER_OFFLOAD_STAYED_FULL);
}

static void it_stays_when_the_clients_port_was_replaced(void **state)
{
	(void)state;
	fixture.fake.taken_port = fixture.fake.repair_port = 40000;
	fixture_open(&fixture, &client, &upstream);
	expect_that_it_stays(COUNTER_OFFLOAD_STAYED_PORT);
}

static void it_stays_when_the_two_legs_are_of_two_families(void **state)
{
	static const char header[] = "PROXY TCP6 2001:db8::9 2001:db8::1 40000 443\r\n";

	(void)state;
	client = fake_incoming(fixture.listening, FIXTURE_BALANCER);
	fake_peer_send(client, header, sizeof(header) - 1);
	fixture_settle(&fixture);
	upstream = fake_dialled(&fixture.fake);
	exchange(10);
	fixture_pass(&fixture, 2000);
	assert_int_equal(session_state(), TCP_RELAY);
	assert_int_equal(count(COUNTER_OFFLOAD_STAYED_FAMILY), 1);
}

/* What was fixed for the hand-off is free again. */
static void one_that_stays_has_its_buffers_back(void **state)
{
	(void)state;
	kernel.odd[0] = true;
	exchange(1);
	assert_int_equal(fake_option(client, SOL_SOCKET, SO_RCVBUF), 131072);
	assert_int_equal(fake_option(upstream, SOL_SOCKET, SO_RCVBUF), 131072);
	exchange(10);
	assert_int_equal(fake_option(client, SOL_SOCKET, SO_BUF_LOCK), 0);
	assert_int_equal(fake_option(upstream, SOL_SOCKET, SO_BUF_LOCK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_never_settles_goes_on_as_a_relay),
		TEST(it_stays_when_its_packets_are_not_seen),
		TEST(it_stays_when_there_was_something_odd),
		TEST(it_stays_when_the_upstream_is_on_another_host),
		TEST(it_stays_when_there_is_no_way),
		TEST(it_stays_when_only_one_has_timestamps),
		TEST(it_stays_when_only_one_has_sack),
		TEST(it_stays_when_only_one_has_ecn),
		TEST(it_stays_when_the_upstreams_segments_are_too_large),
		TEST(it_stays_when_the_way_to_the_balancer_is_narrow),
		TEST(it_stays_when_there_was_urgent_data),
		TEST(it_stays_when_one_side_has_finished),
		TEST(it_stays_when_the_tables_are_full),
		TEST_ALONE(it_stays_when_the_clients_port_was_replaced),
		TEST_ALONE(it_stays_when_the_two_legs_are_of_two_families),
		TEST(one_that_stays_has_its_buffers_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
