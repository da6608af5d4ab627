/* SPDX-License-Identifier: MIT */
/*
 * The table of the plugin acl: the most specific prefix answers. Random lists, nested and of both
 * families, are held against a scan that is too simple to be wrong; the last test prints what a
 * question costs.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "prefix.h"
#include "table.h"

#define RANDOM_QUESTIONS 600

static struct acl_prefix prefix_of(const char *text)
{
	struct acl_prefix prefix;
	const char *wrong = acl_prefix_parse(text, &prefix);

	if (wrong != NULL)
		fail_msg("%s: %s", text, wrong);
	return prefix;
}

/* A table of the prefixes up to NULL; the line says which of them it is, from 1. */
static struct acl_table *table_of(const char *first, ...)
{
	struct acl_table *table = acl_table_create();
	uint32_t line = 1;
	va_list rest;

	assert_non_null(table);
	va_start(rest, first);
	for (const char *text = first; text != NULL; text = va_arg(rest, const char *)) {
		const struct acl_prefix prefix = prefix_of(text);
		struct acl_entry *entry;

		assert_int_equal(acl_table_add(table, &prefix, &entry), 0);
		entry->line = line++;
	}
	va_end(rest);
	return table;
}

/* The line that answers; 0 for none. */
static uint32_t find(const struct acl_table *table, const char *text)
{
	const struct acl_prefix address = prefix_of(text);
	const struct acl_entry *entry = acl_table_find(table, &address);

	return entry != NULL ? entry->line : 0;
}

static void an_empty_table_answers_nobody(void **state)
{
	struct acl_table *table = table_of(NULL);

	(void)state;
	assert_int_equal(find(table, "192.0.2.1"), 0);
	assert_int_equal(find(table, "::"), 0);
	assert_int_equal(acl_table_count(table), 0);
	acl_table_destroy(table);
}

static void destroying_no_table_is_fine(void **state)
{
	(void)state;
	acl_table_destroy(NULL);
}

static void the_most_specific_prefix_answers_whatever_the_order(void **state)
{
	struct acl_table *table = table_of("10.1.0.0/16", "0.0.0.0/0", "10.1.2.3", "10.0.0.0/8",
					   "10.1.2.0/24", "10.1.2.0/31", NULL);

	(void)state;
	assert_int_equal(find(table, "10.1.2.3"), 3);
	assert_int_equal(find(table, "10.1.2.4"), 5);
	assert_int_equal(find(table, "10.1.2.1"), 6);
	assert_int_equal(find(table, "10.1.3.1"), 1);
	assert_int_equal(find(table, "10.2.0.0"), 4);
	assert_int_equal(find(table, "11.0.0.0"), 2);
	assert_int_equal(find(table, "::ffff:10.1.2.3"), 3); /* which is IPv4 */
	acl_table_destroy(table);
}

/* Each table has a hash of its own: in some of them these are neighbours. */
static void the_families_and_the_lengths_are_kept_apart(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		struct acl_table *table = table_of("0.0.0.0/0", "c000:200::/24", "192.0.2.0/24",
						   "192.0.0.0/15", NULL);

		assert_int_equal(find(table, "192.0.2.1"), 3);
		assert_int_equal(find(table, "192.0.3.1"), 4);
		assert_int_equal(find(table, "192.2.0.1"), 1);
		assert_int_equal(find(table, "c000:201::"), 2);
		assert_int_equal(find(table, "c000:300::"), 0);
		assert_int_equal(find(table, "::"), 0);
		acl_table_destroy(table);
	}
}

