/* SPDX-License-Identifier: MIT */
/* Hex and escaped text, as people paste them. */
#include "ctl/decode/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Stands before the quoted bytes in a log line. */
#define FIRST_BYTES "first_bytes="

/* Digits that an offset of a dump has at least: fewer are a byte. */
#define OFFSET_DIGITS_MIN 4
#define OFFSET_DIGITS_MAX 8

/* The text that is still unread. */
struct scan {
	const char *begin;
	const char *next;
	const char *end;
	char *wrong;
};

static struct scan scan_begin(const char *text, size_t length, char *wrong)
{
	return (struct scan){.begin = text, .next = text, .end = text + length, .wrong = wrong};
}

/* '\0' at the end. */
static char peek(const struct scan *scan, size_t ahead)
{
	return (size_t)(scan->end - scan->next) > ahead ? scan->next[ahead] : '\0';
}

/* -1: no digit. */
static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Of two digits; -1: they are not both. */
static int byte_value(char high, char low)
{
	int upper = digit_value(high), lower = digit_value(low);

	return upper >= 0 && lower >= 0 ? upper * 16 + lower : -1;
}

static size_t count_digits(const struct scan *scan, size_t ahead)
{
	size_t count = 0;

	while (digit_value(peek(scan, ahead + count)) >= 0)
		count++;
	return count;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* What may stand between two bytes. */
static bool is_separator(char c)
{
	return c != '\0' && strchr(" \t\r\n:,;-\"'{}[]()", c) != NULL;
}

/* "line 2, column 7: ..." of where the scan stands. Returns -1. */
static int complain(const struct scan *scan, const char *what, int shown)
{
	size_t line = 1;
	const char *start = scan->begin;

	for (const char *c = scan->begin; c < scan->next; c++) {
		if (*c == '\n') {
			line++;
			start = c + 1;
		}
	}
	snprintf(scan->wrong, DECODE_TEXT_WRONG_SIZE, "line %zu, column %zu: \"%.*s\" %s", line,
		 (size_t)(scan->next - start) + 1, shown, scan->next, what);
	return -1;
}

/* How the rest of a dump's line is to be read; DUMP_NONE: it has no offset. */
enum dump {
	DUMP_NONE,
	DUMP_COLON, /* "00000010: ", "0x0010:  ": two blanks end the bytes */
	DUMP_BLANK, /* "00000010  ": three do, or two behind the line's eighth byte */
};

/* Takes the offset at the beginning of a line. `read`: bytes so far, which is what it must say. */
static enum dump take_offset(struct scan *scan, size_t read)
{
	size_t prefix = peek(scan, 0) == '0' && (peek(scan, 1) | 0x20) == 'x' ? 2 : 0;
	size_t digits = count_digits(scan, prefix), value = 0;

	if (digits < OFFSET_DIGITS_MIN || digits > OFFSET_DIGITS_MAX)
		return DUMP_NONE;
	for (size_t i = 0; i < digits; i++)
		value = value * 16 + (unsigned)digit_value(peek(scan, prefix + i));
	if (peek(scan, prefix + digits) == ':' && is_blank(peek(scan, prefix + digits + 1))) {
		scan->next += prefix + digits + 1;
		while (is_blank(peek(scan, 0)))
			scan->next++;
		return DUMP_COLON;
	}
	if (prefix != 0 || value != read)
		return DUMP_NONE;
	if (is_blank(peek(scan, digits)) && is_blank(peek(scan, digits + 1))) {
		scan->next += digits + 2;
		return DUMP_BLANK;
	}
	/* hexdump ends with the length, alone on its line. */
	if (read > 0 && (peek(scan, digits) == '\n' || peek(scan, digits) == '\0')) {
		scan->next += digits;
		return DUMP_BLANK;
	}
	return DUMP_NONE;
}

/* Does the dump's column of text begin here? `read`: the line's bytes so far. */
static bool at_text_column(const struct scan *scan, enum dump dump, size_t read)
{
	size_t blanks = 0;

	if (dump == DUMP_NONE || read == 0)
		return false;
	while (is_blank(peek(scan, blanks)))
		blanks++;
	if (peek(scan, blanks) == '|')
		return true;
	if (dump == DUMP_COLON)
		return blanks >= 2;
	return blanks >= 3 || (blanks == 2 && read != 8);
}

static void skip_line(struct scan *scan)
{
	while (scan->next < scan->end && *scan->next != '\n')
		scan->next++;
}

/* A group of digits, with its prefix. Returns how many bytes it has, or -1. */
static int take_group(struct scan *scan, uint8_t *bytes)
{
	bool escaped = peek(scan, 0) == '\\' && peek(scan, 1) == 'x';
	size_t prefix = escaped || (peek(scan, 0) == '0' && (peek(scan, 1) | 0x20) == 'x') ? 2 : 0;
	size_t digits = count_digits(scan, prefix);
	char behind = peek(scan, prefix + digits);

	if (digits == 0 || (behind != '\0' && !is_separator(behind))) {
		scan->next += digits > 0 ? prefix + digits : 0;
		return complain(scan, "is no hex; a byte is two of 0-9 and a-f, such as 0d", 1);
	}
	if (digits % 2 != 0 || (escaped && digits != 2))
		return complain(scan,
				"has an odd number of digits; a byte is two, such as 0d for 13",
				(int)(prefix + digits > 40 ? 40 : prefix + digits));
	scan->next += prefix;
	for (size_t i = 0; i < digits / 2; i++, scan->next += 2)
		bytes[i] = (uint8_t)byte_value(scan->next[0], scan->next[1]);
	return (int)(digits / 2);
}

/* One line, of a dump or not. Returns how many bytes it has, or -1. `read`: those before it. */
static long take_line(struct scan *scan, uint8_t *bytes, size_t read)
{
	enum dump dump;
	size_t taken = 0;

	while (is_blank(peek(scan, 0)))
		scan->next++;
	dump = take_offset(scan, read);
	while (scan->next < scan->end && *scan->next != '\n') {
		int count;

		if (at_text_column(scan, dump, taken)) {
			skip_line(scan);
			break;
		}
		if (is_separator(*scan->next)) {
			scan->next++;
			continue;
		}
		count = take_group(scan, bytes + taken);
		if (count < 0)
			return -1;
		taken += (size_t)count;
	}
	if (scan->next < scan->end)
		scan->next++;
	return (long)taken;
}

long decode_text_read_hex(const char *text, size_t length, uint8_t *bytes,
			  char wrong[static DECODE_TEXT_WRONG_SIZE])
{
	struct scan scan = scan_begin(text, length, wrong);
	size_t read = 0;

	while (scan.next < scan.end) {
		long count = take_line(&scan, bytes + read, read);

		if (count < 0)
			return -1;
		read += (size_t)count;
	}
	return (long)read;
}

/* What stands behind a backslash. Returns the byte, or -1. */
static int take_escape(struct scan *scan)
{
	static const char letters[] = "rnt0\\\"'", bytes[] = "\r\n\t\0\\\"'";
	int byte = peek(scan, 1) == 'x' ? byte_value(peek(scan, 2), peek(scan, 3)) : -1;
	const char *letter;

	if (byte >= 0) {
		scan->next += 4;
		return byte;
	}
	letter = peek(scan, 1) != '\0' ? strchr(letters, peek(scan, 1)) : NULL;
	if (letter == NULL)
		return complain(scan, "is no escape; \\x takes two hex digits, as in \\x0d",
				peek(scan, 1) == '\0' ? 1 : 2);
	scan->next += 2;
	return (unsigned char)bytes[letter - letters];
}

/* To the quote that opens the bytes, and past it. Returns whether there is one. */
static bool skip_to_quoted(struct scan *scan)
{
	const char *found = memmem(scan->next, (size_t)(scan->end - scan->next), FIRST_BYTES,
				   strlen(FIRST_BYTES));
	size_t blanks = 0;

	if (found != NULL)
		scan->next = found + strlen(FIRST_BYTES);
	while (isspace((unsigned char)peek(scan, blanks)))
		blanks++;
	/* Without a quote they are bytes as well: a blank before PROXY is why it was refused. */
	if (peek(scan, blanks) != '"')
		return false;
	scan->next += blanks + 1;
	return true;
}

long decode_text_read_escaped(const char *text, size_t length, uint8_t *bytes,
			      char wrong[static DECODE_TEXT_WRONG_SIZE])
{
	struct scan scan = scan_begin(text, length, wrong);
	bool quoted = skip_to_quoted(&scan);
	size_t read = 0;

	while (scan.next < scan.end && !(quoted && *scan.next == '"')) {
		int byte;

		if (*scan.next == '\n' || *scan.next == '\r') {
			scan.next++;
			continue;
		}
		byte = *scan.next == '\\' ? take_escape(&scan) : (unsigned char)*scan.next++;
		if (byte < 0)
			return -1;
		bytes[read++] = (uint8_t)byte;
	}
	return (long)read;
}

static bool is_text(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if ((text[i] < ' ' || text[i] > '~') && !isspace((unsigned char)text[i]))
			return false;
	}
	return true;
}

