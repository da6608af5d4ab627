/* SPDX-License-Identifier: MIT */
/*
 * Addresses: what their text may look like, that an IPv4-mapped one never stays IPv6, and that
 * nothing is lost on the way to a socket address and back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/address.h"

static const uint8_t ipv4[4] = {192, 0, 2, 1};
static const uint8_t ipv4_padded[16] = {192, 0, 2, 1};
static const uint8_t ipv6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
static const uint8_t mapped[16] = {[10] = 0xff, 0xff, 192, 0, 2, 1};

static void expect_address(const struct address *address, enum address_family family,
			   const uint8_t ip[static 16], uint16_t port)
{
	assert_int_equal(address->family, family);
	assert_memory_equal(address->ip, ip, 16);
	assert_int_equal(address->port, port);
}

/* What is not filled in is to show. */
static struct address dirty(void)
{
	struct address address;

	memset(&address, 0xa5, sizeof(address));
	return address;
}

static void expect_ip_text(const char *text, const char *formatted)
{
	char buffer[ADDRESS_TEXT_SIZE];
	struct address address = dirty();

	if (address_parse_ip(text, &address) != 0)
		fail_msg("%s: refused", text);
	assert_int_equal(address.port, 0);
	assert_ptr_equal(address_format_ip(&address, buffer), buffer);
	assert_string_equal(buffer, formatted);
}

static void expect_endpoint_text(const char *text, const char *formatted)
{
	char buffer[ADDRESS_TEXT_SIZE];
	struct address address = dirty();

	if (address_parse_endpoint(text, &address) != 0)
		fail_msg("%s: refused", text);
	assert_ptr_equal(address_format(&address, buffer), buffer);
	assert_string_equal(buffer, formatted);
}

static void zeroed_memory_is_no_address(void **state)
{
	const struct address none = {0};
	struct sockaddr_storage to;

	(void)state;
	assert_int_equal(none.family, ADDRESS_NONE);
	assert_int_equal(address_to_sockaddr(&none, &to), 0);
}

static void no_address_has_a_text_all_the_same(void **state)
{
	const struct address none = {0};
	char buffer[ADDRESS_TEXT_SIZE];

	(void)state;
	memset(buffer, 0xa5, sizeof(buffer));
	assert_ptr_equal(address_format(&none, buffer), buffer);
	assert_non_null(memchr(buffer, '\0', sizeof(buffer)));
	assert_true(strlen(buffer) > 0);
	memset(buffer, 0xa5, sizeof(buffer));
	assert_ptr_equal(address_format_ip(&none, buffer), buffer);
	assert_non_null(memchr(buffer, '\0', sizeof(buffer)));
	assert_true(strlen(buffer) > 0);
}

static void an_ipv4_address_is_taken_from_network_order(void **state)
{
	const struct address address = address_from_ipv4(ipv4, 443);

	(void)state;
	expect_address(&address, ADDRESS_IPV4, ipv4_padded, 443);
}

static void an_ipv6_address_is_taken_from_network_order(void **state)
{
	const struct address address = address_from_ipv6(ipv6, 65535);

	(void)state;
	expect_address(&address, ADDRESS_IPV6, ipv6, 65535);
}

static void a_mapped_address_in_binary_becomes_ipv4(void **state)
{
	const struct address address = address_from_ipv6(mapped, 443);

	(void)state;
	expect_address(&address, ADDRESS_IPV4, ipv4_padded, 443);
}

static void an_address_one_bit_from_mapped_stays_ipv6(void **state)
{
	(void)state;
	for (size_t bit = 0; bit < 96; bit++) {
		uint8_t ip[16];
		struct address address;

		memcpy(ip, mapped, sizeof(ip));
		ip[bit / 8] ^= (uint8_t)(0x80u >> bit % 8);
		address = address_from_ipv6(ip, 443);
		expect_address(&address, ADDRESS_IPV6, ip, 443);
	}
}

static void a_mapped_address_in_text_becomes_ipv4(void **state)
{
	static const char *const texts[] = {
		"::ffff:192.0.2.1", "::FFFF:192.0.2.1",        "::ffff:c000:201",
		"::ffff:c000:0201", "0:0:0:0:0:ffff:c000:201", "0000:0000::ffff:192.0.2.1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct address address = dirty();

		assert_int_equal(address_parse_ip(texts[i], &address), 0);
		expect_address(&address, ADDRESS_IPV4, ipv4_padded, 0);
	}
}

