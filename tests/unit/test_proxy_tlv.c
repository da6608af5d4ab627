/* SPDX-License-Identifier: MIT */
/*
 * The walk over TLVs: what it hands out, where it stops, and what its offset says afterwards. The
 * bytes end where their memory ends, so that AddressSanitizer finds a read past them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/proxy_tlv.h"

struct walk {
	uint8_t *block; /* to free */
	uint8_t *tlvs;
	size_t length;
	size_t offset;
};

static struct walk walk_begin(const void *bytes, size_t length)
{
	struct walk walk = {.block = malloc(length + 1), .length = length};

	assert_non_null(walk.block);
	walk.tlvs = walk.block + 1;
	if (length > 0)
		memcpy(walk.tlvs, bytes, length);
	return walk;
}

static bool walk_next(struct walk *walk, struct proxy_tlv *tlv)
{
	return proxy_tlv_next(walk->tlvs, walk->length, &walk->offset, tlv);
}

static void walk_expect(struct walk *walk, uint8_t type, const char *value, size_t length)
{
	const size_t before = walk->offset;
	struct proxy_tlv tlv;

	assert_true(walk_next(walk, &tlv));
	assert_int_equal(tlv.type, type);
	assert_int_equal(tlv.length, length);
	assert_ptr_equal(tlv.value, walk->tlvs + before + 3);
	assert_memory_equal(tlv.value, value, length);
	assert_int_equal(walk->offset, before + 3 + length);
}

static void walk_end(struct walk *walk, bool in_order)
{
	struct proxy_tlv tlv;
	size_t offset;

	assert_false(walk_next(walk, &tlv));
	if (in_order)
		assert_int_equal(walk->offset, walk->length);
	else
		assert_true(walk->offset < walk->length);
	/* Asking again changes nothing. */
	offset = walk->offset;
	assert_false(walk_next(walk, &tlv));
	assert_int_equal(walk->offset, offset);
	free(walk->block);
}

static void nothing_is_a_walk_that_ends_in_order(void **state)
{
	struct walk walk = walk_begin(NULL, 0);

	(void)state;
	walk_end(&walk, true);
}

static void the_absent_tlvs_of_a_local_header_are_a_walk_that_ends_in_order(void **state)
{
	struct proxy_tlv tlv;
	size_t offset = 0;

	(void)state;
	assert_false(proxy_tlv_next(NULL, 0, &offset, &tlv));
	assert_int_equal(offset, 0);
}

static void tlvs_come_in_their_order_with_their_values(void **state)
{
	static const char bytes[] = "\x01\x00\x02h2"
				    "\x02\x00\x0b"
				    "example.com"
				    "\x05\x00\x04\xde\xad\xbe\xef"
				    "\xea\x00\x03\x01vp";
	struct walk walk = walk_begin(bytes, sizeof(bytes) - 1);

	(void)state;
	walk_expect(&walk, PROXY_TLV_ALPN, "h2", 2);
	walk_expect(&walk, PROXY_TLV_AUTHORITY, "example.com", 11);
	walk_expect(&walk, PROXY_TLV_UNIQUE_ID, "\xde\xad\xbe\xef", 4);
	walk_expect(&walk, 0xea, "\x01vp", 3);
	walk_end(&walk, true);
}

static void the_types_have_the_numbers_of_the_specification(void **state)
{
	(void)state;
	assert_int_equal(PROXY_TLV_ALPN, 0x01);
	assert_int_equal(PROXY_TLV_AUTHORITY, 0x02);
	assert_int_equal(PROXY_TLV_CRC32C, 0x03);
	assert_int_equal(PROXY_TLV_NOOP, 0x04);
	assert_int_equal(PROXY_TLV_UNIQUE_ID, 0x05);
	assert_int_equal(PROXY_TLV_SSL, 0x20);
	assert_int_equal(PROXY_TLV_NETNS, 0x30);
}

