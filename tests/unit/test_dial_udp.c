/* SPDX-License-Identifier: MIT */
/* The transparent dial over UDP: what is set in which order, and what becomes of a port that is
 * not to be had. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_udp.h"
#include "os/dial.h"

#define IPV6_TRANSPARENT_OPTION 75 /* linux/in6.h */

static struct fake_udp fake;
static struct dial_request request;
static struct dial_result result;

static struct address endpoint(const char *text)
{
	struct address address;

	assert_int_equal(address_parse_endpoint(text, &address), 0);
	return address;
}

static int start(void **state)
{
	(void)state;
	fake_udp_init(&fake);
	request = (struct dial_request){
		.source = endpoint("203.0.113.9:40000"),
		.upstream = endpoint("127.0.0.1:53"),
	};
	return 0;
}

/* Whatever was opened is the caller's, or closed. */
static int stop(void **state)
{
	(void)state;
	if (result.fd >= 0)
		fake_udp_table.close(result.fd);
	assert_int_equal(fake.open, 0);
	fake_udp_finish(&fake);
	return 0;
}

/* The one that was dialled last. */
static struct fake_udp_socket *newest(void)
{
	return container_of(fake.sockets.previous, struct fake_udp_socket, link);
}

static void expect_dialled(uint16_t port)
{
	assert_int_equal(dial_udp(&fake_udp_table, &request, &result), 0);
	assert_int_equal(result.fd, newest()->fd);
	assert_true(address_equal(&newest()->peer, &request.upstream));
	assert_true(address_equal_ip(&newest()->bound, &request.source));
	if (port != 0)
		assert_int_equal(newest()->bound.port, port);
	assert_int_equal(fake.open, 1);
	assert_false(result.repair_bind);
}

static void expect_failed(enum close_reason reason, const char *step, int error)
{
	assert_int_equal(dial_udp(&fake_udp_table, &request, &result), -1);
	assert_int_equal(result.fd, -1);
	assert_int_equal(result.reason, reason);
	assert_string_equal(result.step, step);
	assert_int_equal(result.error, error);
	assert_int_equal(fake.open, 0);
}

static void a_socket_speaks_from_the_client_to_the_upstream(void **state)
{
	(void)state;
	expect_dialled(40000);
	assert_int_equal(fake_udp_option(newest(), IPPROTO_IP, IP_TRANSPARENT), 1);
	/* So that a service of this host can still bind the port. */
	assert_int_equal(fake_udp_option(newest(), SOL_SOCKET, SO_REUSEADDR), 1);
	assert_int_equal(fake_udp_option(newest(), SOL_SOCKET, SO_MARK), -1);
	assert_false(result.port_conflict || result.port_privileged);
}

static void an_ipv6_socket_is_transparent_the_ipv6_way(void **state)
{
	(void)state;
	request.source = endpoint("[2001:db8::9]:40000");
	request.upstream = endpoint("[::1]:53");
	expect_dialled(40000);
	assert_int_equal(fake_udp_option(newest(), IPPROTO_IPV6, IPV6_TRANSPARENT_OPTION), 1);
	assert_int_equal(fake_udp_option(newest(), IPPROTO_IP, IP_TRANSPARENT), -1);
}

static void a_mark_is_set_when_there_is_one(void **state)
{
	(void)state;
	request.mark = 0x1234;
	expect_dialled(40000);
	assert_int_equal(fake_udp_option(newest(), SOL_SOCKET, SO_MARK), 0x1234);
}

static void nothing_of_tcp_is_asked_for(void **state)
{
	(void)state;
	request.user_timeout = request.keepalive = 1000;
	expect_dialled(40000);
	for (size_t i = 0; i < newest()->option_count; i++) {
		const struct fake_udp_option *option = &newest()->options[i];

		assert_int_not_equal(option->level, IPPROTO_TCP);
		assert_false(option->level == SOL_SOCKET && option->name == SO_KEEPALIVE);
		assert_false(option->level == SOL_SOCKET && option->name == SO_OOBINLINE);
	}
}

/* With SO_REUSEADDR the kernel might pick a port that another such socket has. */
static void a_port_that_the_kernel_picks_is_nobody_else_s(void **state)
{
	(void)state;
	request.source.port = 0;
	expect_dialled(0);
	assert_int_not_equal(newest()->bound.port, 0);
	assert_int_equal(fake_udp_option(newest(), SOL_SOCKET, SO_REUSEADDR), -1);
	assert_false(result.port_conflict || result.port_privileged);
}

static void expect_another_port(void)
{
	expect_dialled(0);
	assert_int_not_equal(newest()->bound.port, 40000);
	assert_int_equal(fake_udp_option(newest(), SOL_SOCKET, SO_REUSEADDR), -1);
	assert_int_equal(fake_udp_option(newest(), IPPROTO_IP, IP_TRANSPARENT), 1);
	assert_int_equal(fake.calls[FAKE_UDP_SOCKET], 2);
}

