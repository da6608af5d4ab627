/* SPDX-License-Identifier: MIT */
/* What clients have of the live sessions, added up and put in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/client_totals.h"

static const struct siphash_key secret = {1, 2};
static struct client_totals totals;
static struct client_total top[8];

static int start(void **state)
{
	(void)state;
	client_totals_init(&totals, &secret);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	client_totals_finish(&totals);
	return 0;
}

static struct client_total session_of(const char *text, uint64_t up, uint64_t down)
{
	struct client_total total = {
		.sessions = 1, .bytes_from_client = up, .bytes_from_upstream = down};

	assert_int_equal(address_parse_endpoint(text, &total.client), 0);
	return total;
}

static void add(const char *client, uint64_t up, uint64_t down)
{
	const struct client_total total = session_of(client, up, down);

	assert_int_equal(client_totals_add(&totals, &total), 0);
}

static void expect(size_t place, const char *client, uint64_t sessions, uint64_t up, uint64_t down)
{
	char text[ADDRESS_TEXT_SIZE];

	assert_string_equal(address_format_ip(&top[place].client, text), client);
	assert_int_equal(top[place].sessions, sessions);
	assert_int_equal(top[place].bytes_from_client, up);
	assert_int_equal(top[place].bytes_from_upstream, down);
}

static void nobody_has_anything(void **state)
{
	(void)state;
	assert_int_equal(client_totals_top(&totals, top, 8), 0);
}

static void a_client_is_an_address_whatever_its_port(void **state)
{
	(void)state;
	add("203.0.113.9:1", 10, 1);
	add("203.0.113.9:2", 20, 2);
	assert_int_equal(client_totals_top(&totals, top, 8), 1);
	expect(0, "203.0.113.9", 2, 30, 3);
	assert_int_equal(top[0].client.port, 0);
}

static void families_with_the_same_bytes_are_kept_apart(void **state)
{
	(void)state;
	add("32.1.13.184:1", 1, 0);
	add("[2001:db8::]:1", 2, 0);
	assert_int_equal(client_totals_top(&totals, top, 8), 2);
	expect(0, "2001:db8::", 1, 2, 0);
	expect(1, "32.1.13.184", 1, 1, 0);
}

static void the_most_bytes_of_both_ways_come_first(void **state)
{
	(void)state;
	add("203.0.113.1:1", 100, 0);
	add("203.0.113.2:1", 0, 101);
	add("203.0.113.3:1", 60, 60);
	add("203.0.113.4:1", 1, 1);
	assert_int_equal(client_totals_top(&totals, top, 3), 3);
	expect(0, "203.0.113.3", 1, 60, 60);
	expect(1, "203.0.113.2", 1, 0, 101);
	expect(2, "203.0.113.1", 1, 100, 0);
}

static void of_equal_bytes_the_one_with_more_sessions_comes_first(void **state)
{
	(void)state;
	add("203.0.113.1:1", 100, 0);
	add("203.0.113.2:1", 50, 0);
	add("203.0.113.2:2", 50, 0);
	assert_int_equal(client_totals_top(&totals, top, 8), 2);
	expect(0, "203.0.113.2", 2, 100, 0);
}

static void totals_of_two_workers_are_added_up(void **state)
{
	const struct siphash_key other_secret = {3, 4};
	struct client_totals other;
	struct client_total more;

	(void)state;
	client_totals_init(&other, &other_secret);
	more = session_of("203.0.113.1:1", 1, 2);
	assert_int_equal(client_totals_add(&other, &more), 0);
	more = session_of("203.0.113.2:1", 5, 5);
	assert_int_equal(client_totals_add(&other, &more), 0);
	add("203.0.113.1:9", 100, 200);
	assert_int_equal(client_totals_merge(&totals, &other), 0);
	client_totals_finish(&other);
	assert_int_equal(client_totals_top(&totals, top, 8), 2);
	expect(0, "203.0.113.1", 2, 101, 202);
	expect(1, "203.0.113.2", 1, 5, 5);
}

/* Through every growth of the table: each of many clients keeps its own figures. */
static void a_hundred_thousand_clients_keep_their_own_figures(void **state)
{
	enum { CLIENTS = 100000 };

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < CLIENTS; i++) {
			const uint8_t ip[4] = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8),
					       (uint8_t)i};
			const struct client_total more = {
				.client = address_from_ipv4(ip, (uint16_t)i),
				.sessions = 1,
				.bytes_from_client = i,
			};

			assert_int_equal(client_totals_add(&totals, &more), 0);
		}
	}
	assert_int_equal(totals.count, CLIENTS);
	assert_int_equal(client_totals_top(&totals, top, 8), 8);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(top[i].bytes_from_client, 2 * (CLIENTS - 1 - i));
		assert_int_equal(top[i].sessions, 2);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_has_anything),
		TEST(a_client_is_an_address_whatever_its_port),
		TEST(families_with_the_same_bytes_are_kept_apart),
		TEST(the_most_bytes_of_both_ways_come_first),
		TEST(of_equal_bytes_the_one_with_more_sessions_comes_first),
		TEST(totals_of_two_workers_are_added_up),
		TEST(a_hundred_thousand_clients_keep_their_own_figures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