/* Nothing but digits and what may stand around them: a mistake in it is one in hex. */
static bool is_hex(const char *text, size_t length)
{
	size_t digits = 0;

	for (size_t i = 0; i < length; i++) {
		if (digit_value(text[i]) >= 0)
			digits++;
		else if (!is_separator(text[i]) && text[i] != 'x' && text[i] != 'X' &&
			 text[i] != '\\')
			return false;
	}
	return digits > 0;
}

/* The first line of a dump, or hex that begins as a header does: a mistake further on is one too.
 */
static bool begins_as_hex(const char *text, size_t length)
{
	static const char *const starts[] = {"0d0a0d0a", "50524f5859", "56ec"};
	char wrong[DECODE_TEXT_WRONG_SIZE], digits[16] = "";
	struct scan scan = scan_begin(text, length, wrong);
	size_t count = 0;

	while (isspace((unsigned char)peek(&scan, 0)))
		scan.next++;
	if (take_offset(&scan, 0) != DUMP_NONE && count_digits(&scan, 0) >= 2)
		return true;
	for (; scan.next < scan.end && count + 1 < sizeof(digits); scan.next++) {
		if (digit_value(*scan.next) >= 0)
			digits[count++] = *scan.next;
		else if (!is_separator(*scan.next))
			break;
	}
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		if (strncasecmp(digits, starts[i], strlen(starts[i])) == 0)
			return true;
	}
	return false;
}

/* A backslash in the first line; in a raw header that would be behind its end. */
static bool is_escaped(const char *text, size_t length)
{
	const char *newline = memchr(text, '\n', length);
	size_t first = newline != NULL ? (size_t)(newline - text) : length;

	return memchr(text, '\\', first) != NULL ||
	       memmem(text, length, FIRST_BYTES, strlen(FIRST_BYTES)) != NULL;
}

/* \x16\x03 side by side: a blank among them is a byte, as the log writes it. */
static bool has_escapes_together(const char *text, size_t length)
{
	for (size_t i = 4; i < length; i++) {
		if (text[i] == '\\' && text[i - 4] == '\\' && text[i - 3] == 'x')
			return true;
	}
	return false;
}

enum decode_text_kind decode_text_recognise(const char *text, size_t length)
{
	if (length == 0 || !is_text(text, length))
		return DECODE_TEXT_NONE;
	if (is_hex(text, length) && !has_escapes_together(text, length))
		return DECODE_TEXT_HEX;
	if (is_escaped(text, length))
		return DECODE_TEXT_ESCAPED;
	return begins_as_hex(text, length) ? DECODE_TEXT_HEX : DECODE_TEXT_NONE;
}