static void every_type_is_handed_out_known_or_not(void **state)
{
	uint8_t bytes[256 * 4];
	struct walk walk;

	(void)state;
	for (size_t type = 0; type < 256; type++)
		memcpy(bytes + 4 * type, (const uint8_t[]){(uint8_t)type, 0, 1, 'x'}, 4);
	walk = walk_begin(bytes, sizeof(bytes));
	for (size_t type = 0; type < 256; type++)
		walk_expect(&walk, (uint8_t)type, "x", 1);
	walk_end(&walk, true);
}

static void a_value_may_be_empty(void **state)
{
	struct walk walk = walk_begin("\x04\x00\x00\x04\x00\x00\x01\x00\x01x", 10);

	(void)state;
	walk_expect(&walk, PROXY_TLV_NOOP, "", 0);
	walk_expect(&walk, PROXY_TLV_NOOP, "", 0);
	walk_expect(&walk, PROXY_TLV_ALPN, "x", 1);
	walk_end(&walk, true);
}

static void an_empty_value_may_end_the_walk(void **state)
{
	struct walk walk = walk_begin("\x01\x00\x01x\x04\x00\x00", 7);

	(void)state;
	walk_expect(&walk, PROXY_TLV_ALPN, "x", 1);
	walk_expect(&walk, PROXY_TLV_NOOP, "", 0);
	walk_end(&walk, true);
}

static void the_length_is_in_network_order(void **state)
{
	static uint8_t bytes[3 + 258] = {0xe0, 0x01, 0x02};
	struct walk walk = walk_begin(bytes, sizeof(bytes));

	(void)state;
	walk_expect(&walk, 0xe0, (const char *)bytes + 3, 258);
	walk_end(&walk, true);
}

static void a_value_may_take_all_65535_bytes(void **state)
{
	static uint8_t bytes[3 + 65535] = {0xe0, 0xff, 0xff, 'x'};
	struct walk walk = walk_begin(bytes, sizeof(bytes));

	(void)state;
	walk_expect(&walk, 0xe0, (const char *)bytes + 3, 65535);
	walk_end(&walk, true);
}

static void a_tlv_that_overruns_by_one_byte_is_not_handed_out(void **state)
{
	struct walk walk = walk_begin("\x01\x00\x03h2", 5);

	(void)state;
	walk_end(&walk, false);
}

static void a_tlv_that_overruns_by_all_it_can_is_not_handed_out(void **state)
{
	struct walk walk = walk_begin("\x01\xff\xff", 3);

	(void)state;
	walk_end(&walk, false);
}

static void what_stands_before_a_tlv_that_overruns_is_handed_out(void **state)
{
	struct walk walk = walk_begin("\x01\x00\x02h2\x04\x00\x00\x05\x00\x09xyz", 14);

	(void)state;
	walk_expect(&walk, PROXY_TLV_ALPN, "h2", 2);
	walk_expect(&walk, PROXY_TLV_NOOP, "", 0);
	walk_end(&walk, false);
}

static void what_stands_behind_a_tlv_that_overruns_is_not(void **state)
{
	struct walk walk = walk_begin("\x01\x00\x09\x04\x00\x00\x04\x00\x00", 9);

	(void)state;
	walk_end(&walk, false);
}

static void a_stump_of_one_byte_is_no_tlv(void **state)
{
	struct walk walk = walk_begin("\x04", 1);

	(void)state;
	walk_end(&walk, false);
}

static void a_stump_of_two_bytes_is_no_tlv(void **state)
{
	struct walk walk = walk_begin("\x04\x00", 2);

	(void)state;
	walk_end(&walk, false);
}

static void a_stump_behind_a_good_tlv_is_no_tlv(void **state)
{
	for (size_t stump = 1; stump <= 2; stump++) {
		struct walk walk = walk_begin("\x01\x00\x02h2\x04\x00", 5 + stump);

		walk_expect(&walk, PROXY_TLV_ALPN, "h2", 2);
		walk_end(&walk, false);
	}
	(void)state;
}