static void the_ends_of_the_address_space_can_be_listed(void **state)
{
	struct acl_table *table =
		table_of("0.0.0.0", "255.255.255.255",
			 "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0", NULL);

	(void)state;
	assert_int_equal(find(table, "0.0.0.0"), 1);
	assert_int_equal(find(table, "0.0.0.1"), 0);
	assert_int_equal(find(table, "255.255.255.254"), 0);
	assert_int_equal(find(table, "255.255.255.255"), 2);
	assert_int_equal(find(table, "::"), 3);
	assert_int_equal(find(table, "::1"), 5);
	assert_int_equal(find(table, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 4);
	acl_table_destroy(table);
}

static void a_prefix_that_is_listed_already_is_given_back(void **state)
{
	struct acl_table *table = table_of("192.0.2.0/24", "192.0.2.0/25", NULL);
	const struct acl_prefix prefix = prefix_of("192.0.2.77/24");
	struct acl_entry *entry;

	(void)state;
	assert_int_equal(acl_table_add(table, &prefix, &entry), 1);
	assert_int_equal(entry->line, 1);
	assert_int_equal(acl_table_count(table), 2);
	acl_table_destroy(table);
}

static void all_lengths_of_both_families_can_be_listed_at_once(void **state)
{
	struct acl_table *table = acl_table_create();
	struct acl_prefix zeros[2] = {{.length = 32}, {.ipv6 = true, .length = 128}};
	struct acl_entry *entry;

	(void)state;
	assert_non_null(table);
	for (unsigned family = 0; family < 2; family++) {
		const unsigned bits = zeros[family].length;

		/* Neither in order nor against it: 7 and 17 have no divisor with 33 and 129. */
		for (unsigned i = 0; i <= bits; i++) {
			struct acl_prefix prefix = zeros[family];

			acl_prefix_shorten(&prefix, i * (family == 0 ? 7 : 17) % (bits + 1));
			assert_int_equal(acl_table_add(table, &prefix, &entry), 0);
		}
		for (unsigned length = 0; length < bits; length++) {
			/* Its first `length` bits are zero, and the next is one. */
			struct acl_prefix address = zeros[family];
			const struct acl_entry *found;

			address.ip[length / 8] = (uint8_t)(0x80U >> (length % 8));
			found = acl_table_find(table, &address);
			assert_non_null(found);
			assert_int_equal(found->prefix.length, length);
		}
	}
	acl_table_destroy(table);
}

static uint32_t next_random(void)
{
	static uint64_t random = 23;

	random = random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random >> 32);
}

static void randomize_from(struct acl_prefix *prefix, unsigned from)
{
	const unsigned bits = prefix->ipv6 ? 128 : 32;

	for (unsigned bit = from; bit < bits; bit++)
		if (next_random() % 2 == 0)
			prefix->ip[bit / 8] ^= (uint8_t)(0x80U >> (bit % 8));
}

/* Within or around one of the others where there are any, so that they nest. */
static struct acl_prefix random_prefix(const struct acl_prefix *others, size_t count)
{
	struct acl_prefix prefix = {.ipv6 = next_random() % 2 == 0};
	unsigned bits;

	if (count > 0 && next_random() % 4 != 0)
		prefix = others[next_random() % count];
	bits = prefix.ipv6 ? 128 : 32;
	randomize_from(&prefix, next_random() % (bits + 1));
	prefix.length = (uint8_t)bits;
	acl_prefix_shorten(&prefix, next_random() % (bits + 1));
	return prefix;
}

static bool holds(const struct acl_prefix *prefix, const struct acl_prefix *address)
{
	for (unsigned bit = 0; bit < prefix->length; bit++)
		if (((prefix->ip[bit / 8] ^ address->ip[bit / 8]) & (0x80U >> (bit % 8))) != 0)
			return false;
	return prefix->ipv6 == address->ipv6;
}

static const struct acl_prefix *scan(const struct acl_prefix *prefixes, size_t count,
				     const struct acl_prefix *address)
{
	const struct acl_prefix *longest = NULL;

	for (size_t i = 0; i < count; i++)
		if ((longest == NULL || prefixes[i].length > longest->length) &&
		    holds(&prefixes[i], address))
			longest = &prefixes[i];
	return longest;
}

/* Counts in `answered` for how many questions there was no prefix, and for how many there was. */
static void compare_with_scan(size_t count, size_t answered[static 2])
{
	struct acl_prefix *prefixes = calloc(count, sizeof(*prefixes));
	struct acl_table *table = acl_table_create();
	struct acl_entry *entry;

	assert_non_null(prefixes);
	assert_non_null(table);
	for (size_t i = 0; i < count; i++) {
		do
			prefixes[i] = random_prefix(prefixes, i);
		while (prefixes[i].length < 2 || acl_table_add(table, &prefixes[i], &entry) != 0);
	}
	assert_int_equal(acl_table_count(table), count);
	for (size_t i = 0; i < RANDOM_QUESTIONS; i++) {
		struct acl_prefix address = random_prefix(prefixes, i % 3 == 0 ? 0 : count);
		const struct acl_prefix *expected;
		const struct acl_entry *found;
		char text[ACL_PREFIX_TEXT_SIZE];

		address.length = address.ipv6 ? 128 : 32;
		expected = scan(prefixes, count, &address);
		found = acl_table_find(table, &address);
		answered[expected != NULL]++;
		if ((found == NULL) != (expected == NULL) ||
		    (found != NULL && (found->prefix.length != expected->length ||
				       !holds(&found->prefix, &address))))
			fail_msg("%s of %zu", acl_prefix_format(&address, text), count);
	}
	acl_table_destroy(table);
	free(prefixes);
}

