/* SPDX-License-Identifier: MIT */
/* mmproxyctl decode: text that people paste, and the bytes that it stands for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/escape.h"
#include "ctl/decode/text.h"

typedef long reader(const char *, size_t, uint8_t *, char[static DECODE_TEXT_WRONG_SIZE]);

/* Reads a copy that ends where the text ends, into no more room than was promised. */
static long read_copy(reader *read, size_t room, const char *text, uint8_t *bytes, char *wrong)
{
	size_t length = strlen(text);
	char *copy = malloc(length > 0 ? length : 1);
	uint8_t *to = malloc(room > 0 ? room : 1);
	long count;

	assert_non_null(copy);
	assert_non_null(to);
	memcpy(copy, text, length);
	count = read(copy, length, to, wrong);
	if (count > 0)
		memcpy(bytes, to, (size_t)count);
	free(copy);
	free(to);
	return count;
}

static long read_hex(const char *text, uint8_t *bytes, char *wrong)
{
	return read_copy(decode_text_read_hex, strlen(text) / 2, text, bytes, wrong);
}

static long read_escaped(const char *text, uint8_t *bytes, char *wrong)
{
	return read_copy(decode_text_read_escaped, strlen(text), text, bytes, wrong);
}

/* The bytes are written as text, to be read by people: "0d0a". */
static void expect_hex(const char *text, const char *due)
{
	char wrong[DECODE_TEXT_WRONG_SIZE] = "", found[256] = "";
	uint8_t bytes[256];
	long count = read_hex(text, bytes, wrong);

	if (count < 0)
		fail_msg("%s: %s", text, wrong);
	for (long i = 0; i < count; i++)
		snprintf(found + 2 * i, 3, "%02x", bytes[i]);
	assert_string_equal(found, due);
	assert_int_equal(decode_text_recognise(text, strlen(text)), DECODE_TEXT_HEX);
}

static void expect_wrong_hex(const char *text, const char *due)
{
	char wrong[DECODE_TEXT_WRONG_SIZE] = "";
	uint8_t bytes[256];

	assert_int_equal(read_hex(text, bytes, wrong), -1);
	if (strstr(wrong, due) == NULL)
		fail_msg("\"%s\" is not in: %s", due, wrong);
}

static void hex_is_read_in_every_usual_form(void **state)
{
	(void)state;
	expect_hex("0d0a0D0A", "0d0a0d0a");
	expect_hex("0d 0a\t0d\n0a\r\n", "0d0a0d0a");
	expect_hex("0d:0a:0d:0a", "0d0a0d0a");
	expect_hex("0D-0A-0D", "0d0a0d");
	expect_hex("0x0d0a0d", "0d0a0d");
	expect_hex("0x0d, 0x0A,\n 0X0d", "0d0a0d");
	expect_hex("{ 0x0d, 0x0a };", "0d0a");
	expect_hex("\\x0d \\x0a", "0d0a");
	expect_hex("\"0d0a\" \"0d\"", "0d0a0d");
	expect_hex("56ec", "56ec");
	expect_hex("0d0a:0d0a 000d", "0d0a0d0a000d");
}

static void dumps_are_read_without_their_offsets_and_text(void **state)
{
	(void)state;
	/* xxd, two lines, the second short; its text column has digits. */
	expect_hex("00000000: 0d0a 0d0a 000d 0a51 5549 540a 2111 000c  .....QUIT.!...\n"
		   "00000010: c000 0201                                c0 d0\n",
		   "0d0a0d0a000d0a515549540a2111000cc0000201");
	expect_hex("00000000: 0d 0a 0d 0a  ab cd", "0d0a0d0a");
	/* hexdump -C: a gap in the middle, the text between bars, and the length at the end. */
	expect_hex("00000000  0d 0a 0d 0a 00 0d 0a 51  55 49 54 0a 21 11 00 0c  |.QUIT.!...|\n"
		   "00000010  c0 00 02                                          |...|\n"
		   "00000013\n",
		   "0d0a0d0a000d0a515549540a2111000cc00002");
	/* tcpdump -X */
	expect_hex("\t0x0000:  0d0a 0d0a 000d 0a51 5549 540a 2111 000c  .......QUIT.!...\n"
		   "\t0x0010:  c000 0201                                ....\n",
		   "0d0a0d0a000d0a515549540a2111000cc0000201");
	/* Wireshark */
	expect_hex("0000  0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a 21 11 00 0c   .......QUIT.!...\n"
		   "0010  c0 00 02 01   ....\n",
		   "0d0a0d0a000d0a515549540a2111000cc0000201");
	/* Not an offset: four digits that are two bytes. */
	expect_hex("0d0a  0d0a", "0d0a0d0a");
}

