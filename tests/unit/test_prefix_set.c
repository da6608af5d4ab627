/* SPDX-License-Identifier: MIT */
/*
 * Prefix sets, which decide who may send headers: parsing, the edges of prefixes, overlaps, and a
 * large random set against a scan that is too simple to be wrong.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/address.h"
#include "base/prefix_set.h"

#define RANDOM_PREFIXES  100000
#define RANDOM_QUESTIONS 400

static struct address address_of(const char *text)
{
	struct address address;

	if (address_parse_ip(text, &address) != 0)
		fail_msg("%s is no address", text);
	return address;
}

static struct prefix prefix_of(const char *text)
{
	struct prefix prefix;

	/* What is not filled in is to show. */
	memset(&prefix, 0xa5, sizeof(prefix));
	if (prefix_parse(text, &prefix) != 0)
		fail_msg("%s is no prefix", text);
	return prefix;
}

static void expect_prefix(const char *text, const char *address, unsigned int length)
{
	const struct prefix prefix = prefix_of(text);
	const struct address expected = address_of(address);

	if (!address_equal(&prefix.address, &expected) || prefix.length != length)
		fail_msg("%s is not %s/%u", text, address, length);
}

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

static void a_prefix_is_parsed_with_its_length(void **state)
{
	(void)state;
	expect_prefix("192.0.2.0/24", "192.0.2.0", 24);
	expect_prefix("10.0.0.0/8", "10.0.0.0", 8);
	expect_prefix("0.0.0.0/0", "0.0.0.0", 0);
	expect_prefix("192.0.2.1/32", "192.0.2.1", 32);
	expect_prefix("2001:db8::/32", "2001:db8::", 32);
	expect_prefix("::/0", "::", 0);
	expect_prefix("2001:db8::1/128", "2001:db8::1", 128);
}

static void an_address_alone_is_a_prefix_of_its_full_length(void **state)
{
	(void)state;
	expect_prefix("192.0.2.1", "192.0.2.1", 32);
	expect_prefix("2001:db8::1", "2001:db8::1", 128);
	expect_prefix("0.0.0.0", "0.0.0.0", 32);
	expect_prefix("::", "::", 128);
}

static void host_bits_are_cleared(void **state)
{
	(void)state;
	expect_prefix("192.0.2.77/24", "192.0.2.0", 24);
	expect_prefix("192.0.2.255/25", "192.0.2.128", 25);
	expect_prefix("192.0.2.255/31", "192.0.2.254", 31);
	expect_prefix("255.255.255.255/1", "128.0.0.0", 1);
	expect_prefix("255.255.255.255/0", "0.0.0.0", 0);
	expect_prefix("2001:db8::1/64", "2001:db8::", 64);
	expect_prefix("2001:db8:ffff::/33", "2001:db8:8000::", 33);
	expect_prefix("2001:db8::ffff/127", "2001:db8::fffe", 127);
	expect_prefix("ffff::ffff/0", "::", 0);
}

static void a_prefix_of_mapped_addresses_becomes_ipv4(void **state)
{
	(void)state;
	expect_prefix("::ffff:0:0/96", "0.0.0.0", 0);
	expect_prefix("::ffff:192.0.2.0/120", "192.0.2.0", 24);
	expect_prefix("::ffff:192.0.2.77/120", "192.0.2.0", 24);
	expect_prefix("::ffff:c000:200/120", "192.0.2.0", 24);
	expect_prefix("::ffff:192.0.2.1/128", "192.0.2.1", 32);
	expect_prefix("::ffff:192.0.2.1", "192.0.2.1", 32);
	expect_prefix("::ffff:192.0.2.1/97", "128.0.0.0", 1);
}

static void a_prefix_wider_than_the_mapped_addresses_never_becomes_ipv4(void **state)
{
	static const char *const texts[] = {"::ffff:0:0/95", "::ffff:192.0.2.1/64",
					    "::ffff:192.0.2.1/32", "::ffff:192.0.2.1/24",
					    "::ffff:192.0.2.1/0"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct prefix prefix;

		if (prefix_parse(texts[i], &prefix) == 0 && prefix.address.family != ADDRESS_IPV6)
			fail_msg("%s", texts[i]);
	}
}

