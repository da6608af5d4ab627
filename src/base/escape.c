/* SPDX-License-Identifier: MIT */
/* Escaping of untrusted bytes. */
#include "base/escape.h"

size_t escape_bytes(char *to, size_t size, const uint8_t *bytes, size_t length)
{
	static const char hex[] = "0123456789abcdef";
	size_t written = 0;

	for (size_t i = 0; i < length; i++) {
		uint8_t byte = bytes[i];

		if (byte < ' ' || byte > '~') {
			if (size - written <= 4)
				break;
			to[written++] = '\\';
			to[written++] = 'x';
			to[written++] = hex[byte >> 4];
			to[written++] = hex[byte & 0xf];
		} else if (byte == '"' || byte == '\\') {
			if (size - written <= 2)
				break;
			to[written++] = '\\';
			to[written++] = (char)byte;
		} else {
			if (size - written <= 1)
				break;
			to[written++] = (char)byte;
		}
	}
	to[written] = '\0';
	return written;
}
