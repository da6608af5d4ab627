/* SPDX-License-Identifier: MIT */
/* Bytes that somebody has written down as text: hex in its many forms, and what our log shows.
 * Pure. */
#ifndef MMPROXY_CTL_DECODE_TEXT_H
#define MMPROXY_CTL_DECODE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum decode_text_kind {
	DECODE_TEXT_HEX,
	DECODE_TEXT_ESCAPED,
	DECODE_TEXT_NONE, /* the bytes mean themselves */
};

/* What the bytes look like: text that stands for other bytes, and which, or none. */
enum decode_text_kind decode_text_recognise(const char *text, size_t length);

/* Room for one line that says where, what, and what would be right. */
#define DECODE_TEXT_WRONG_SIZE 256

/*
 * Reads hex: bytes of two digits, together or apart, with blanks, colons, commas, quotes and
 * brackets between them, each group with 0x or \x before it or not. Lines may be those of a dump
 * (xxd, hexdump -C, tcpdump -X, Wireshark): an offset first, the text column last.
 * Writes at most length / 2 bytes. Returns how many, or -1 with `wrong`.
 */
long decode_text_read_hex(const char *text, size_t length, uint8_t *bytes,
			  char wrong[static DECODE_TEXT_WRONG_SIZE]);

/*
 * Reads text as escape_bytes() writes it, and \r, \n, \t and \0 as well; newlines are skipped. Of a
 * whole line of the log, or with quotes, what is quoted behind first_bytes=, or at the beginning.
 * Writes at most `length` bytes. Returns how many, or -1 with `wrong`.
 */
long decode_text_read_escaped(const char *text, size_t length, uint8_t *bytes,
			      char wrong[static DECODE_TEXT_WRONG_SIZE]);

#endif
