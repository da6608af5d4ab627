/* SPDX-License-Identifier: MIT */
/*
 * The hint in a refusal's log line: does it name what the sender speaks, or what to do? The exact
 * words may change; the name of the protocol, or of the setting, in them may not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/header_guess.h"
#include "wire/refusal_hint.h"

#define SIGNATURE "\r\n\r\n\x00\r\nQUIT\n"

/* The bytes end where their memory ends, so that AddressSanitizer finds a read past them. */
static const char *guess(const void *bytes, size_t length)
{
	uint8_t *block = malloc(length + 1);
	const char *phrase;

	assert_non_null(block);
	memcpy(block + 1, bytes, length);
	phrase = header_guess(block + 1, length);
	free(block);
	/* It goes into a log line as it is, and outlives the bytes. */
	if (phrase != NULL) {
		assert_true(strlen(phrase) > 0 && strlen(phrase) < 100);
		for (const char *c = phrase; *c != '\0'; c++)
			assert_in_range(*c, ' ', '~');
	}
	return phrase;
}

static void expect(const char *word, const void *bytes, size_t length)
{
	const char *phrase = guess(bytes, length);

	if (phrase == NULL)
		fail_msg("no idea where %s was due: \"%.*s\"", word, (int)length,
			 (const char *)bytes);
	else if (strstr(phrase, word) == NULL)
		fail_msg("\"%s\" does not say %s", phrase, word);
}

/* For literals, which may hold NUL bytes. */
#define EXPECT(word, literal) expect(word, literal, sizeof(literal) - 1)

