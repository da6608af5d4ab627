/* SPDX-License-Identifier: MIT */
/* Large random prefix sets against a scan that is too simple to be wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prefix_set.h"

#define RANDOM_PREFIXES  100000
#define RANDOM_QUESTIONS 400

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
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hundred_thousand_random_prefixes_answer_as_a_scan_does),
		cmocka_unit_test(the_order_of_adding_makes_no_difference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
