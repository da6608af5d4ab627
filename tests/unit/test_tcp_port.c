/* SPDX-License-Identifier: MIT */
/*
 * The dialled socket: its options, and whose address and port the upstream sees when something on
 * the host is in the way.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tcp_talk.h"

#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75 /* linux/in6.h */
#endif

#define CLIENT_PORT   40000
#define V1_PORT(port) "PROXY TCP4 203.0.113.9 198.51.100.1 " port " 443\r\n"
#define V1_IPV6       "PROXY TCP6 2001:db8::9 2001:db8::1 40000 443\r\n"

static void the_socket_is_transparent_before_it_is_bound(void **state)
{
	(void)state;
	SAY(V1_PORT("40000") "hello");
	expect_bound(FIXTURE_CLIENT);
	assert_int_equal(fake_option(upstream, IPPROTO_IP, IP_TRANSPARENT), 1);
	assert_int_equal(fake_option(upstream, SOL_SOCKET, SO_REUSEADDR), 1);
	assert_int_equal(fake_option(upstream, SOL_SOCKET, SO_MARK), -1);
	assert_int_equal(count(COUNTER_DIAL_REPAIR_BINDS), 0);
	assert_int_equal(count(COUNTER_PORT_CONFLICTS), 0);
	expect_echo();
}

static void an_ipv6_socket_is_transparent_by_its_own_option(void **state)
{
	(void)state;
	SAY(V1_IPV6 "hello");
	expect_bound("[2001:db8::9]:40000");
	assert_int_equal(fake_option(upstream, IPPROTO_IPV6, IPV6_TRANSPARENT), 1);
	/* 19 in SOL_IPV6 is something else, and would succeed. */
	assert_int_equal(fake_option(upstream, IPPROTO_IPV6, IP_TRANSPARENT), -1);
}

static void a_mark_is_set_where_one_is_configured(void **state)
{
	(void)state;
	fixture.settings.mark = 0x7b;
	SAY(V1_PORT("40000"));
	assert_int_equal(fake_option(upstream, SOL_SOCKET, SO_MARK), 0x7b);
}

static void both_connections_notice_a_peer_that_is_gone(void **state)
{
	(void)state;
	SAY(V1_PORT("40000"));
	for (unsigned i = 0; i < 2; i++) {
		const struct fake_socket *socket = i == 0 ? client : upstream;

		assert_int_equal(fake_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT), 30000);
		assert_int_equal(fake_option(socket, SOL_SOCKET, SO_KEEPALIVE), 1);
		assert_int_equal(fake_option(socket, IPPROTO_TCP, TCP_KEEPIDLE), 60);
		assert_int_equal(fake_option(socket, IPPROTO_TCP, TCP_NODELAY), 1);
	}
}

static void a_taken_port_is_kept_by_a_bind_in_repair_mode(void **state)
{
	(void)state;
	fixture.fake.taken_port = CLIENT_PORT;
	SAY(V1_PORT("40000") "hello");
	expect_bound(FIXTURE_CLIENT);
	assert_false(upstream->repair);
	assert_int_equal(count(COUNTER_DIAL_REPAIR_BINDS), 1);
	assert_int_equal(count(COUNTER_PORT_CONFLICTS), 0);
	expect_echo();
}

/* Leaving repair mode takes SO_REUSEADDR along, and a local service could not restart. */
static void after_repair_mode_a_local_service_can_still_bind(void **state)
{
	(void)state;
	fixture.fake.taken_port = CLIENT_PORT;
	SAY(V1_PORT("40000"));
	assert_int_equal(fake_option(upstream, SOL_SOCKET, SO_REUSEADDR), 1);
}

static void a_port_that_cannot_be_kept_is_replaced(void **state)
{
	(void)state;
	fixture.fake.taken_port = fixture.fake.repair_port = CLIENT_PORT;
	SAY(V1_PORT("40000") "hello");
	expect_bound("203.0.113.9:0");
	assert_int_equal(fake_option(upstream, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), 1);
	assert_int_equal(count(COUNTER_PORT_CONFLICTS), 1);
	assert_int_equal(count(COUNTER_DIAL_REPAIR_BINDS), 0);
	assert_int_equal(fake_dial_count(&fixture.fake), 2);
	expect_echo();
}

static void a_port_that_cannot_be_kept_is_refused_where_that_is_asked_for(void **state)
{
	(void)state;
	fixture.settings.port_conflict = RELAY_PORT_CONFLICT_REFUSE;
	fixture.fake.taken_port = fixture.fake.repair_port = CLIENT_PORT;
	SAY(V1_PORT("40000") "hello");
	expect_failure(CLOSE_PORT_CONFLICT);
	assert_int_equal(count(COUNTER_PORT_CONFLICTS), 1);
	assert_int_equal(fake_dial_count(&fixture.fake), 1);
}

