/* SPDX-License-Identifier: MIT */
/* Escaping: nothing that a peer wrote reaches a log, a terminal or a label as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/escape.h"

/* Into a block that ends where it should, so that AddressSanitizer finds a byte too many. */
static void expect_within(size_t size, const void *bytes, size_t length, const char *due)
{
	char *text = malloc(size);

	assert_non_null(text);
	memset(text, 0x5a, size);
	assert_int_equal(escape_bytes(text, size, bytes, length), strlen(due));
	assert_string_equal(text, due);
	free(text);
}

static void expect(const void *bytes, size_t length, const char *due)
{
	expect_within(4 * length + 1, bytes, length, due);
}

#define EXPECT(literal, due) expect(literal, sizeof(literal) - 1, due)

static void printable_ascii_stays_as_it_is(void **state)
{
	(void)state;
	EXPECT("GET / HTTP/1.1", "GET / HTTP/1.1");
	EXPECT(" !#[]~'", " !#[]~'");
	EXPECT("", "");
}

static void quotes_and_backslashes_get_a_backslash(void **state)
{
	(void)state;
	EXPECT("say \"hi\"", "say \\\"hi\\\"");
	EXPECT("C:\\temp", "C:\\\\temp");
	EXPECT("\\x41", "\\\\x41");
}

static void line_ends_cannot_forge_a_second_log_line(void **state)
{
	(void)state;
	EXPECT("a\r\nsession: closed", "a\\x0d\\x0asession: closed");
}

static void terminal_sequences_are_defused(void **state)
{
	(void)state;
	EXPECT("\x1b[31m", "\\x1b[31m");
	EXPECT("\x9b"
	       "31m",
	       "\\x9b31m");
	EXPECT("\x7f\t\b", "\\x7f\\x09\\x08");
}

static void bytes_beyond_ascii_are_written_in_hex(void **state)
{
	(void)state;
	EXPECT("\xc3\xa9\xff", "\\xc3\\xa9\\xff");
}

static void a_nul_byte_does_not_end_the_text(void **state)
{
	(void)state;
	expect("a\0b", 3, "a\\x00b");
}

static void every_byte_is_written_one_way_and_can_be_told_from_all_others(void **state)
{
	char texts[256][8];

	(void)state;
	for (unsigned value = 0; value < 256; value++) {
		uint8_t byte = (uint8_t)value;
		size_t length = escape_bytes(texts[value], sizeof(texts[value]), &byte, 1);

		assert_true(length == 1 || length == 2 || length == 4);
		for (size_t i = 0; i < length; i++)
			assert_in_range(texts[value][i], ' ', '~');
		if (length == 4) {
			unsigned read;

			assert_int_equal(sscanf(texts[value], "\\x%02x", &read), 1);
			assert_int_equal(read, value);
		} else {
			assert_int_equal((uint8_t)texts[value][length - 1], value);
		}
		for (unsigned other = 0; other < value; other++)
			assert_string_not_equal(texts[value], texts[other]);
	}
}

static void text_stops_before_a_byte_that_does_not_fit_whole(void **state)
{
	(void)state;
	expect_within(1, "abc", 3, "");
	expect_within(3, "abc", 3, "ab");
	expect_within(4, "abc", 3, "abc");
	expect_within(2, "\"", 1, "");
	expect_within(3, "\"", 1, "\\\"");
	for (size_t size = 1; size < 5; size++)
		expect_within(size, "\n", 1, "");
	expect_within(5, "\n", 1, "\\x0a");
	expect_within(6, "a\nb", 3, "a\\x0a");
	expect_within(5, "a\nb", 3, "a");
	/* Stops: what comes behind is not drawn up into the gap. */
	expect_within(2, "\"b", 2, "");
	expect_within(3, "\nb", 2, "");
}

static void what_fits_is_a_start_of_the_whole_at_every_size(void **state)
{
	static const char bytes[] = "a\"\\\n\xff z\0\x7f~~\r";
	char whole[4 * sizeof(bytes) + 1];
	size_t length = escape_bytes(whole, sizeof(whole), (const uint8_t *)bytes, sizeof(bytes));

	(void)state;
	for (size_t size = 1; size <= length + 1; size++) {
		char *text = malloc(size);
		size_t written;

		assert_non_null(text);
		written = escape_bytes(text, size, (const uint8_t *)bytes, sizeof(bytes));
		assert_true(written < size);
		assert_int_equal(written, strlen(text));
		assert_memory_equal(text, whole, written);
		/* No more is left out than one byte's longest form. */
		assert_true(written == length || size - written <= 4);
		free(text);
	}
}

static void no_bytes_make_an_empty_text(void **state)
{
	(void)state;
	expect_within(1, NULL, 0, "");
	expect_within(8, NULL, 0, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(printable_ascii_stays_as_it_is),
		cmocka_unit_test(quotes_and_backslashes_get_a_backslash),
		cmocka_unit_test(line_ends_cannot_forge_a_second_log_line),
		cmocka_unit_test(terminal_sequences_are_defused),
		cmocka_unit_test(bytes_beyond_ascii_are_written_in_hex),
		cmocka_unit_test(a_nul_byte_does_not_end_the_text),
		cmocka_unit_test(every_byte_is_written_one_way_and_can_be_told_from_all_others),
		cmocka_unit_test(text_stops_before_a_byte_that_does_not_fit_whole),
		cmocka_unit_test(what_fits_is_a_start_of_the_whole_at_every_size),
		cmocka_unit_test(no_bytes_make_an_empty_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
