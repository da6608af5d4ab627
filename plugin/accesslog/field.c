/* SPDX-License-Identifier: MIT */
/*
 * Values as text. TLVs are bytes of somebody's wire, so whatever could end a line or a field, steer
 * a terminal, or be no UTF-8 at all is written as an escape that cannot be mistaken for anything
 * else.
 */
#include "field.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What ends lines elsewhere than in files, and what turns the direction of reading. */
static bool is_format_character(uint32_t character)
{
	return (character >= 0x2028 && character <= 0x202e) ||
	       (character >= 0x2066 && character <= 0x2069);
}

/* The length of the character beyond ASCII that begins here; 0 when it is none, or not to stay. */
static size_t utf8_length(const uint8_t *bytes, size_t room)
{
	/* By length: below are overlong forms, and the control characters 0x80 to 0x9f. */
	static const uint32_t least[] = {0, 0, 0xa0, 0x800, 0x10000};
	size_t length = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
	uint32_t character;

	if (bytes[0] < 0xc2 || bytes[0] > 0xf4 || length > room)
		return 0;
	character = bytes[0] & (0xffU >> (length + 1));
	for (size_t i = 1; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		character = character << 6 | (bytes[i] & 0x3f);
	}
	if (character < least[length] || character > 0x10ffff ||
	    (character >= 0xd800 && character <= 0xdfff) || is_format_character(character))
		return 0;
	return length;
}

/* How many bytes from here on may stay as they are. */
static size_t plain_length(const uint8_t *bytes, size_t room, enum field_charset charset)
{
	if (bytes[0] == '\\' || (bytes[0] == '"' && charset == FIELD_ASCII))
		return 0;
	if (bytes[0] >= ' ' && bytes[0] <= '~')
		return 1;
	return charset == FIELD_UTF8 ? utf8_length(bytes, room) : 0;
}

static size_t escape_byte(uint8_t byte, char *to)
{
	static const char hex[] = "0123456789abcdef";

	to[0] = '\\';
	to[1] = (char)byte;
	if (byte == '\\' || byte == '"')
		return 2;
	to[1] = 'x';
	to[2] = hex[byte >> 4];
	to[3] = hex[byte & 0xf];
	return 4;
}

static size_t bytes_text(const struct field *field, enum field_charset charset, char *text)
{
	size_t shown = field->length < FIELD_BYTES_MOST ? field->length : FIELD_BYTES_MOST;
	size_t written = 0;

	for (size_t i = 0; i < shown;) {
		size_t plain = plain_length(field->bytes + i, shown - i, charset);

		if (plain == 0) {
			written += escape_byte(field->bytes[i++], text + written);
			continue;
		}
		memcpy(text + written, field->bytes + i, plain);
		written += plain;
		i += plain;
	}
	return written + (size_t)snprintf(text + written, FIELD_TEXT_SIZE - written, "%s",
					  shown < field->length ? "\\..." : "");
}

static size_t time_text(const struct timespec *time, char *text)
{
	struct tm utc;
	size_t length;

	gmtime_r(&time->tv_sec, &utc);
	length = strftime(text, FIELD_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
	return length + (size_t)snprintf(text + length, FIELD_TEXT_SIZE - length, ".%03uZ",
					 (unsigned)(time->tv_nsec / 1000000) % 1000);
}

/* As mmproxy's own log writes them. */
static size_t address_text(const struct mmproxy_address *address, char *text)
{
	char ip[INET6_ADDRSTRLEN];

	if (inet_ntop(address->family, address->ip, ip, sizeof(ip)) == NULL)
		return (size_t)snprintf(text, FIELD_TEXT_SIZE, "-");
	return (size_t)snprintf(text, FIELD_TEXT_SIZE,
				address->family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip,
				address->port);
}

size_t field_text(const struct field *field, enum field_charset charset,
		  char text[static FIELD_TEXT_SIZE])
{
	switch (field->type) {
	case FIELD_BYTES:
		return bytes_text(field, charset, text);
	case FIELD_TIME:
		return time_text(&field->time, text);
	case FIELD_NUMBER:
		return (size_t)snprintf(text, FIELD_TEXT_SIZE, "%" PRIu64, field->number);
	case FIELD_SECONDS:
		return (size_t)snprintf(text, FIELD_TEXT_SIZE, "%" PRIu64 ".%03u",
					field->milliseconds / 1000,
					(unsigned)(field->milliseconds % 1000));
	case FIELD_FLAG:
		return (size_t)snprintf(text, FIELD_TEXT_SIZE, "%s", field->flag ? "yes" : "no");
	case FIELD_ADDRESS:
		return address_text(field->address, text);
	}
	return 0;
}