static void a_taken_port_that_repair_mode_keeps_is_no_conflict_to_refuse(void **state)
{
	(void)state;
	fixture.settings.port_conflict = RELAY_PORT_CONFLICT_REFUSE;
	fixture.fake.taken_port = CLIENT_PORT;
	SAY(V1_PORT("40000") "hello");
	expect_bound(FIXTURE_CLIENT);
	expect_echo();
}

static void a_live_twin_makes_the_port_replaced(void **state)
{
	(void)state;
	fixture.fake.twin_port = CLIENT_PORT;
	SAY(V1_PORT("40000") "hello");
	expect_bound("203.0.113.9:0");
	assert_int_equal(count(COUNTER_PORT_CONFLICTS), 1);
	expect_echo();
}

static void a_port_kept_by_repair_and_lost_to_a_twin_counts_as_a_conflict_alone(void **state)
{
	(void)state;
	fixture.fake.taken_port = fixture.fake.twin_port = CLIENT_PORT;
	SAY(V1_PORT("40000") "hello");
	expect_bound("203.0.113.9:0");
	assert_int_equal(count(COUNTER_PORT_CONFLICTS), 1);
	assert_int_equal(count(COUNTER_DIAL_REPAIR_BINDS), 0);
	expect_echo();
}

static void a_live_twin_is_refused_where_that_is_asked_for(void **state)
{
	(void)state;
	fixture.settings.port_conflict = RELAY_PORT_CONFLICT_REFUSE;
	fixture.fake.twin_port = CLIENT_PORT;
	SAY(V1_PORT("40000"));
	expect_failure(CLOSE_PORT_CONFLICT);
}

static void without_the_right_to_repair_mode_a_taken_port_is_replaced(void **state)
{
	(void)state;
	fixture.fake.taken_port = CLIENT_PORT;
	/* IP_TRANSPARENT, SO_REUSEADDR, TCP_REPAIR. */
	fake_fail(&fixture.fake, FAKE_SET_OPTION, 3, -EPERM);
	SAY(V1_PORT("40000") "hello");
	expect_bound("203.0.113.9:0");
	expect_echo();
}

static void a_privileged_port_is_replaced_and_counted_for_itself(void **state)
{
	(void)state;
	fixture.fake.privileged_below = 1024;
	SAY(V1_PORT("53") "hello");
	expect_bound("203.0.113.9:0");
	assert_int_equal(count(COUNTER_CLIENT_PORT_PRIVILEGED), 1);
	assert_int_equal(count(COUNTER_PORT_CONFLICTS), 0);
	expect_echo();
}

static void a_privileged_port_is_refused_where_that_is_asked_for(void **state)
{
	(void)state;
	fixture.settings.port_conflict = RELAY_PORT_CONFLICT_REFUSE;
	fixture.fake.privileged_below = 1024;
	SAY(V1_PORT("53"));
	expect_failure(CLOSE_CLIENT_PORT_PRIVILEGED);
	assert_int_equal(count(COUNTER_CLIENT_PORT_PRIVILEGED), 1);
}

static void a_privileged_port_that_may_be_bound_is_kept(void **state)
{
	(void)state;
	SAY(V1_PORT("53") "hello");
	expect_bound("203.0.113.9:53");
	assert_int_equal(count(COUNTER_CLIENT_PORT_PRIVILEGED), 0);
}

static void port_zero_lets_the_kernel_pick_one(void **state)
{
	(void)state;
	fixture.fake.privileged_below = 1024;
	SAY(V1_PORT("0") "hello");
	expect_bound("203.0.113.9:0");
	assert_int_equal(fake_option(upstream, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), 1);
	assert_int_equal(count(COUNTER_CLIENT_PORT_ZERO), 1);
	assert_int_equal(count(COUNTER_PORT_CONFLICTS), 0);
	assert_int_equal(count(COUNTER_CLIENT_PORT_PRIVILEGED), 0);
	expect_echo();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_socket_is_transparent_before_it_is_bound),
		TEST(an_ipv6_socket_is_transparent_by_its_own_option),
		TEST(a_mark_is_set_where_one_is_configured),
		TEST(both_connections_notice_a_peer_that_is_gone),
		TEST(a_taken_port_is_kept_by_a_bind_in_repair_mode),
		TEST(after_repair_mode_a_local_service_can_still_bind),
		TEST(a_port_that_cannot_be_kept_is_replaced),
		TEST(a_port_that_cannot_be_kept_is_refused_where_that_is_asked_for),
		TEST(a_taken_port_that_repair_mode_keeps_is_no_conflict_to_refuse),
		TEST(a_live_twin_makes_the_port_replaced),
		TEST(a_port_kept_by_repair_and_lost_to_a_twin_counts_as_a_conflict_alone),
		TEST(a_live_twin_is_refused_where_that_is_asked_for),
		TEST(without_the_right_to_repair_mode_a_taken_port_is_replaced),
		TEST(a_privileged_port_is_replaced_and_counted_for_itself),
		TEST(a_privileged_port_is_refused_where_that_is_asked_for),
		TEST(a_privileged_port_that_may_be_bound_is_kept),
		TEST(port_zero_lets_the_kernel_pick_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