static void a_mapped_endpoint_becomes_ipv4(void **state)
{
	struct address address = dirty();

	(void)state;
	assert_int_equal(address_parse_endpoint("[::ffff:192.0.2.1]:443", &address), 0);
	expect_address(&address, ADDRESS_IPV4, ipv4_padded, 443);
}

static void a_mapped_socket_address_becomes_ipv4(void **state)
{
	struct sockaddr_storage from = {0};
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&from;
	struct address address;

	(void)state;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(443);
	in6->sin6_scope_id = 7;
	memcpy(&in6->sin6_addr, mapped, sizeof(mapped));
	address = address_from_sockaddr(&from);
	expect_address(&address, ADDRESS_IPV4, ipv4_padded, 443);
}

static void addresses_are_parsed_and_formatted_in_their_short_form(void **state)
{
	(void)state;
	expect_ip_text("192.0.2.1", "192.0.2.1");
	expect_ip_text("0.0.0.0", "0.0.0.0");
	expect_ip_text("255.255.255.255", "255.255.255.255");
	expect_ip_text("::", "::");
	expect_ip_text("::1", "::1");
	expect_ip_text("2001:db8::1", "2001:db8::1");
	expect_ip_text("2001:DB8::A", "2001:db8::a");
	expect_ip_text("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1");
	expect_ip_text("2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1");
	expect_ip_text("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8");
	expect_ip_text("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	expect_ip_text("::ffff:192.0.2.1", "192.0.2.1");
	expect_ip_text("fe80::1", "fe80::1");
}

static void what_is_not_an_address_alone_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"192.0.2",
		"192.0.2.",
		"192.0.2.1.",
		"192.0.2.1.1",
		".192.0.2.1",
		"192..2.1",
		"192.0.2.256",
		"192.0.2.01",
		"192.0.2.0x1",
		"192.0.2.+1",
		"192.0.2.-1",
		"3221225985",
		"0xc0000201",
		" 192.0.2.1",
		"192.0.2.1 ",
		"192.0.2.1\n",
		"192.0.2.1:80",
		"192.0.2.0/24",
		"localhost",
		"example.com",
		"*",
		":",
		":::",
		"1::2::3",
		"1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7:8:9",
		"12345::",
		"::g",
		"::1%lo",
		"fe80::1%eth0",
		"fe80::1%1",
		"[::1]",
		"[::1]:80",
		"[192.0.2.1]",
		"2001:db8::/32",
		" ::1",
		"::1 ",
		"::ffff:192.0.2.256",
		"::ffff:192.0.2.01",
		"::ffff:192.0.2",
		"::ffff:192.0.2.1:80",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct address address = dirty();

		if (address_parse_ip(texts[i], &address) != -EINVAL)
			fail_msg("\"%s\" is taken, or refused for another reason", texts[i]);
	}
}

static void endpoints_are_parsed_and_formatted(void **state)
{
	(void)state;
	expect_endpoint_text("192.0.2.1:80", "192.0.2.1:80");
	expect_endpoint_text("0.0.0.0:0", "0.0.0.0:0");
	expect_endpoint_text("255.255.255.255:65535", "255.255.255.255:65535");
	expect_endpoint_text("[2001:db8::1]:80", "[2001:db8::1]:80");
	expect_endpoint_text("[::]:0", "[::]:0");
	expect_endpoint_text("[::]:65535", "[::]:65535");
	expect_endpoint_text("[2001:0db8:0:0:0:0:0:1]:443", "[2001:db8::1]:443");
	expect_endpoint_text("[::ffff:192.0.2.1]:80", "192.0.2.1:80");
}

static void the_longest_endpoint_has_room_for_its_text(void **state)
{
	static const char longest[] = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";

	(void)state;
	assert_true(sizeof(longest) <= ADDRESS_TEXT_SIZE);
	expect_endpoint_text(longest, longest);
	/* 45 characters between the brackets, and IPv4 all the same. */
	expect_endpoint_text("[0000:0000:0000:0000:0000:ffff:255.255.255.255]:65535",
			     "255.255.255.255:65535");
}

