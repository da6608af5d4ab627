/* SPDX-License-Identifier: MIT */
/*
 * The header of a TCP session: in any pieces, of every kind, with payload behind it; and what it
 * decides, an upstream's dial or a refusal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tcp_talk.h"

#define SIGNATURE "\r\n\r\n\x00\r\nQUIT\n"
/* 203.0.113.9:40000 to 198.51.100.1:443. */
#define V2 SIGNATURE "\x21\x11\x00\x0c\xcb\x00\x71\x09\xc6\x33\x64\x01\x9c\x40\x01\xbb"
#define V2_TLV                                                                                     \
	SIGNATURE "\x21\x11\x00\x13\xcb\x00\x71\x09\xc6\x33\x64\x01\x9c\x40\x01\xbb"               \
		  "\x02\x00\x04host"
#define V2_LOCAL SIGNATURE "\x20\x00\x00\x00"
#define V2_IPV6                                                                                    \
	SIGNATURE "\x21\x21\x00\x24"                                                               \
		  "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09"               \
		  "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"               \
		  "\x9c\x40\x01\xbb"

static void a_header_makes_a_dial_from_the_clients_address(void **state)
{
	(void)state;
	SAY(FIXTURE_V1);
	assert_non_null(upstream);
	expect_address(&upstream->bound, FIXTURE_CLIENT);
	expect_address(&upstream->peer, FIXTURE_UPSTREAM);
	expect_received("");
	assert_int_equal(count(COUNTER_SESSIONS_ACCEPTED), 1);
	assert_int_equal(count(COUNTER_SESSIONS_RELAYED), 1);
	assert_int_equal(count(COUNTER_HEADERS_V1), 1);
}

static void payload_in_the_headers_segment_is_forwarded(void **state)
{
	(void)state;
	SAY(V2 "hello");
	expect_received("hello");
	assert_int_equal(count(COUNTER_HEADERS_V2), 1);
}

static void an_ipv6_client_is_dialled_for_over_ipv6(void **state)
{
	(void)state;
	SAY(V2_IPV6 "hello");
	expect_received("hello");
	expect_address(&upstream->bound, "[2001:db8::9]:40000");
	expect_address(&upstream->peer, "[::1]:8080");
}

static void a_local_header_is_dialled_from_the_balancers_own_address(void **state)
{
	(void)state;
	SAY(V2_LOCAL "ping");
	expect_received("ping");
	expect_address(&upstream->bound, FIXTURE_BALANCER);
	assert_int_equal(count(COUNTER_HEADERS_LOCAL), 1);
}

/* Sends the bytes in the pieces that end at the given places, each in a round of its own. */
static void say_in_pieces(const char *bytes, size_t length, const size_t *cuts, size_t cut_count)
{
	size_t from = 0;

	connect_client();
	for (size_t i = 0; i <= cut_count; i++) {
		size_t to = i < cut_count ? cuts[i] : length;

		fake_peer_send(client, bytes + from, to - from);
		fixture_settle(&fixture);
		from = to;
	}
	upstream = fake_dialled(&fixture.fake);
}

static void expect_hello_and_end(void)
{
	expect_received("hello");
	fake_peer_finish(client);
	fake_peer_finish(upstream);
	fixture_settle(&fixture);
	expect_received("hello");
	expect_end(client, FAKE_CLOSED_ORDERLY);
	expect_end(upstream, FAKE_CLOSED_ORDERLY);
	assert_null(fixture_session(&fixture));
}

static void try_every_cut(const char *bytes, size_t length)
{
	for (size_t first = 1; first < length; first++) {
		say_in_pieces(bytes, length, &first, 1);
		expect_hello_and_end();
		for (size_t second = first + 1; second < length; second += 1 + length / 40) {
			say_in_pieces(bytes, length, (const size_t[]){first, second}, 2);
			expect_hello_and_end();
		}
	}
}

#define TRY_EVERY_CUT(literal) try_every_cut(literal, sizeof(literal) - 1)

static void a_header_may_be_cut_anywhere(void **state)
{
	(void)state;
	TRY_EVERY_CUT(FIXTURE_V1 "hello");
	TRY_EVERY_CUT(V2 "hello");
	TRY_EVERY_CUT(V2_TLV "hello");
	TRY_EVERY_CUT(V2_LOCAL "hello");
	TRY_EVERY_CUT(V2_IPV6 "hello");
}

static void say_byte_by_byte(const char *bytes, size_t length)
{
	connect_client();
	for (size_t i = 0; i < length; i++) {
		fake_peer_send(client, bytes + i, 1);
		fixture_settle(&fixture);
	}
	upstream = fake_dialled(&fixture.fake);
	expect_hello_and_end();
}

static void a_header_may_come_byte_by_byte(void **state)
{
	(void)state;
	say_byte_by_byte(FIXTURE_V1 "hello", FIXTURE_V1_SIZE + 5);
	say_byte_by_byte(V2_TLV "hello", sizeof(V2_TLV) + 4);
}

