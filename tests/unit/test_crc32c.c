/* SPDX-License-Identifier: MIT */
/*
 * CRC32C against the vectors of RFC 3720, appendix B.4, and against the definition, one bit at a
 * time, for every length and alignment where a faster method could go wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/crc32c.h"

static uint32_t crc32c_by_definition(const uint8_t *bytes, size_t length)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < length; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc & 1) != 0 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	}
	return ~crc;
}

static void fill_random(uint8_t *bytes, size_t length)
{
	uint32_t random = 3;

	for (size_t i = 0; i < length; i++) {
		random = random * 1103515245u + 12345u;
		bytes[i] = (uint8_t)(random >> 16);
	}
}

static void the_check_value_is_that_of_the_catalogue(void **state)
{
	(void)state;
	assert_int_equal(crc32c(0, (const uint8_t *)"123456789", 9), 0xe3069283);
}

static void thirty_two_zeros_give_the_rfc_s_value(void **state)
{
	const uint8_t bytes[32] = {0};

	(void)state;
	assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x8a9136aa);
}

static void thirty_two_ones_give_the_rfc_s_value(void **state)
{
	uint8_t bytes[32];

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x62a8ab43);
}

static void thirty_two_rising_bytes_give_the_rfc_s_value(void **state)
{
	uint8_t bytes[32];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x46dd794e);
}

static void thirty_two_falling_bytes_give_the_rfc_s_value(void **state)
{
	uint8_t bytes[32];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(31 - i);
	assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x113fdb5c);
}

static void an_iscsi_read_command_gives_the_rfc_s_value(void **state)
{
	static const uint8_t bytes[48] = {
		0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
		0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	};

	(void)state;
	assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0xd9963a56);
}

static void no_bytes_change_nothing(void **state)
{
	(void)state;
	assert_int_equal(crc32c(0, NULL, 0), 0);
	assert_int_equal(crc32c(0, (const uint8_t *)"", 0), 0);
	assert_int_equal(crc32c(0xe3069283, (const uint8_t *)"", 0), 0xe3069283);
}

static void a_single_byte_has_its_value_each(void **state)
{
	(void)state;
	for (int i = 0; i < 256; i++) {
		const uint8_t byte = (uint8_t)i;

		assert_int_equal(crc32c(0, &byte, 1), crc32c_by_definition(&byte, 1));
	}
	assert_int_equal(crc32c(0, (const uint8_t *)"a", 1), 0xc1d04330);
}

static void pieces_add_up_to_the_whole_wherever_it_is_cut(void **state)
{
	uint8_t bytes[200];
	uint32_t whole;

	(void)state;
	fill_random(bytes, sizeof(bytes));
	whole = crc32c_by_definition(bytes, sizeof(bytes));
	for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
		const uint32_t first = crc32c(0, bytes, cut);

		assert_int_equal(first, crc32c_by_definition(bytes, cut));
		assert_int_equal(crc32c(first, bytes + cut, sizeof(bytes) - cut), whole);
	}
}

static void byte_by_byte_gives_the_same(void **state)
{
	uint8_t bytes[200];
	uint32_t crc = 0;

	(void)state;
	fill_random(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		crc = crc32c(crc, bytes + i, 1);
	assert_int_equal(crc, crc32c(0, bytes, sizeof(bytes)));
}

static void every_length_and_alignment_gives_the_value_of_the_definition(void **state)
{
	uint8_t bytes[300];

	(void)state;
	fill_random(bytes, sizeof(bytes));
	for (size_t start = 0; start < 16; start++) {
		for (size_t length = 0; length <= 256; length++) {
			/* The memory ends where the bytes end. */
			uint8_t *block = malloc(start + length + 1);

			assert_non_null(block);
			memcpy(block + start + 1, bytes, length);
			assert_int_equal(crc32c(0, block + start + 1, length),
					 crc32c_by_definition(bytes, length));
			free(block);
		}
	}
}

static void the_largest_header_gives_the_value_of_the_definition(void **state)
{
	static uint8_t bytes[65551];

	(void)state;
	fill_random(bytes, sizeof(bytes));
	assert_int_equal(crc32c(0, bytes, sizeof(bytes)),
			 crc32c_by_definition(bytes, sizeof(bytes)));
}

static void any_one_bit_changes_the_value(void **state)
{
	uint8_t bytes[28] = "PROXY";
	const uint32_t before = crc32c(0, bytes, sizeof(bytes));

	(void)state;
	for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(crc32c(0, bytes, sizeof(bytes)), before);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_check_value_is_that_of_the_catalogue),
		cmocka_unit_test(thirty_two_zeros_give_the_rfc_s_value),
		cmocka_unit_test(thirty_two_ones_give_the_rfc_s_value),
		cmocka_unit_test(thirty_two_rising_bytes_give_the_rfc_s_value),
		cmocka_unit_test(thirty_two_falling_bytes_give_the_rfc_s_value),
		cmocka_unit_test(an_iscsi_read_command_gives_the_rfc_s_value),
		cmocka_unit_test(no_bytes_change_nothing),
		cmocka_unit_test(a_single_byte_has_its_value_each),
		cmocka_unit_test(pieces_add_up_to_the_whole_wherever_it_is_cut),
		cmocka_unit_test(byte_by_byte_gives_the_same),
		cmocka_unit_test(every_length_and_alignment_gives_the_value_of_the_definition),
		cmocka_unit_test(the_largest_header_gives_the_value_of_the_definition),
		cmocka_unit_test(any_one_bit_changes_the_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