static void what_is_no_prefix_is_invalid(void **state)
{
	static const char *const texts[] = {
		"",
		"/",
		"/24",
		"192.0.2.0/",
		"192.0.2.0/x",
		"192.0.2.0/24x",
		"192.0.2.0/+24",
		"192.0.2.0/ 24",
		"192.0.2.0/24 ",
		"192.0.2.0 /24",
		" 192.0.2.0/24",
		"192.0.2.0/24\n",
		"192.0.2.0/0x18",
		"192.0.2.0/24/24",
		"192.0.2.0/255.255.255.0",
		"192.0.2/24",
		"192.0.2.256/24",
		"192.0.2.01/24",
		"192.0.2.0:80/24",
		"example.com",
		"example.com/24",
		"any",
		"*",
		"2001:db8::/",
		"2001:db8/32",
		"[2001:db8::]/32",
		"fe80::1%eth0/64",
		"fe80::%1/10",
		"::ffff:192.0.2.256/120",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct prefix prefix;

		if (prefix_parse(texts[i], &prefix) != -EINVAL)
			fail_msg("\"%s\" is taken, or refused for another reason", texts[i]);
	}
}

static void a_length_beyond_the_address_is_out_of_range(void **state)
{
	static const char *const texts[] = {
		"192.0.2.0/33",   "192.0.2.0/128",         "192.0.2.0/256",
		"192.0.2.0/280",  "192.0.2.0/4294967320",  "192.0.2.0/18446744073709551640",
		"2001:db8::/129", "2001:db8::/256",        "2001:db8::/288",
		"::ffff:0:0/129", "2001:db8::/4294967328",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct prefix prefix;

		if (prefix_parse(texts[i], &prefix) != -ERANGE)
			fail_msg("\"%s\" is taken, or refused for another reason", texts[i]);
	}
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

static uint32_t next_random(void)
{
	static uint64_t random = 11;

	random = random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random >> 32);
}

