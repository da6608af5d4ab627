/* SPDX-License-Identifier: MIT */
/* What the doctor reads out of /proc, connection tracking and the list of sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <stdio.h>
#include <string.h>

#include "doctor/conntrack.h"
#include "doctor/processes.h"
#include "doctor/rp_filter.h"
#include "doctor/socket_diag.h"

static void the_filters_counter_is_the_one_below_its_name(void **state)
{
	static const char netstat[] = "TcpExt: SyncookiesSent IPReversePathFilter TCPTimeWait\n"
				      "TcpExt: 1 23 4\n"
				      "IpExt: InNoRoutes InTruncatedPkts\n"
				      "IpExt: 5 6\n";

	(void)state;
	assert_int_equal(rp_filter_count_in(netstat), 23);
	assert_int_equal(rp_filter_count_in("TcpExt: A IPReversePathFilter\nTcpExt: 1 7\n"), 7);
	assert_int_equal(rp_filter_count_in("A: B\nA: 1\nTcpExt: IPReversePathFilter C\n"
					    "TcpExt: 9 8\n"),
			 9);
}

static void a_counter_that_is_not_there_is_zero(void **state)
{
	(void)state;
	assert_int_equal(rp_filter_count_in(""), 0);
	assert_int_equal(rp_filter_count_in("TcpExt: A B\nTcpExt: 1 2\n"), 0);
	assert_int_equal(rp_filter_count_in("TcpExt: A IPReversePathFilter"), 0);
	assert_int_equal(rp_filter_count_in("TcpExt: A IPReversePathFilter\n"), 0);
	assert_int_equal(rp_filter_count_in("TcpExt: A IPReversePathFilter\nTcpExt: 1\n"), 0);
	assert_int_equal(rp_filter_count_in("TcpExt: A IPReversePathFilterX\nTcpExt: 1 2\n"), 0);
}

/* A datagram from 127.0.0.1:50001 to 127.0.0.1:53 whose source was made 192.168.77.1. */
static const char translated[] =
	"94000000000100060000000000000000020000003400018014000180080001007f000001080002007f0000011c"
	"000280050001001100000006000200c351000006000300003500003400028014000180080001007f0000010800"
	"0200c0a84d011c0002800500010011000000060002000035000006000300c351000008000c00df7870fb080003"
	"0000000198080007000000001e";

static unsigned digit(char c)
{
	return c >= 'a' ? (unsigned)(c - 'a') + 10 : (unsigned)(c - '0');
}

static void the_reply_tuple_says_what_the_upstream_sees(void **state)
{
	union {
		struct nlmsghdr header;
		uint8_t bytes[512];
	} recorded = {0};
	struct conntrack_entry entry;
	char text[ADDRESS_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; translated[2 * i] != '\0'; i++)
		recorded.bytes[i] =
			(uint8_t)(digit(translated[2 * i]) << 4 | digit(translated[2 * i + 1]));
	assert_int_equal(conntrack_read(&recorded.header, &entry), 0);
	assert_string_equal(address_format(&entry.reply_source, text), "127.0.0.1:53");
	assert_string_equal(address_format(&entry.reply_destination, text), "192.168.77.1:50001");
	/* Cut anywhere, it is an error or the same entry. */
	for (uint32_t length = recorded.header.nlmsg_len; length-- > 0;) {
		recorded.header.nlmsg_len = length;
		if (conntrack_read(&recorded.header, &entry) == 0)
			assert_int_equal(entry.reply_source.family, ADDRESS_IPV4);
	}
}

static struct socket_info bound_to(const char *endpoint, bool both_families)
{
	struct socket_info socket = {.both_families = both_families};

	assert_int_equal(address_parse_endpoint(endpoint, &socket.local), 0);
	return socket;
}

static const struct socket_info *taker(const struct socket_list *list, const char *endpoint)
{
	struct address to;

	assert_int_equal(address_parse_endpoint(endpoint, &to), 0);
	return socket_list_taker(list, &to);
}

static void the_most_specific_socket_takes_a_connection(void **state)
{
	struct socket_info sockets[] = {
		bound_to("[::]:22", true),
		bound_to("127.0.0.1:22", false),
		bound_to("0.0.0.0:22", false),
		bound_to("[::]:23", false),
	};
	const struct socket_list list = {sockets, 4};

	(void)state;
	assert_ptr_equal(taker(&list, "127.0.0.1:22"), &sockets[1]);
	assert_ptr_equal(taker(&list, "127.0.0.2:22"), &sockets[2]);
	assert_ptr_equal(taker(&list, "[::1]:22"), &sockets[0]);
	assert_ptr_equal(taker(&list, "[::1]:23"), &sockets[3]);
	assert_null(taker(&list, "127.0.0.1:23"));
	assert_null(taker(&list, "127.0.0.1:24"));
}

static void a_dual_socket_takes_ipv4_when_nobody_else_does(void **state)
{
	struct socket_info sockets[] = {bound_to("[::]:22", true)};
	const struct socket_list list = {sockets, 1};

	(void)state;
	assert_ptr_equal(taker(&list, "127.0.0.1:22"), &sockets[0]);
}

static enum process_trade trade_of(const char *name, const char *comm)
{
	struct process process = {.pid = 1};

	snprintf(process.name, sizeof(process.name), "%s", name);
	snprintf(process.comm, sizeof(process.comm), "%s", comm);
	return process_trade(&process);
}

static void forwarders_are_known_by_name(void **state)
{
	(void)state;
	assert_int_equal(trade_of("docker-proxy", "docker-proxy"), PROCESS_FORWARDER);
	assert_int_equal(trade_of("exe", "rootlessport"), PROCESS_FORWARDER);
	assert_int_equal(trade_of("nginx", "nginx"), PROCESS_MAY_FORWARD);
	assert_int_equal(trade_of("sshd", "sshd"), PROCESS_ANY);
	assert_int_equal(trade_of("", ""), PROCESS_ANY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_filters_counter_is_the_one_below_its_name),
		cmocka_unit_test(a_counter_that_is_not_there_is_zero),
		cmocka_unit_test(the_reply_tuple_says_what_the_upstream_sees),
		cmocka_unit_test(the_most_specific_socket_takes_a_connection),
		cmocka_unit_test(a_dual_socket_takes_ipv4_when_nobody_else_does),
		cmocka_unit_test(forwarders_are_known_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