static void a_walk_ends_in_order_only_where_a_tlv_ends(void **state)
{
	static const uint8_t bytes[] = {1, 0, 2, 'h', '2', 4, 0, 0, 0xe0, 0, 1, 'x'};

	(void)state;
	for (size_t length = 0; length <= sizeof(bytes); length++) {
		struct walk walk = walk_begin(bytes, length);
		const bool in_order = length == 0 || length == 5 || length == 8 || length == 12;
		struct proxy_tlv tlv;
		size_t count = 0;

		while (walk_next(&walk, &tlv))
			count++;
		assert_int_equal(count, length < 5 ? 0 : length < 8 ? 1 : length < 12 ? 2 : 3);
		walk_end(&walk, in_order);
	}
}

static void a_nested_walk_reads_the_tlvs_inside_an_ssl_value(void **state)
{
	static const char bytes[] = "\x20\x00\x1c\x07\x00\x00\x00\x00"
				    "\x21\x00\x07TLSv1.3"
				    "\x22\x00\x0a"
				    "client.org"
				    "\x04\x00\x00";
	struct walk outer = walk_begin(bytes, sizeof(bytes) - 1);
	struct walk inner;
	struct proxy_tlv ssl;

	(void)state;
	assert_true(walk_next(&outer, &ssl));
	assert_int_equal(ssl.type, PROXY_TLV_SSL);
	assert_int_equal(ssl.length, 28);
	/* client, a byte; verify, four bytes; TLVs */
	inner = walk_begin(ssl.value + 5, ssl.length - 5u);
	walk_expect(&inner, 0x21, "TLSv1.3", 7);
	walk_expect(&inner, 0x22, "client.org", 10);
	walk_end(&inner, true);
	walk_expect(&outer, PROXY_TLV_NOOP, "", 0);
	walk_end(&outer, true);
}

static void random_bytes_are_walked_within_their_bounds(void **state)
{
	uint32_t random = 7;
	uint8_t bytes[64];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		const size_t length = (size_t)round % sizeof(bytes);
		struct proxy_tlv tlv;
		struct walk walk;
		size_t before = 0;

		for (size_t i = 0; i < sizeof(bytes); i++) {
			random = random * 1103515245u + 12345u;
			/* Small numbers often, or hardly a TLV would fit. */
			bytes[i] = random >> 30 == 0 ? (uint8_t)(random >> 16)
						     : (uint8_t)(random >> 20 & 3);
		}
		walk = walk_begin(bytes, length);
		while (walk_next(&walk, &tlv)) {
			assert_int_equal(tlv.type, bytes[before]);
			assert_int_equal(tlv.length, bytes[before + 1] << 8 | bytes[before + 2]);
			assert_ptr_equal(tlv.value, walk.tlvs + before + 3);
			before += 3u + tlv.length;
			assert_int_equal(walk.offset, before);
			assert_true(before <= length);
		}
		/* It stopped for a reason: at the end, or at a TLV that does not fit. */
		if (length - before >= 3)
			assert_true((size_t)(bytes[before + 1] << 8 | bytes[before + 2]) >
				    length - before - 3);
		walk_end(&walk, before == length);
	}
}

/* Finding one. */

static void expect_found(const struct walk *walk, unsigned type, unsigned index, const char *value)
{
	struct proxy_tlv tlv;

	assert_true(proxy_tlv_find(walk->tlvs, walk->length, type, index, &tlv));
	assert_int_equal(tlv.type, type);
	assert_int_equal(tlv.length, strlen(value));
	assert_memory_equal(tlv.value, value, strlen(value));
}

static void expect_absent(const struct walk *walk, unsigned type, unsigned index)
{
	struct proxy_tlv tlv;

	assert_false(proxy_tlv_find(walk->tlvs, walk->length, type, index, &tlv));
}

