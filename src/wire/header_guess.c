/* SPDX-License-Identifier: MIT */
/* First bytes of the protocols that are met when the sender was not told to send a header. */
#include "wire/header_guess.h"

#include <string.h>

#define NO_HEADER ": the sender does not send a PROXY header"

static const struct {
	const char *start;
	size_t length;
	const char *hint;
} guesses[] = {
#define GUESS(text, what)                                                                          \
	{                                                                                          \
		text, sizeof(text) - 1, what                                                       \
	}
	GUESS("\x16\x03", "looks like a TLS hello" NO_HEADER),
	GUESS("SSH-", "looks like SSH" NO_HEADER),
	GUESS("GET ", "looks like an HTTP request" NO_HEADER),
	GUESS("POST ", "looks like an HTTP request" NO_HEADER),
	GUESS("HEAD ", "looks like an HTTP request" NO_HEADER),
	GUESS("PUT ", "looks like an HTTP request" NO_HEADER),
	GUESS("DELETE ", "looks like an HTTP request" NO_HEADER),
	GUESS("PATCH ", "looks like an HTTP request" NO_HEADER),
	GUESS("TRACE ", "looks like an HTTP request" NO_HEADER),
	GUESS("OPTIONS ", "looks like an HTTP request" NO_HEADER),
	GUESS("CONNECT ", "looks like an HTTP proxy request" NO_HEADER),
	GUESS("PRI * HTTP/2", "looks like HTTP/2" NO_HEADER),
	GUESS("EHLO ", "looks like SMTP" NO_HEADER),
	GUESS("HELO ", "looks like SMTP" NO_HEADER),
	GUESS("\x56\xec",
	      "looks like Spectrum's Simple Proxy Protocol, which UDP listeners with framing = "
	      "\"spp\" take"),
	GUESS("PROXY", "looks like a PROXY v1 line that does not keep to the specification"),
	GUESS("proxy", "looks like a PROXY v1 line in lower case, which the specification forbids"),
	GUESS("\r\n\r\n\0\r\nQUIT\n", "looks like PROXY v2, which UDP listeners take with framing "
				      "= \"every\" or \"first\""),
	GUESS("\r\n\r\n", "looks like a PROXY v2 signature that breaks off"),
	GUESS("\x05", "looks like SOCKS5" NO_HEADER),
	GUESS("\x03\x00", "looks like RDP" NO_HEADER),
#undef GUESS
};

const char *header_guess(const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < sizeof(guesses) / sizeof(guesses[0]); i++) {
		if (length >= guesses[i].length &&
		    memcmp(bytes, guesses[i].start, guesses[i].length) == 0)
			return guesses[i].hint;
	}
	return NULL;
}