static void random_lists_answer_as_a_scan_does(void **state)
{
	size_t answered[2] = {0};

	(void)state;
	for (unsigned round = 0; round < 200; round++)
		compare_with_scan(1 + round / 10, answered);
	/* Both must have been asked for, or nothing has been shown. */
	assert_true(answered[false] > 10000);
	assert_true(answered[true] > 10000);
	compare_with_scan(1000, answered);
	compare_with_scan(100000, answered);
}

static double nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The first bit says whether it is listed. Eight lengths each, as in a list that grew over time. */
static struct acl_prefix listed_prefix(bool ipv6, size_t number)
{
	static const uint8_t lengths[2][8] = {{16, 20, 22, 24, 26, 28, 30, 32},
					      {32, 36, 40, 44, 48, 56, 64, 128}};
	struct acl_prefix prefix = {.ipv6 = ipv6, .length = ipv6 ? 128 : 32};

	randomize_from(&prefix, 1);
	acl_prefix_shorten(&prefix, lengths[ipv6][number % 8]);
	return prefix;
}

/* Mean nanoseconds of a question: the listed ones, or as many that are not. */
static double ask(const struct acl_table *table, const struct acl_prefix *prefixes, size_t count,
		  bool listed)
{
	const size_t questions = 1000000 / count * count;
	double began = nanoseconds();
	size_t found = 0;

	for (size_t i = 0; i < questions; i++) {
		struct acl_prefix address = prefixes[i % count];

		if (!listed)
			address.ip[0] |= 0x80;
		found += acl_table_find(table, &address) != NULL;
	}
	began = nanoseconds() - began;
	assert_int_equal(found, listed ? questions : 0);
	return began / (double)questions;
}

static void measure(bool ipv6, size_t count)
{
	struct acl_prefix *prefixes = calloc(count, sizeof(*prefixes));
	struct acl_table *table = acl_table_create();
	struct acl_entry *entry;

	assert_non_null(prefixes);
	assert_non_null(table);
	for (size_t i = 0; i < count; i++) {
		prefixes[i] = listed_prefix(ipv6, i);
		assert_true(acl_table_add(table, &prefixes[i], &entry) >= 0);
	}
	/* From here on as clients' addresses: the first of each prefix. */
	for (size_t i = 0; i < count; i++)
		prefixes[i].length = ipv6 ? 128 : 32;
	print_message("%s, %6zu prefixes of 8 lengths: %4.0f ns for a listed client, %4.0f ns for "
		      "another\n",
		      ipv6 ? "IPv6" : "IPv4", count, ask(table, prefixes, count, true),
		      ask(table, prefixes, count, false));
	acl_table_destroy(table);
	free(prefixes);
}

static void everyone_listed_is_found_and_nobody_else_however_long_the_list(void **state)
{
	(void)state;
	for (unsigned family = 0; family < 2; family++) {
		measure(family == 1, 10);
		measure(family == 1, 1000);
		measure(family == 1, 100000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_table_answers_nobody),
		cmocka_unit_test(destroying_no_table_is_fine),
		cmocka_unit_test(the_most_specific_prefix_answers_whatever_the_order),
		cmocka_unit_test(the_families_and_the_lengths_are_kept_apart),
		cmocka_unit_test(the_ends_of_the_address_space_can_be_listed),
		cmocka_unit_test(a_prefix_that_is_listed_already_is_given_back),
		cmocka_unit_test(all_lengths_of_both_families_can_be_listed_at_once),
		cmocka_unit_test(random_lists_answer_as_a_scan_does),
		cmocka_unit_test(everyone_listed_is_found_and_nobody_else_however_long_the_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