static void clear_from(uint8_t ip[static 16], unsigned int bit, unsigned int bits)
{
	for (; bit < bits; bit++)
		ip[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
}

static bool holds(const struct prefix *prefix, const struct address *address)
{
	const unsigned int whole = prefix->length / 8;
	const unsigned int rest = prefix->length % 8;

	if (prefix->address.family != address->family ||
	    memcmp(prefix->address.ip, address->ip, whole) != 0)
		return false;
	return rest == 0 || (prefix->address.ip[whole] ^ address->ip[whole]) >> (8 - rest) == 0;
}

/* Wide prefixes would soon hold everything, and nothing would be left to tell. */
static struct prefix random_prefix(void)
{
	struct prefix prefix = {0};

	for (size_t i = 0; i < 16; i++)
		prefix.address.ip[i] = (uint8_t)next_random();
	if (next_random() % 2 == 0) {
		prefix.address.family = ADDRESS_IPV4;
		prefix.length = (uint8_t)(18 + next_random() % 15);
		memset(prefix.address.ip + 4, 0, 12);
		clear_from(prefix.address.ip, prefix.length, 32);
	} else {
		prefix.address.family = ADDRESS_IPV6;
		prefix.length = (uint8_t)(35 + next_random() % 94);
		/* Close together, so that they overlap. */
		memcpy(prefix.address.ip, "\x20\x01\x0d\xb8\x00", 5);
		prefix.address.ip[5] &= 0x0f;
		clear_from(prefix.address.ip, prefix.length, 128);
	}
	return prefix;
}

/* An address at the edge of a prefix: its first or last, or the one before or behind. */
static struct address random_edge(const struct prefix *prefix)
{
	struct address address = prefix->address;
	const int bytes = address.family == ADDRESS_IPV4 ? 4 : 16;
	const uint32_t choice = next_random() % 4;

	if (choice >= 2)
		for (unsigned int bit = prefix->length; bit < (unsigned int)bytes * 8; bit++)
			address.ip[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
	if (choice == 1)
		for (int i = bytes - 1; i >= 0 && address.ip[i]-- == 0x00; i--)
			;
	if (choice == 3)
		for (int i = bytes - 1; i >= 0 && address.ip[i]++ == 0xff; i--)
			;
	return address;
}

static void a_hundred_thousand_random_prefixes_answer_as_a_scan_does(void **state)
{
	struct prefix *prefixes = calloc(RANDOM_PREFIXES, sizeof(*prefixes));
	struct prefix_set *set = prefix_set_create();
	size_t held[2] = {0};

	(void)state;
	assert_non_null(prefixes);
	assert_non_null(set);
	for (size_t i = 0; i < RANDOM_PREFIXES; i++) {
		prefixes[i] = random_prefix();
		assert_int_equal(prefix_set_add(set, &prefixes[i]), 0);
	}
	prefix_set_seal(set);
	assert_int_equal(prefix_set_count(set), RANDOM_PREFIXES);
	for (size_t i = 0; i < RANDOM_QUESTIONS; i++) {
		const struct prefix anywhere = random_prefix();
		const struct prefix *near =
			i % 4 == 0 ? &anywhere : &prefixes[next_random() % RANDOM_PREFIXES];
		const struct address address = random_edge(near);
		char text[ADDRESS_TEXT_SIZE];
		bool expected = false;

		for (size_t j = 0; j < RANDOM_PREFIXES && !expected; j++)
			expected = holds(&prefixes[j], &address);
		held[expected]++;
		if (prefix_set_contains(set, &address) != expected)
			fail_msg("%s", address_format_ip(&address, text));
	}
	/* Both answers must have been asked for, or nothing has been shown. */
	assert_true(held[false] > RANDOM_QUESTIONS / 20);
	assert_true(held[true] > RANDOM_QUESTIONS / 20);
	prefix_set_destroy(set);
	free(prefixes);
}

static void the_order_of_adding_makes_no_difference(void **state)
{
	struct prefix prefixes[200];
	struct prefix_set *forward = prefix_set_create();
	struct prefix_set *backward = prefix_set_create();

	(void)state;
	assert_non_null(forward);
	assert_non_null(backward);
	for (size_t i = 0; i < 200; i++)
		prefixes[i] = random_prefix();
	for (size_t i = 0; i < 200; i++) {
		assert_int_equal(prefix_set_add(forward, &prefixes[i]), 0);
		assert_int_equal(prefix_set_add(backward, &prefixes[199 - i]), 0);
	}
	prefix_set_seal(forward);
	prefix_set_seal(backward);
	for (size_t i = 0; i < 10000; i++) {
		const struct address address = random_edge(&prefixes[next_random() % 200]);

		assert_int_equal(prefix_set_contains(forward, &address),
				 prefix_set_contains(backward, &address));
	}
	prefix_set_destroy(forward);
	prefix_set_destroy(backward);
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
		cmocka_unit_test(a_prefix_is_parsed_with_its_length),
		cmocka_unit_test(an_address_alone_is_a_prefix_of_its_full_length),
		cmocka_unit_test(host_bits_are_cleared),
		cmocka_unit_test(a_prefix_of_mapped_addresses_becomes_ipv4),
		cmocka_unit_test(a_prefix_wider_than_the_mapped_addresses_never_becomes_ipv4),
		cmocka_unit_test(what_is_no_prefix_is_invalid),
		cmocka_unit_test(a_length_beyond_the_address_is_out_of_range),
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
		cmocka_unit_test(a_hundred_thousand_random_prefixes_answer_as_a_scan_does),
		cmocka_unit_test(the_order_of_adding_makes_no_difference),
		cmocka_unit_test(a_prefix_alone_holds_what_a_set_of_it_holds),
		cmocka_unit_test(everybody_is_a_whole_family_however_it_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
