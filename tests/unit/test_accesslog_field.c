/* SPDX-License-Identifier: MIT */
/* Values in the access log: whatever came over the wire, nothing of it can forge a line or a field.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "field.h"

/* The bytes in a block that ends where they do, so that AddressSanitizer finds a byte too many. */
static void expect_bytes(const void *bytes, size_t length, enum field_charset charset,
			 const char *due)
{
	char text[FIELD_TEXT_SIZE];
	uint8_t *copy = malloc(length + 1);
	struct field field = {.type = FIELD_BYTES};

	assert_non_null(copy);
	memcpy(copy + 1, bytes, length);
	field.bytes = copy + 1;
	field.length = length;
	assert_int_equal(field_text(&field, charset, text), strlen(due));
	assert_string_equal(text, due);
	free(copy);
}

#define EXPECT_ASCII(literal, due) expect_bytes(literal, sizeof(literal) - 1, FIELD_ASCII, due)
#define EXPECT_UTF8(literal, due)  expect_bytes(literal, sizeof(literal) - 1, FIELD_UTF8, due)
#define EXPECT_BOTH(literal, due)                                                                  \
	do {                                                                                       \
		EXPECT_ASCII(literal, due);                                                        \
		EXPECT_UTF8(literal, due);                                                         \
	} while (0)

static void printable_ascii_stays_as_it_is(void **state)
{
	(void)state;
	EXPECT_BOTH("", "");
	EXPECT_BOTH("www.example.com", "www.example.com");
	EXPECT_BOTH(" !#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~",
		    " !#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~");
}

static void a_backslash_can_be_told_from_an_escape(void **state)
{
	(void)state;
	EXPECT_BOTH("\\x41", "\\\\x41");
	EXPECT_BOTH("\\", "\\\\");
}

static void a_quote_ends_no_quoted_value(void **state)
{
	(void)state;
	EXPECT_ASCII("a\" client=\"b", "a\\\" client=\\\"b");
	EXPECT_UTF8("a\"b", "a\"b"); /* there the format escapes it by its own rules */
}

static void control_characters_are_escaped(void **state)
{
	(void)state;
	EXPECT_BOTH("a\r\nb", "a\\x0d\\x0ab");
	EXPECT_BOTH("\0", "\\x00");
	EXPECT_BOTH("\t\x1b[31m\x7f", "\\x09\\x1b[31m\\x7f");
	EXPECT_BOTH("\xc2\x85", "\\xc2\\x85"); /* next line, in C1 */
	EXPECT_BOTH("\xc2\x9b", "\\xc2\\x9b");
}