static void the_longest_header_may_come_in_pieces_with_payload_behind_it(void **state)
{
	static uint8_t bytes[4096 + 5];
	static const char start_of[] = SIGNATURE "\x21\x11\x0f\xf0\xcb\x00\x71\x09\xc6\x33\x64\x01"
						 "\x9c\x40\x01\xbb\xe0\x0f\xe1";

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	memcpy(bytes, start_of, sizeof(start_of) - 1);
	memcpy(bytes + 4096, "hello", 5);
	for (size_t step = 1; step < 5000; step = step * 3 + 1) {
		connect_client();
		for (size_t i = 0; i < sizeof(bytes); i += step) {
			size_t left = sizeof(bytes) - i;

			fake_peer_send(client, bytes + i, left < step ? left : step);
			fixture_settle(&fixture);
		}
		upstream = fake_dialled(&fixture.fake);
		expect_hello_and_end();
	}
}

static void a_header_longer_than_allowed_is_refused(void **state)
{
	(void)state;
	SAY(SIGNATURE "\x21\x11\x0f\xf1\xcb\x00");
	expect_closed(&fixture, CLOSE_HEADER_TOO_LONG);
	assert_null(upstream);
}

static void bytes_that_are_no_header_are_refused(void **state)
{
	(void)state;
	SAY("GET / HTTP/1.1\r\n\r\n");
	expect_closed(&fixture, CLOSE_HEADER_MISSING);
	assert_null(upstream);
	assert_int_not_equal(client->closed, FAKE_OPEN);
}

static void a_balancer_that_says_nothing_and_leaves_is_no_error(void **state)
{
	(void)state;
	connect_client();
	fixture_settle(&fixture);
	fake_peer_finish(client);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_EMPTY);
	assert_null(fake_dialled(&fixture.fake));
}

static void a_balancer_that_resets_without_a_byte_is_no_error(void **state)
{
	(void)state;
	connect_client();
	fixture_settle(&fixture);
	fake_peer_reset(client);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_EMPTY);
}

static void a_header_that_breaks_off_is_refused(void **state)
{
	(void)state;
	SAY("PROXY TCP4 203.0.113.9");
	fake_peer_finish(client);
	fixture_settle(&fixture);
	expect_closed(&fixture, CLOSE_HEADER_TRUNCATED);
	assert_null(upstream);
}

static void an_address_that_the_policy_refuses_is_not_dialled_from(void **state)
{
	(void)state;
	SAY("PROXY TCP4 224.0.0.1 198.51.100.1 40000 443\r\nroot");
	expect_closed(&fixture, CLOSE_SOURCE_MULTICAST);
	assert_null(upstream);
}

static void the_hosts_own_address_is_not_dialled_from(void **state)
{
	(void)state;
	SAY("PROXY TCP4 198.51.100.7 198.51.100.1 40000 443\r\n");
	expect_closed(&fixture, CLOSE_SOURCE_OWN);
	assert_null(upstream);
}

static void a_permitted_source_is_dialled_from(void **state)
{
	struct prefix_set *permit = prefix_set_create();
	struct prefix prefix;

	(void)state;
	assert_non_null(permit);
	assert_int_equal(prefix_parse("127.0.0.0/8", &prefix), 0);
	assert_int_equal(prefix_set_add(permit, &prefix), 0);
	prefix_set_seal(permit);
	fixture.settings.permit_sources = permit;
	SAY("PROXY TCP4 127.0.0.5 198.51.100.1 40000 443\r\nhello");
	expect_received("hello");
	expect_address(&upstream->bound, "127.0.0.5:40000");
	prefix_set_destroy(permit);
}

static void a_client_of_a_family_without_an_upstream_is_reset(void **state)
{
	(void)state;
	fixture.settings.forward_ipv6 = (struct address){.family = ADDRESS_NONE};
	SAY(V2_IPV6);
	expect_closed(&fixture, CLOSE_NO_FORWARD_IPV6);
	expect_end(client, FAKE_CLOSED_RESET);
	assert_null(upstream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_header_makes_a_dial_from_the_clients_address),
		TEST(payload_in_the_headers_segment_is_forwarded),
		TEST(an_ipv6_client_is_dialled_for_over_ipv6),
		TEST(a_local_header_is_dialled_from_the_balancers_own_address),
		TEST(a_header_may_be_cut_anywhere),
		TEST(a_header_may_come_byte_by_byte),
		TEST(the_longest_header_may_come_in_pieces_with_payload_behind_it),
		TEST(a_header_longer_than_allowed_is_refused),
		TEST(bytes_that_are_no_header_are_refused),
		TEST(a_balancer_that_says_nothing_and_leaves_is_no_error),
		TEST(a_balancer_that_resets_without_a_byte_is_no_error),
		TEST(a_header_that_breaks_off_is_refused),
		TEST(an_address_that_the_policy_refuses_is_not_dialled_from),
		TEST(the_hosts_own_address_is_not_dialled_from),
		TEST(a_permitted_source_is_dialled_from),
		TEST(a_client_of_a_family_without_an_upstream_is_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
