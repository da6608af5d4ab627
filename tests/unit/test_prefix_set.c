/* SPDX-License-Identifier: MIT */
/* Prefix sets, which decide who may send headers: the edges of prefixes, and overlaps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "prefix_texts.h"

/* A sealed set of the prefixes up to NULL. */
static struct prefix_set *set_of(const char *first, ...)
{
	struct prefix_set *set = prefix_set_create();
	va_list rest;

	assert_non_null(set);
	va_start(rest, first);
	for (const char *text = first; text != NULL; text = va_arg(rest, const char *)) {
		const struct prefix prefix = prefix_of(text);

		assert_int_equal(prefix_set_add(set, &prefix), 0);
	}
	va_end(rest);
	prefix_set_seal(set);
	return set;
}

static bool contains(const struct prefix_set *set, const char *text)
{
	const struct address address = address_of(text);

	return prefix_set_contains(set, &address);
}

static void an_empty_set_holds_nothing(void **state)
{
	struct prefix_set *set = set_of(NULL);

	(void)state;
	assert_int_equal(prefix_set_count(set), 0);
	assert_false(contains(set, "192.0.2.1"));
	assert_false(contains(set, "0.0.0.0"));
	assert_false(contains(set, "::"));
	assert_false(contains(set, "2001:db8::1"));
	prefix_set_destroy(set);
}

static void no_set_holds_nothing(void **state)
{
	(void)state;
	assert_false(contains(NULL, "192.0.2.1"));
	assert_false(contains(NULL, "::1"));
}

static void destroying_no_set_is_fine(void **state)
{
	(void)state;
	prefix_set_destroy(NULL);
}

static void a_set_that_was_never_sealed_can_be_destroyed(void **state)
{
	struct prefix_set *set = prefix_set_create();
	const struct prefix prefix = prefix_of("192.0.2.0/24");

	(void)state;
	assert_non_null(set);
	assert_int_equal(prefix_set_add(set, &prefix), 0);
	prefix_set_destroy(set);
}