static void well_formed_utf8_stays_where_utf8_may(void **state)
{
	(void)state;
	EXPECT_UTF8("J\xc3\xbcrgen", "J\xc3\xbcrgen");
	EXPECT_UTF8("\xc2\xa0\xdf\xbf", "\xc2\xa0\xdf\xbf");
	EXPECT_UTF8("\xe0\xa0\x80\xef\xbf\xbd", "\xe0\xa0\x80\xef\xbf\xbd");
	EXPECT_UTF8("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
	EXPECT_ASCII("J\xc3\xbcrgen", "J\\xc3\\xbcrgen");
}

static void malformed_utf8_is_escaped_byte_by_byte(void **state)
{
	(void)state;
	EXPECT_UTF8("\x80\xbf", "\\x80\\xbf");                   /* no start */
	EXPECT_UTF8("\xc0\xaf\xc1\xbf", "\\xc0\\xaf\\xc1\\xbf"); /* overlong, two bytes */
	EXPECT_UTF8("\xe0\x9f\xbf", "\\xe0\\x9f\\xbf");          /* three */
	EXPECT_UTF8("\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf"); /* four */
	EXPECT_UTF8("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* a surrogate */
	EXPECT_UTF8("\xed\xbf\xbf", "\\xed\\xbf\\xbf");          /* the last one */
	EXPECT_UTF8("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* past the last character */
	EXPECT_UTF8("\xf5\xff\xfe", "\\xf5\\xff\\xfe");          /* in no text at all */
	EXPECT_UTF8("\xc3", "\\xc3");                            /* cut off */
	EXPECT_UTF8("\xf0\x9f\x98", "\\xf0\\x9f\\x98");          /* cut off late */
	EXPECT_UTF8("\xe2\x82g\xc3\xbc", "\\xe2\\x82g\xc3\xbc"); /* goes on behind it */
}

static void line_separators_and_direction_marks_are_escaped(void **state)
{
	(void)state;
	EXPECT_UTF8("\xe2\x80\xa8", "\\xe2\\x80\\xa8"); /* U+2028 */
	EXPECT_UTF8("\xe2\x80\xae", "\\xe2\\x80\\xae"); /* U+202E */
	EXPECT_UTF8("\xe2\x81\xa6", "\\xe2\\x81\\xa6"); /* U+2066 */
	EXPECT_UTF8("\xe2\x80\xa7\xe2\x80\xaf", "\xe2\x80\xa7\xe2\x80\xaf");
}

static void a_long_value_is_cut_and_says_so(void **state)
{
	char bytes[FIELD_BYTES_MOST + 1], due[FIELD_TEXT_SIZE + 1] = "";

	(void)state;
	memset(bytes, 'a', sizeof(bytes));
	memset(due, 'a', FIELD_BYTES_MOST);
	expect_bytes(bytes, FIELD_BYTES_MOST, FIELD_ASCII, due);
	strcat(due, "\\...");
	expect_bytes(bytes, sizeof(bytes), FIELD_ASCII, due);
	expect_bytes(bytes, sizeof(bytes), FIELD_UTF8, due);
}

static void the_longest_value_fits(void **state)
{
	char bytes[FIELD_BYTES_MOST + 1], due[FIELD_TEXT_SIZE] = "";

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	for (size_t i = 0; i < FIELD_BYTES_MOST; i++)
		strcat(due, "\\xff");
	strcat(due, "\\...");
	expect_bytes(bytes, sizeof(bytes), FIELD_UTF8, due);
}

static void expect(struct field field, const char *due)
{
	char text[FIELD_TEXT_SIZE];

	assert_int_equal(field_text(&field, FIELD_ASCII, text), strlen(due));
	assert_string_equal(text, due);
}

static void addresses_are_written_as_in_the_log_of_mmproxy(void **state)
{
	struct mmproxy_address address = {.family = AF_INET, .port = 41000, .ip = {203, 0, 113, 9}};
	struct field field = {.type = FIELD_ADDRESS, .address = &address};

	(void)state;
	expect(field, "203.0.113.9:41000");
	address.family = AF_INET6;
	assert_int_equal(inet_pton(AF_INET6, "2001:db8:c::9", address.ip), 1);
	expect(field, "[2001:db8:c::9]:41000");
	assert_int_equal(inet_pton(AF_INET6, "::", address.ip), 1);
	address.port = 0;
	expect(field, "[::]:0");
	address.family = 0;
	expect(field, "-");
}

static void times_are_utc_with_milliseconds(void **state)
{
	struct field field = {.type = FIELD_TIME,
			      .time = {.tv_sec = 1709210096, .tv_nsec = 7999999}};

	(void)state;
	expect(field, "2024-02-29T12:34:56.007Z");
	field.time = (struct timespec){0};
	expect(field, "1970-01-01T00:00:00.000Z");
}

static void numbers_durations_and_flags(void **state)
{
	(void)state;
	expect((struct field){.type = FIELD_NUMBER, .number = UINT64_MAX}, "18446744073709551615");
	expect((struct field){.type = FIELD_SECONDS, .milliseconds = 61005}, "61.005");
	expect((struct field){.type = FIELD_SECONDS, .milliseconds = 0}, "0.000");
	expect((struct field){.type = FIELD_FLAG, .flag = true}, "yes");
	expect((struct field){.type = FIELD_FLAG, .flag = false}, "no");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(printable_ascii_stays_as_it_is),
		cmocka_unit_test(a_backslash_can_be_told_from_an_escape),
		cmocka_unit_test(a_quote_ends_no_quoted_value),
		cmocka_unit_test(control_characters_are_escaped),
		cmocka_unit_test(well_formed_utf8_stays_where_utf8_may),
		cmocka_unit_test(malformed_utf8_is_escaped_byte_by_byte),
		cmocka_unit_test(line_separators_and_direction_marks_are_escaped),
		cmocka_unit_test(a_long_value_is_cut_and_says_so),
		cmocka_unit_test(the_longest_value_fits),
		cmocka_unit_test(addresses_are_written_as_in_the_log_of_mmproxy),
		cmocka_unit_test(times_are_utc_with_milliseconds),
		cmocka_unit_test(numbers_durations_and_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