static void a_tls_hello_is_called_tls(void **state)
{
	(void)state;
	EXPECT("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
	EXPECT("TLS", "\x16\x03\x03\x00\x7a\x01\x00\x00\x76\x03\x03");
	EXPECT("TLS", "\x16\x03\x01");
}

static void the_hint_for_a_tls_hello_says_what_is_missing(void **state)
{
	(void)state;
	EXPECT("PROXY", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
}

static void an_ssh_banner_is_called_ssh(void **state)
{
	(void)state;
	EXPECT("SSH", "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n");
	EXPECT("SSH", "SSH-1.99-Cisco-1.25\n");
	EXPECT("SSH", "SSH-");
}

static void every_http_method_is_called_http(void **state)
{
	(void)state;
	EXPECT("HTTP", "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
	EXPECT("HTTP", "HEAD / HTTP/1.0\r\n\r\n");
	EXPECT("HTTP", "POST /form HTTP/1.1\r\n");
	EXPECT("HTTP", "PUT /file HTTP/1.1\r\n");
	EXPECT("HTTP", "DELETE /file HTTP/1.1\r\n");
	EXPECT("HTTP", "CONNECT example.com:443 HTTP/1.1\r\n");
	EXPECT("HTTP", "OPTIONS * HTTP/1.1\r\n");
	EXPECT("HTTP", "TRACE / HTTP/1.1\r\n");
	EXPECT("HTTP", "PATCH /file HTTP/1.1\r\n");
}

static void the_http_2_preface_is_called_http(void **state)
{
	(void)state;
	EXPECT("HTTP", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}

static void the_simple_proxy_protocol_is_called_spectrum_s(void **state)
{
	(void)state;
	EXPECT("Spectrum", "\x56\xec\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02"
			   "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc6\x33\x64\x01"
			   "\xdc\x04\x01\xbb");
	EXPECT("Spectrum", "\x56\xec");
}

static void a_v2_signature_that_breaks_off_is_called_proxy(void **state)
{
	(void)state;
	EXPECT("PROXY", "\r\n\r\n\x00\r\nQUIX\n\x21\x11\x00\x0c");
	EXPECT("PROXY", "\r\n\r\n\x00\r\nQUIT\r\n\x21\x11\x00\x0c");
	EXPECT("PROXY", "\r\n\r\n\x00\nQUIT\n\x21\x11\x00\x0c");
}

static void proxy_in_lowercase_is_called_proxy(void **state)
{
	(void)state;
	EXPECT("PROXY", "proxy TCP4 192.0.2.1 198.51.100.1 56324 443\r\n");
}

static void a_v1_line_that_went_wrong_is_called_proxy(void **state)
{
	(void)state;
	EXPECT("PROXY", "PROXY\tTCP4 192.0.2.1 198.51.100.1 56324 443\r\n");
	EXPECT("PROXY", "PROXY2 TCP4 192.0.2.1 198.51.100.1 56324 443\r\n");
}

static void nothing_is_guessed_from_nothing(void **state)
{
	(void)state;
	assert_null(guess("", 0));
	assert_null(header_guess(NULL, 0));
}

static void nothing_is_guessed_from_bytes_that_look_like_nothing(void **state)
{
	(void)state;
	assert_null(guess("\x00\x00\x00\x00\x00\x00\x00\x00", 8));
	assert_null(guess("\xab\xcd\x01\x00\x00\x01\x00\x00", 8)); /* DNS: any id may be first */
	assert_null(guess("hello, world\r\n", 14));
	assert_null(guess("\xff\xff\xff\xff", 4));
}

static void a_word_that_only_begins_like_a_method_is_not_called_http(void **state)
{
	(void)state;
	assert_null(guess("GETTING", 7));
	assert_null(guess("PUTTY", 5));
}

static void a_first_byte_that_a_method_shares_is_not_enough(void **state)
{
	(void)state;
	assert_null(guess("G", 1));
	assert_null(guess("P", 1));
	assert_null(guess("S", 1));
	assert_null(guess("\x56", 1));
	assert_null(guess("\r", 1));
}

static void no_prefix_of_anything_is_read_past_its_end(void **state)
{
	static const char *const starts[] = {
		"\x16\x03\x01\x02",   "SSH-2.0-x",          "GET / HTTP/1.1\r\n",
		"POST / HTTP/1.1",    "\x56\xec\x01\x01",   "proxy TCP4 ",
		"PROXY TCP4 1.2.3.4", "OPTIONS * HTTP/1.1", "DELETE / HTTP",
		"PRI * HTTP/2.0\r\n", "CONNECT a:1 HTTP",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		for (size_t length = 0; length <= strlen(starts[i]); length++)
			guess(starts[i], length);
	for (size_t length = 0; length < sizeof(SIGNATURE); length++)
		guess(SIGNATURE, length);
	for (int first = 0; first < 256; first++)
		guess((const uint8_t[]){(uint8_t)first}, 1);
}

static void expect_hint(enum close_reason reason, const char *word)
{
	const char *hint = refusal_hint(reason, (const uint8_t *)"SSH-2.0", 7);

	if (strstr(hint, word) == NULL)
		fail_msg("%s: \"%s\" is not in: %s", close_reason_name(reason), word, hint);
}

static void a_refusal_that_a_setting_may_mend_names_it(void **state)
{
	(void)state;
	expect_hint(CLOSE_HEADER_TOO_LONG, "max_header");
	expect_hint(CLOSE_SOURCE_LOOPBACK, "permit_sources");
	expect_hint(CLOSE_SOURCE_OWN, "permit_sources");
	expect_hint(CLOSE_SOURCE_MULTICAST, "no socket");
	expect_hint(CLOSE_SOURCE_BROADCAST, "no socket");
	expect_hint(CLOSE_SOURCE_UNSPECIFIED, "no socket");
	expect_hint(CLOSE_HEADER_TIMEOUT_EMPTY, "NLB");
	expect_hint(CLOSE_NO_FLOW, "header");
}

static void only_a_missing_header_is_guessed_at(void **state)
{
	(void)state;
	expect_hint(CLOSE_HEADER_MISSING, "SSH");
	for (unsigned i = 0; i < CLOSE_REASON_COUNT; i++) {
		const char *hint =
			refusal_hint((enum close_reason)i, (const uint8_t *)"SSH-2.0", 7);

		assert_true(strlen(hint) > 0);
		if (i != CLOSE_HEADER_MISSING)
			assert_null(strstr(hint, "SSH"));
	}
	assert_string_equal(refusal_hint(CLOSE_HEADER_MISSING, NULL, 0),
			    close_reason_sentence(CLOSE_HEADER_MISSING));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tls_hello_is_called_tls),
		cmocka_unit_test(the_hint_for_a_tls_hello_says_what_is_missing),
		cmocka_unit_test(an_ssh_banner_is_called_ssh),
		cmocka_unit_test(every_http_method_is_called_http),
		cmocka_unit_test(the_http_2_preface_is_called_http),
		cmocka_unit_test(the_simple_proxy_protocol_is_called_spectrum_s),
		cmocka_unit_test(a_v2_signature_that_breaks_off_is_called_proxy),
		cmocka_unit_test(proxy_in_lowercase_is_called_proxy),
		cmocka_unit_test(a_v1_line_that_went_wrong_is_called_proxy),
		cmocka_unit_test(nothing_is_guessed_from_nothing),
		cmocka_unit_test(nothing_is_guessed_from_bytes_that_look_like_nothing),
		cmocka_unit_test(a_word_that_only_begins_like_a_method_is_not_called_http),
		cmocka_unit_test(a_first_byte_that_a_method_shares_is_not_enough),
		cmocka_unit_test(no_prefix_of_anything_is_read_past_its_end),
		cmocka_unit_test(a_refusal_that_a_setting_may_mend_names_it),
		cmocka_unit_test(only_a_missing_header_is_guessed_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