static void a_prefix_holds_its_first_and_last_address_and_not_their_neighbours(void **state)
{
	struct prefix_set *set = set_of("192.0.2.0/24", "198.51.100.64/26", "2001:db8::/32", NULL);

	(void)state;
	assert_false(contains(set, "192.0.1.255"));
	assert_true(contains(set, "192.0.2.0"));
	assert_true(contains(set, "192.0.2.128"));
	assert_true(contains(set, "192.0.2.255"));
	assert_false(contains(set, "192.0.3.0"));
	assert_false(contains(set, "198.51.100.63"));
	assert_true(contains(set, "198.51.100.64"));
	assert_true(contains(set, "198.51.100.127"));
	assert_false(contains(set, "198.51.100.128"));
	assert_false(contains(set, "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"));
	assert_true(contains(set, "2001:db8::"));
	assert_true(contains(set, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"));
	assert_false(contains(set, "2001:db9::"));
	prefix_set_destroy(set);
}

static void a_single_address_holds_itself_alone(void **state)
{
	struct prefix_set *set = set_of("192.0.2.1", "2001:db8::1", NULL);

	(void)state;
	assert_true(contains(set, "192.0.2.1"));
	assert_false(contains(set, "192.0.2.0"));
	assert_false(contains(set, "192.0.2.2"));
	assert_true(contains(set, "2001:db8::1"));
	assert_false(contains(set, "2001:db8::"));
	assert_false(contains(set, "2001:db8::2"));
	prefix_set_destroy(set);
}

static void the_ends_of_the_address_space_can_be_held(void **state)
{
	struct prefix_set *set = set_of("0.0.0.0", "255.255.255.255",
					"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL);

	(void)state;
	assert_true(contains(set, "0.0.0.0"));
	assert_false(contains(set, "0.0.0.1"));
	assert_false(contains(set, "255.255.255.254"));
	assert_true(contains(set, "255.255.255.255"));
	assert_true(contains(set, "::"));
	assert_false(contains(set, "::1"));
	assert_false(contains(set, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"));
	assert_true(contains(set, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
	prefix_set_destroy(set);
}

static void all_of_ipv4_holds_no_ipv6(void **state)
{
	struct prefix_set *set = set_of("0.0.0.0/0", NULL);

	(void)state;
	assert_true(contains(set, "0.0.0.0"));
	assert_true(contains(set, "192.0.2.1"));
	assert_true(contains(set, "255.255.255.255"));
	assert_true(contains(set, "::ffff:192.0.2.1")); /* which is IPv4 */
	assert_false(contains(set, "::"));
	assert_false(contains(set, "::c000:201:1"));
	assert_false(contains(set, "c000:201::"));
	assert_false(contains(set, "2001:db8::1"));
	prefix_set_destroy(set);
}

static void all_of_ipv6_holds_no_ipv4(void **state)
{
	struct prefix_set *set = set_of("::/0", NULL);

	(void)state;
	assert_true(contains(set, "::"));
	assert_true(contains(set, "2001:db8::1"));
	assert_true(contains(set, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
	assert_false(contains(set, "0.0.0.0"));
	assert_false(contains(set, "192.0.2.1"));
	assert_false(contains(set, "255.255.255.255"));
	assert_false(contains(set, "::ffff:192.0.2.1"));
	prefix_set_destroy(set);
}

static void addresses_with_the_same_bytes_are_kept_apart_by_family(void **state)
{
	struct prefix_set *four = set_of("192.0.2.0/24", NULL);
	struct prefix_set *six = set_of("c000:200::/24", NULL);

	(void)state;
	assert_true(contains(four, "192.0.2.1"));
	assert_false(contains(four, "c000:201::"));
	assert_true(contains(six, "c000:201::"));
	assert_false(contains(six, "192.0.2.1"));
	prefix_set_destroy(four);
	prefix_set_destroy(six);
}

static void a_mapped_prefix_holds_ipv4_addresses(void **state)
{
	struct prefix_set *set = set_of("::ffff:192.0.2.0/120", NULL);

	(void)state;
	assert_true(contains(set, "192.0.2.1"));
	assert_true(contains(set, "::ffff:192.0.2.1"));
	assert_false(contains(set, "192.0.3.1"));
	prefix_set_destroy(set);
}

static void a_prefix_within_another_does_not_cut_it_short(void **state)
{
	struct prefix_set *set =
		set_of("10.1.2.0/24", "10.0.0.0/8", "10.1.0.0/16", "2001:db8:0:1::/64",
		       "2001:db8::/32", "2001:db8::/48", NULL);

	(void)state;
	assert_true(contains(set, "10.0.0.0"));
	assert_true(contains(set, "10.1.2.3"));
	assert_true(contains(set, "10.1.3.0"));
	assert_true(contains(set, "10.2.0.0"));
	assert_true(contains(set, "10.255.255.255"));
	assert_false(contains(set, "9.255.255.255"));
	assert_false(contains(set, "11.0.0.0"));
	assert_true(contains(set, "2001:db8:0:2::"));
	assert_true(contains(set, "2001:db8:ffff::"));
	assert_false(contains(set, "2001:db9::"));
	prefix_set_destroy(set);
}

static void the_same_prefix_twice_is_the_same_as_once(void **state)
{
	struct prefix_set *set = set_of("192.0.2.0/24", "192.0.2.0/24", "192.0.2.77/24", NULL);

	(void)state;
	assert_true(contains(set, "192.0.2.0"));
	assert_true(contains(set, "192.0.2.255"));
	assert_false(contains(set, "192.0.3.0"));
	prefix_set_destroy(set);
}

static void adjacent_prefixes_leave_no_gap_and_no_overhang(void **state)
{
	struct prefix_set *set =
		set_of("192.0.2.128/25", "192.0.2.0/25", "192.0.3.0/24", "198.51.100.0/25",
		       "2001:db8:1::/48", "2001:db8::/48", NULL);

	(void)state;
	assert_false(contains(set, "192.0.1.255"));
	assert_true(contains(set, "192.0.2.0"));
	assert_true(contains(set, "192.0.2.127"));
	assert_true(contains(set, "192.0.2.128"));
	assert_true(contains(set, "192.0.2.255"));
	assert_true(contains(set, "192.0.3.0"));
	assert_true(contains(set, "192.0.3.255"));
	assert_false(contains(set, "192.0.4.0"));
	assert_true(contains(set, "198.51.100.127"));
	assert_false(contains(set, "198.51.100.128"));
	assert_true(contains(set, "2001:db8:0:ffff:ffff:ffff:ffff:ffff"));
	assert_true(contains(set, "2001:db8:1::"));
	assert_false(contains(set, "2001:db8:2::"));
	prefix_set_destroy(set);
}

static void two_halves_hold_everything(void **state)
{
	struct prefix_set *set = set_of("128.0.0.0/1", "0.0.0.0/1", "8000::/1", "::/1", NULL);

	(void)state;
	assert_true(contains(set, "0.0.0.0"));
	assert_true(contains(set, "127.255.255.255"));
	assert_true(contains(set, "128.0.0.0"));
	assert_true(contains(set, "255.255.255.255"));
	assert_true(contains(set, "::"));
	assert_true(contains(set, "7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
	assert_true(contains(set, "8000::"));
	prefix_set_destroy(set);
}

static void every_length_has_its_own_edges(void **state)
{
	(void)state;
	for (unsigned int length = 1; length <= 128; length++) {
		struct prefix prefix = {.address = {.family = ADDRESS_IPV6},
					.length = (uint8_t)length};
		struct prefix_set *set = prefix_set_create();
		struct address address = prefix.address;

		assert_non_null(set);
		assert_int_equal(prefix_set_add(set, &prefix), 0);
		prefix_set_seal(set);
		/* The last address within: all host bits set. */
		for (unsigned int bit = length; bit < 128; bit++)
			address.ip[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
		assert_true(prefix_set_contains(set, &address));
		/* And the last bit of the prefix leads out. */
		address.ip[(length - 1) / 8] |= (uint8_t)(0x80u >> (length - 1) % 8);
		assert_false(prefix_set_contains(set, &address));
		prefix_set_destroy(set);
	}
}

static void the_port_makes_no_difference(void **state)
{
	struct prefix_set *set = set_of("192.0.2.0/24", NULL);
	struct address address = address_of("192.0.2.1");

	(void)state;
	address.port = 65535;
	assert_true(prefix_set_contains(set, &address));
	address = address_of("192.0.3.1");
	address.port = 443;
	assert_false(prefix_set_contains(set, &address));
	prefix_set_destroy(set);
}

static void no_address_is_in_no_set(void **state)
{
	struct prefix_set *set = set_of("0.0.0.0/0", "::/0", NULL);
	const struct address none = {0};

	(void)state;
	assert_false(prefix_set_contains(set, &none));
	prefix_set_destroy(set);
}

static void the_count_is_that_of_the_prefixes_added(void **state)
{
	struct prefix_set *set = prefix_set_create();
	static const char *const texts[] = {"10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8", "11.0.0.0/8",
					    "2001:db8::/32"};

	(void)state;
	assert_non_null(set);
	assert_int_equal(prefix_set_count(set), 0);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const struct prefix prefix = prefix_of(texts[i]);

		assert_int_equal(prefix_set_add(set, &prefix), 0);
		assert_int_equal(prefix_set_count(set), i + 1);
	}
	prefix_set_seal(set);
	assert_int_equal(prefix_set_count(set), 5);
	prefix_set_destroy(set);
}

/* One prefix alone says the same as a set that holds nothing else. */
static void a_prefix_alone_holds_what_a_set_of_it_holds(void **state)
{
	static const char *const prefixes[] = {
		"0.0.0.0/0",     "203.0.113.9/32", "203.0.113.8/29",  "192.0.0.0/3",    "::/0",
		"2001:db8::/32", "2001:db8::/45",  "2001:db8::1/128", "203.0.112.0/23",
	};
	static const char *const addresses[] = {
		"203.0.113.9", "203.0.113.8", "203.0.113.15", "203.0.113.16",     "203.0.112.255",
		"223.0.0.1",   "224.0.0.1",   "2001:db8::1",  "2001:db8:7::",     "2001:db8:8::",
		"2001:db9::",  "0.0.0.0",     "::",           "::ffff:192.0.2.1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		struct prefix_set *set = prefix_set_create();
		struct prefix prefix;

		assert_int_equal(prefix_parse(prefixes[i], &prefix), 0);
		assert_int_equal(prefix_set_add(set, &prefix), 0);
		prefix_set_seal(set);
		for (size_t j = 0; j < sizeof(addresses) / sizeof(addresses[0]); j++) {
			struct address address;

			assert_int_equal(address_parse_ip(addresses[j], &address), 0);
			assert_int_equal(prefix_contains(&prefix, &address),
					 prefix_set_contains(set, &address));
		}
		assert_false(prefix_contains(&prefix, &(struct address){.family = ADDRESS_NONE}));
		prefix_set_destroy(set);
	}
}
static bool everybody(enum address_family family, const char *one, const char *other)
{
	struct prefix_set *set = set_of(one, other, NULL);
	bool is = prefix_set_is_everybody(set, family);

	prefix_set_destroy(set);
	return is;
}

static void everybody_is_a_whole_family_however_it_is_written(void **state)
{
	(void)state;
	assert_true(everybody(ADDRESS_IPV4, "0.0.0.0/0", "10.0.0.0/8"));
	assert_true(everybody(ADDRESS_IPV4, "128.0.0.0/1", "0.0.0.0/1"));
	assert_true(everybody(ADDRESS_IPV6, "::/1", "8000::/1"));
	assert_false(everybody(ADDRESS_IPV4, "0.0.0.0/1", "128.0.0.0/2"));
	assert_false(everybody(ADDRESS_IPV4, "0.0.0.0/2", "128.0.0.0/1"));
	assert_false(everybody(ADDRESS_IPV4, "1.0.0.0/8", "128.0.0.0/1"));
	assert_false(everybody(ADDRESS_IPV6, "0.0.0.0/0", "2000::/3"));
	assert_false(everybody(ADDRESS_IPV4, "::/0", NULL));
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_set_holds_nothing),
		cmocka_unit_test(no_set_holds_nothing),
		cmocka_unit_test(destroying_no_set_is_fine),
		cmocka_unit_test(a_set_that_was_never_sealed_can_be_destroyed),
		cmocka_unit_test(
			a_prefix_holds_its_first_and_last_address_and_not_their_neighbours),
		cmocka_unit_test(a_single_address_holds_itself_alone),
		cmocka_unit_test(the_ends_of_the_address_space_can_be_held),
		cmocka_unit_test(all_of_ipv4_holds_no_ipv6),
		cmocka_unit_test(all_of_ipv6_holds_no_ipv4),
		cmocka_unit_test(addresses_with_the_same_bytes_are_kept_apart_by_family),
		cmocka_unit_test(a_mapped_prefix_holds_ipv4_addresses),
		cmocka_unit_test(a_prefix_within_another_does_not_cut_it_short),
		cmocka_unit_test(the_same_prefix_twice_is_the_same_as_once),
		cmocka_unit_test(adjacent_prefixes_leave_no_gap_and_no_overhang),
		cmocka_unit_test(two_halves_hold_everything),
		cmocka_unit_test(every_length_has_its_own_edges),
		cmocka_unit_test(the_port_makes_no_difference),
		cmocka_unit_test(no_address_is_in_no_set),
		cmocka_unit_test(the_count_is_that_of_the_prefixes_added),
		cmocka_unit_test(a_prefix_alone_holds_what_a_set_of_it_holds),
		cmocka_unit_test(everybody_is_a_whole_family_however_it_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