static void a_mistake_in_hex_is_shown_with_its_place(void **state)
{
	(void)state;
	expect_wrong_hex("0d0a0d0", "line 1, column 1: \"0d0a0d0\" has an odd number of digits");
	expect_wrong_hex("0d 0a\n0d a", "line 2, column 4: \"a\" has an odd number of digits");
	expect_wrong_hex("0d 0g", "line 1, column 5: \"g\" is no hex");
	expect_wrong_hex("0d zz", "line 1, column 4: \"z\" is no hex");
	expect_wrong_hex("0x", "line 1, column 1: \"0\" is no hex");
	expect_wrong_hex("\\x0d0a", "has an odd number");
}

static void expect_escaped(const char *text, const char *due, size_t length)
{
	char wrong[DECODE_TEXT_WRONG_SIZE] = "";
	uint8_t bytes[512];
	long count = read_escaped(text, bytes, wrong);

	if (count < 0)
		fail_msg("%s: %s", text, wrong);
	assert_int_equal(count, length);
	assert_memory_equal(bytes, due, length);
	assert_int_equal(decode_text_recognise(text, strlen(text)), DECODE_TEXT_ESCAPED);
}

static void what_the_log_shows_is_read_back(void **state)
{
	(void)state;
	expect_escaped("\\x16\\x03 \\x01", "\x16\x03 \x01", 4);
	expect_escaped("SSH-2.0\\x0d\\x0a", "SSH-2.0\r\n", 9);
	expect_escaped("PROXY UNKNOWN\\r\\n", "PROXY UNKNOWN\r\n", 15);
	expect_escaped("\"a\\\"b\\\\c\" hint=x", "a\"b\\c", 5);
	expect_escaped("warning session: refused balancer=192.0.2.1:5 "
		       "first_bytes=\"GET /\\x0d\" hint=\"looks \\x41\"",
		       "GET /\r", 6);
	expect_escaped("\\0\\t", "\0\t", 2);
	/* Blanks in front of a quote are the paste's, without one they are bytes. */
	expect_escaped(" \"PROXY UNKNOWN\\r\\n\"", "PROXY UNKNOWN\r\n", 15);
	expect_escaped(" PROXY UNKNOWN\\r\\n", " PROXY UNKNOWN\r\n", 16);
}

static void every_byte_survives_being_escaped(void **state)
{
	uint8_t bytes[256], back[1024];
	char text[1025], wrong[DECODE_TEXT_WRONG_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	escape_bytes(text, sizeof(text), bytes, sizeof(bytes));
	assert_int_equal(read_escaped(text, back, wrong), sizeof(bytes));
	assert_memory_equal(back, bytes, sizeof(bytes));
}

static void a_mistake_in_an_escape_is_shown_with_its_place(void **state)
{
	char wrong[DECODE_TEXT_WRONG_SIZE];
	uint8_t bytes[64];

	(void)state;
	assert_int_equal(read_escaped("ab\\q", bytes, wrong), -1);
	assert_non_null(strstr(wrong, "line 1, column 3: \"\\q\" is no escape"));
	assert_int_equal(read_escaped("\\x4", bytes, wrong), -1);
	assert_int_equal(read_escaped("ab\\", bytes, wrong), -1);
	assert_non_null(strstr(wrong, "column 3: \"\\\" is no escape"));
}

static void expect_kind(const char *text, size_t length, enum decode_text_kind kind)
{
	assert_int_equal(decode_text_recognise(text, length), kind);
}

/* With its length, NULs and all. */
#define KIND(text, kind) expect_kind(text, sizeof(text) - 1, DECODE_TEXT_##kind)

static void bytes_that_mean_themselves_are_left_alone(void **state)
{
	(void)state;
	KIND("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", NONE);
	KIND("\x56\xec....", NONE);
	KIND("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", NONE);
	KIND("PROXY UNKNOWN\r\n{\"json\": \"\\x41\"}", NONE);
	KIND("GET / HTTP/1.1\r\n\r\n", NONE);
	KIND("", NONE);
	KIND(" \n", NONE);
	/* But hex with a slip of the finger is still hex: who typed it wants to know. */
	KIND("0d0a0d0a000d0a51s549540a", HEX);
	KIND("50 52 4f 58 59 20 5g", HEX);
	KIND("0d0a0d0", HEX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hex_is_read_in_every_usual_form),
		cmocka_unit_test(dumps_are_read_without_their_offsets_and_text),
		cmocka_unit_test(a_mistake_in_hex_is_shown_with_its_place),
		cmocka_unit_test(what_the_log_shows_is_read_back),
		cmocka_unit_test(every_byte_survives_being_escaped),
		cmocka_unit_test(a_mistake_in_an_escape_is_shown_with_its_place),
		cmocka_unit_test(bytes_that_mean_themselves_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