static void an_endpoint_of_neither_form_is_invalid(void **state)
{
	static const char *const texts[] = {
		"",
		":",
		":80",
		"80",
		"192.0.2.1",
		"192.0.2.256:80",
		"192.0.2:80",
		"192.0.2.01:80",
		" 192.0.2.1:80",
		"192.0.2.1 :80",
		"localhost:80",
		"*:80",
		"[192.0.2.1]:80",
		"2001:db8::1",
		"2001:db8::1:80",
		"::1:80",
		"[2001:db8::1]",
		"[2001:db8::1]80",
		"[2001:db8::1 :80",
		"[2001:db8::1:80",
		"2001:db8::1]:80",
		"[[2001:db8::1]]:80",
		"[]:80",
		"[",
		"]",
		"[]",
		"[]:",
		"[::1%lo]:80",
		"[fe80::1%eth0]:80",
		"[::g]:80",
		"[::ffff:192.0.2.256]:80",
		"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct address address = dirty();

		if (address_parse_endpoint(texts[i], &address) != -EINVAL)
			fail_msg("\"%s\" is taken, or refused for another reason", texts[i]);
	}
}

static void a_port_too_large_is_out_of_range(void **state)
{
	static const char *const texts[] = {
		"192.0.2.1:65536",          "192.0.2.1:70000",
		"192.0.2.1:4294967376",     "192.0.2.1:18446744073709551696",
		"[2001:db8::1]:65536",      "[2001:db8::1]:99999999999999999999999999",
		"[::ffff:192.0.2.1]:65536",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct address address = dirty();

		if (address_parse_endpoint(texts[i], &address) != -ERANGE)
			fail_msg("\"%s\" is taken, or refused for another reason", texts[i]);
	}
}

static void a_port_that_is_no_number_is_refused(void **state)
{
	static const char *const texts[] = {
		"192.0.2.1:",        "192.0.2.1:+80",    "192.0.2.1:-1",     "192.0.2.1: 80",
		"192.0.2.1:80 ",     "192.0.2.1:80\n",   "192.0.2.1:0x50",   "192.0.2.1:http",
		"192.0.2.1:8O",      "192.0.2.1:80:80",  "192.0.2.1::80",    "192.0.2.1:8.0",
		"[2001:db8::1]:",    "[2001:db8::1]:+8", "[2001:db8::1]: 8", "[2001:db8::1]:80 ",
		"[2001:db8::1]::80",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct address address = dirty();
		const int error = address_parse_endpoint(texts[i], &address);

		if (error != -EINVAL && error != -ERANGE)
			fail_msg("\"%s\": %d", texts[i], error);
	}
}

static void an_ipv4_socket_address_comes_back_as_it_went(void **state)
{
	const struct address address = address_from_ipv4(ipv4, 443);
	struct sockaddr_storage to;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&to;
	struct address back;

	(void)state;
	memset(&to, 0xa5, sizeof(to));
	assert_int_equal(address_to_sockaddr(&address, &to), sizeof(struct sockaddr_in));
	assert_int_equal(to.ss_family, AF_INET);
	assert_int_equal(in->sin_port, htons(443));
	assert_memory_equal(&in->sin_addr, ipv4, 4);
	back = address_from_sockaddr(&to);
	assert_true(address_equal(&back, &address));
	expect_address(&back, ADDRESS_IPV4, ipv4_padded, 443);
}

static void an_ipv6_socket_address_comes_back_as_it_went(void **state)
{
	const struct address address = address_from_ipv6(ipv6, 443);
	struct sockaddr_storage to;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&to;
	struct address back;

	(void)state;
	memset(&to, 0xa5, sizeof(to));
	assert_int_equal(address_to_sockaddr(&address, &to), sizeof(struct sockaddr_in6));
	assert_int_equal(to.ss_family, AF_INET6);
	assert_int_equal(in6->sin6_port, htons(443));
	assert_memory_equal(&in6->sin6_addr, ipv6, 16);
	/* Leftovers here would choose an interface. */
	assert_int_equal(in6->sin6_flowinfo, 0);
	assert_int_equal(in6->sin6_scope_id, 0);
	back = address_from_sockaddr(&to);
	assert_true(address_equal(&back, &address));
	expect_address(&back, ADDRESS_IPV6, ipv6, 443);
}

static void a_socket_address_of_another_family_is_no_address(void **state)
{
	struct sockaddr_storage from;
	const sa_family_t families[] = {AF_UNSPEC, AF_UNIX, AF_NETLINK, AF_PACKET};
	const struct address none = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct address address;

		memset(&from, 0xa5, sizeof(from));
		from.ss_family = families[i];
		address = address_from_sockaddr(&from);
		assert_int_equal(address.family, ADDRESS_NONE);
		assert_true(address_equal(&address, &none));
	}
}