static void finding_counts_the_tlvs_of_one_type(void **state)
{
	static const char bytes[] = "\xea\0\1a\x01\0\2h2\xea\0\1b";
	struct walk walk = walk_begin(bytes, sizeof(bytes) - 1);

	(void)state;
	expect_found(&walk, 0xea, 0, "a");
	expect_found(&walk, 0xea, 1, "b");
	expect_found(&walk, PROXY_TLV_ALPN, 0, "h2");
	expect_absent(&walk, 0xea, 2);
	expect_absent(&walk, 0xeb, 0);
	expect_absent(&walk, 0x1ea, 0);
	free(walk.block);
}

static void finding_looks_inside_the_ssl_tlv(void **state)
{
	/* 0x22 outside is not the client's name; 5 fixed bytes stand before the inner ones. */
	static const char bytes[] = "\x22\0\1x"
				    "\x20\0\x10"
				    "\1\0\0\0\0"
				    "\x21\0\1v"
				    "\x22\0\4joan";
	struct walk walk = walk_begin(bytes, sizeof(bytes) - 1);

	(void)state;
	expect_found(&walk, 0x21, 0, "v");
	expect_found(&walk, 0x22, 0, "joan");
	expect_absent(&walk, 0x22, 1);
	expect_absent(&walk, 0x23, 0);
	free(walk.block);
}

static void finding_stops_where_an_inner_tlv_overruns(void **state)
{
	static const char overrun[] = "\x20\0\x0c"
				      "\1\0\0\0\0"
				      "\x21\0\1v"
				      "\x22\0\1";
	static const char short_ssl[] = "\x20\0\4\1\0\0\0";
	struct walk walk = walk_begin(overrun, sizeof(overrun) - 1);

	(void)state;
	expect_found(&walk, 0x21, 0, "v");
	expect_absent(&walk, 0x22, 0);
	free(walk.block);
	walk = walk_begin(short_ssl, sizeof(short_ssl) - 1);
	expect_absent(&walk, 0x21, 0);
	free(walk.block);
}

static void finding_takes_no_tlvs_at_all(void **state)
{
	struct proxy_tlv tlv;

	(void)state;
	assert_false(proxy_tlv_find(NULL, 0, PROXY_TLV_ALPN, 0, &tlv));
	assert_false(proxy_tlv_find(NULL, 0, 0x21, 0, &tlv));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_a_walk_that_ends_in_order),
		cmocka_unit_test(the_absent_tlvs_of_a_local_header_are_a_walk_that_ends_in_order),
		cmocka_unit_test(tlvs_come_in_their_order_with_their_values),
		cmocka_unit_test(the_types_have_the_numbers_of_the_specification),
		cmocka_unit_test(every_type_is_handed_out_known_or_not),
		cmocka_unit_test(a_value_may_be_empty),
		cmocka_unit_test(an_empty_value_may_end_the_walk),
		cmocka_unit_test(the_length_is_in_network_order),
		cmocka_unit_test(a_value_may_take_all_65535_bytes),
		cmocka_unit_test(a_tlv_that_overruns_by_one_byte_is_not_handed_out),
		cmocka_unit_test(a_tlv_that_overruns_by_all_it_can_is_not_handed_out),
		cmocka_unit_test(what_stands_before_a_tlv_that_overruns_is_handed_out),
		cmocka_unit_test(what_stands_behind_a_tlv_that_overruns_is_not),
		cmocka_unit_test(a_stump_of_one_byte_is_no_tlv),
		cmocka_unit_test(a_stump_of_two_bytes_is_no_tlv),
		cmocka_unit_test(a_stump_behind_a_good_tlv_is_no_tlv),
		cmocka_unit_test(a_walk_ends_in_order_only_where_a_tlv_ends),
		cmocka_unit_test(a_nested_walk_reads_the_tlvs_inside_an_ssl_value),
		cmocka_unit_test(random_bytes_are_walked_within_their_bounds),
		cmocka_unit_test(finding_counts_the_tlvs_of_one_type),
		cmocka_unit_test(finding_looks_inside_the_ssl_tlv),
		cmocka_unit_test(finding_stops_where_an_inner_tlv_overruns),
		cmocka_unit_test(finding_takes_no_tlvs_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
