/* SPDX-License-Identifier: MIT */
/*
 * A field of an access log line, and its value as text. Every format prints the same list of these,
 * so that they all say the same.
 */
#ifndef ACCESSLOG_FIELD_H
#define ACCESSLOG_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <mmproxy/plugin.h>

/* Bytes of a text or a TLV that a line shows: what names and identifiers have, and no more. */
#define FIELD_BYTES_MOST 256

/* An escaped byte takes four characters; behind them the mark of a cut, and a NUL. */
#define FIELD_TEXT_SIZE (4 * FIELD_BYTES_MOST + 8)

enum field_type {
	FIELD_BYTES, /* text or a TLV's value: trusted to be neither printable nor UTF-8 */
	FIELD_TIME,
	FIELD_NUMBER,
	FIELD_SECONDS,
	FIELD_FLAG,
	FIELD_ADDRESS
};

/* What it points to belongs to whoever made it. */
struct field {
	const char *key; /* lower-case letters, digits and '_' */
	enum field_type type;
	union {
		struct {
			const uint8_t *bytes;
			size_t length;
		};
		struct timespec time; /* of CLOCK_REALTIME */
		uint64_t number;
		uint64_t milliseconds;
		bool flag;
		const struct mmproxy_address *address;
	};
};

/* Which bytes of FIELD_BYTES stay as they are. The backslash never does. */
enum field_charset {
	FIELD_ASCII, /* printable ASCII but the quote */
	FIELD_UTF8   /* the quote and well-formed UTF-8, too, but for control characters */
};

/*
 * Writes the value and a NUL, and returns the length. Of FIELD_BYTES each byte that may not stay is
 * written \xNN, a backslash \\ and a quote \"; one of more than FIELD_BYTES_MOST bytes is cut there
 * and ends with \... which no other value contains.
 */
size_t field_text(const struct field *field, enum field_charset charset,
		  char text[static FIELD_TEXT_SIZE]);

#endif