static void equality_looks_at_family_address_and_port(void **state)
{
	const uint8_t like_ipv4[16] = {192, 0, 2, 1};
	const uint8_t other4[4] = {192, 0, 2, 2};
	uint8_t other6[16];
	const struct address a = address_from_ipv4(ipv4, 80);
	const struct address a_again = address_from_ipv6(mapped, 80);
	const struct address a_other_port = address_from_ipv4(ipv4, 81);
	const struct address b = address_from_ipv4(other4, 80);
	const struct address c = address_from_ipv6(like_ipv4, 80);
	const struct address d = address_from_ipv6(ipv6, 80);
	struct address e;

	(void)state;
	memcpy(other6, ipv6, sizeof(other6));
	other6[15] ^= 1;
	e = address_from_ipv6(other6, 80);
	assert_true(address_equal(&a, &a));
	assert_true(address_equal(&a, &a_again));
	assert_true(address_equal_ip(&a, &a_again));
	assert_false(address_equal(&a, &a_other_port));
	assert_true(address_equal_ip(&a, &a_other_port));
	assert_false(address_equal(&a, &b));
	assert_false(address_equal_ip(&a, &b));
	/* c000:201:: has the bytes of 192.0.2.1 and is not 192.0.2.1. */
	assert_int_equal(c.family, ADDRESS_IPV6);
	assert_false(address_equal(&a, &c));
	assert_false(address_equal_ip(&a, &c));
	assert_true(address_equal(&d, &d));
	assert_false(address_equal(&d, &e));
	assert_false(address_equal_ip(&d, &e));
}

static void every_port_is_read_back_from_its_text(void **state)
{
	char text[ADDRESS_TEXT_SIZE];

	(void)state;
	for (unsigned int port = 0; port <= 65535; port++) {
		const struct address address = address_from_ipv6(ipv6, (uint16_t)port);
		struct address back = dirty();

		assert_int_equal(address_parse_endpoint(address_format(&address, text), &back), 0);
		assert_true(address_equal(&address, &back));
	}
}

static void random_addresses_are_read_back_from_their_text(void **state)
{
	char text[ADDRESS_TEXT_SIZE];
	uint32_t random = 5;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		uint8_t ip[16];
		struct address address;
		struct address back = dirty();

		for (size_t i = 0; i < sizeof(ip); i++) {
			random = random * 1103515245u + 12345u;
			ip[i] = random >> 30 == 0 ? (uint8_t)(random >> 16) : 0;
		}
		address = round % 2 == 0 ? address_from_ipv4(ip, (uint16_t)round)
					 : address_from_ipv6(ip, (uint16_t)round);
		assert_int_equal(address_parse_endpoint(address_format(&address, text), &back), 0);
		assert_true(address_equal(&address, &back));
		assert_int_equal(address_parse_ip(address_format_ip(&address, text), &back), 0);
		assert_true(address_equal_ip(&address, &back));
		assert_int_equal(back.port, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeroed_memory_is_no_address),
		cmocka_unit_test(no_address_has_a_text_all_the_same),
		cmocka_unit_test(an_ipv4_address_is_taken_from_network_order),
		cmocka_unit_test(an_ipv6_address_is_taken_from_network_order),
		cmocka_unit_test(a_mapped_address_in_binary_becomes_ipv4),
		cmocka_unit_test(an_address_one_bit_from_mapped_stays_ipv6),
		cmocka_unit_test(a_mapped_address_in_text_becomes_ipv4),
		cmocka_unit_test(a_mapped_endpoint_becomes_ipv4),
		cmocka_unit_test(a_mapped_socket_address_becomes_ipv4),
		cmocka_unit_test(addresses_are_parsed_and_formatted_in_their_short_form),
		cmocka_unit_test(what_is_not_an_address_alone_is_refused),
		cmocka_unit_test(endpoints_are_parsed_and_formatted),
		cmocka_unit_test(the_longest_endpoint_has_room_for_its_text),
		cmocka_unit_test(an_endpoint_of_neither_form_is_invalid),
		cmocka_unit_test(a_port_too_large_is_out_of_range),
		cmocka_unit_test(a_port_that_is_no_number_is_refused),
		cmocka_unit_test(an_ipv4_socket_address_comes_back_as_it_went),
		cmocka_unit_test(an_ipv6_socket_address_comes_back_as_it_went),
		cmocka_unit_test(a_socket_address_of_another_family_is_no_address),
		cmocka_unit_test(equality_looks_at_family_address_and_port),
		cmocka_unit_test(every_port_is_read_back_from_its_text),
		cmocka_unit_test(random_addresses_are_read_back_from_their_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