static void a_port_that_is_taken_is_replaced(void **state)
{
	(void)state;
	fake.taken_port = 40000;
	expect_another_port();
	assert_true(result.port_conflict);
	assert_false(result.port_privileged);
}

static void a_port_that_is_privileged_is_replaced(void **state)
{
	(void)state;
	fake.privileged_below = 40001;
	expect_another_port();
	assert_true(result.port_privileged);
	assert_false(result.port_conflict);
}

static void a_port_that_a_twin_has_is_replaced(void **state)
{
	(void)state;
	fake_udp_fail(&fake, FAKE_UDP_CONNECT, 1, -EADDRNOTAVAIL);
	expect_another_port();
	assert_true(result.port_conflict);
}

static void a_port_that_must_be_kept_is_not_replaced(void **state)
{
	(void)state;
	request.keep_port = true;
	fake.taken_port = 40000;
	expect_failed(CLOSE_PORT_CONFLICT, "bind", -EADDRINUSE);
	assert_true(result.port_conflict);
	fake.taken_port = 0;
	fake.privileged_below = 40001;
	expect_failed(CLOSE_CLIENT_PORT_PRIVILEGED, "bind", -EACCES);
	assert_true(result.port_privileged);
	fake.privileged_below = 0;
	fake_udp_fail(&fake, FAKE_UDP_CONNECT, 1, -EADDRNOTAVAIL);
	expect_failed(CLOSE_PORT_CONFLICT, "connect", -EADDRNOTAVAIL);
	assert_int_equal(fake.calls[FAKE_UDP_SOCKET], 3);
}

static void where_any_port_will_do_there_is_no_second_try(void **state)
{
	(void)state;
	request.source.port = 0;
	fake_udp_fail(&fake, FAKE_UDP_BIND, 1, -EADDRINUSE);
	expect_failed(CLOSE_PORT_CONFLICT, "bind", -EADDRINUSE);
	assert_int_equal(fake.calls[FAKE_UDP_SOCKET], 1);
}

static void a_second_try_that_fails_says_why(void **state)
{
	(void)state;
	fake.taken_port = 40000;
	fake_udp_fail(&fake, FAKE_UDP_CONNECT, 1, -ENETUNREACH);
	expect_failed(CLOSE_CONNECT_FAILED, "connect", -ENETUNREACH);
	/* The port was in the way all the same. */
	assert_true(result.port_conflict);
	assert_int_equal(fake.calls[FAKE_UDP_SOCKET], 2);
}

static void any_other_failure_is_final_and_named(void **state)
{
	(void)state;
	request.mark = 5;
	fake_udp_fail(&fake, FAKE_UDP_SOCKET, 1, -EMFILE);
	expect_failed(CLOSE_CONNECT_FAILED, "socket", -EMFILE);
	fake_udp_fail(&fake, FAKE_UDP_SET_OPTION, 1, -EPERM);
	expect_failed(CLOSE_CONNECT_FAILED, "IP_TRANSPARENT", -EPERM);
	fake_udp_fail(&fake, FAKE_UDP_SET_OPTION, 2, -EPERM);
	expect_failed(CLOSE_CONNECT_FAILED, "SO_MARK", -EPERM);
	fake_udp_fail(&fake, FAKE_UDP_BIND, 1, -EADDRNOTAVAIL);
	expect_failed(CLOSE_CONNECT_FAILED, "bind", -EADDRNOTAVAIL);
	fake_udp_fail(&fake, FAKE_UDP_CONNECT, 1, -EHOSTUNREACH);
	expect_failed(CLOSE_CONNECT_FAILED, "connect", -EHOSTUNREACH);
	fake_udp_fail(&fake, FAKE_UDP_CONNECT, 1, -ECONNREFUSED);
	expect_failed(CLOSE_CONNECT_REFUSED, "connect", -ECONNREFUSED);
	assert_int_equal(fake.calls[FAKE_UDP_SOCKET], 6);
	expect_dialled(40000);
}

static void that_others_may_bind_the_port_is_not_essential(void **state)
{
	(void)state;
	fake_udp_fail(&fake, FAKE_UDP_SET_OPTION, 2, -EPERM);
	expect_dialled(40000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(a_socket_speaks_from_the_client_to_the_upstream),
		TEST(an_ipv6_socket_is_transparent_the_ipv6_way),
		TEST(a_mark_is_set_when_there_is_one),
		TEST(nothing_of_tcp_is_asked_for),
		TEST(a_port_that_the_kernel_picks_is_nobody_else_s),
		TEST(a_port_that_is_taken_is_replaced),
		TEST(a_port_that_is_privileged_is_replaced),
		TEST(a_port_that_a_twin_has_is_replaced),
		TEST(a_port_that_must_be_kept_is_not_replaced),
		TEST(where_any_port_will_do_there_is_no_second_try),
		TEST(a_second_try_that_fails_says_why),
		TEST(any_other_failure_is_final_and_named),
		TEST(that_others_may_bind_the_port_is_not_essential),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
