/* SPDX-License-Identifier: MIT */
/*
 * The header parser against the table in proxy_vectors.c: whole, cut at every byte, byte by byte,
 * with one byte changed; and against small oracles of its own for what can be tried exhaustively.
 * Every call sees a copy that ends where its memory ends, so that AddressSanitizer finds a read
 * past the bytes that have arrived.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy_vectors.h"

#include "base/address.h"
#include "base/close_reason.h"
#include "wire/proxy_header.h"

/* Vectors up to here are cut at every byte; of longer ones, both ends and a sample between. */
#define CUT_ALL  1024
#define CUT_ENDS 300
#define CUT_STEP 331
/* Up to here, at every pair of bytes as well, and with each byte changed. */
#define CUT_TWICE 160

#define SIGNATURE "\r\n\r\n\x00\r\nQUIT\n"

struct outcome {
	enum proxy_parse verdict;
	enum close_reason reason;   /* BAD */
	struct proxy_header header; /* OK; tlvs is not compared: it points into a copy */
	size_t tlvs_at;             /* OK, unless local */
};

static struct outcome parse(const uint8_t *bytes, size_t length, size_t max_length,
			    enum proxy_transport transport)
{
	/* One byte of room in front for length 0: malloc(0) may own a byte that can be read. */
	uint8_t *block = malloc(length + 1);
	uint8_t *copy = block + 1;
	struct outcome outcome;

	assert_non_null(block);
	if (length > 0)
		memcpy(copy, bytes, length);
	memset(&outcome, 0, sizeof(outcome));
	/* Whatever the parser does not fill in is to show. */
	memset(&outcome.header, 0xa5, sizeof(outcome.header));
	outcome.reason = CLOSE_REASON_COUNT;
	outcome.verdict = proxy_header_parse(copy, length, max_length, transport, &outcome.header,
					     &outcome.reason);
	if (outcome.verdict == PROXY_PARSE_OK && outcome.header.tlvs_length > 0) {
		assert_true(outcome.header.tlvs >= copy && outcome.header.tlvs <= copy + length);
		outcome.tlvs_at = (size_t)(outcome.header.tlvs - copy);
	}
	free(block);
	return outcome;
}

static struct outcome parse_vector(const struct proxy_vector *vector, size_t length)
{
	return parse(vector->bytes, length, vector->max_length, vector->transport);
}

static bool outcome_equal(const struct outcome *a, const struct outcome *b)
{
	if (a->verdict != b->verdict)
		return false;
	switch (a->verdict) {
	case PROXY_PARSE_MORE:
		return true;
	case PROXY_PARSE_BAD:
		return a->reason == b->reason;
	case PROXY_PARSE_OK:
		return a->header.version == b->header.version &&
		       a->header.local == b->header.local && a->header.length == b->header.length &&
		       a->header.tlvs_length == b->header.tlvs_length && a->tlvs_at == b->tlvs_at &&
		       address_equal(&a->header.source, &b->header.source) &&
		       address_equal(&a->header.destination, &b->header.destination);
	}
	return false;
}

static const char *outcome_text(const struct outcome *outcome)
{
	static char text[256];
	char source[ADDRESS_TEXT_SIZE];
	char destination[ADDRESS_TEXT_SIZE];

	switch (outcome->verdict) {
	case PROXY_PARSE_MORE:
		return "MORE";
	case PROXY_PARSE_BAD:
		if (outcome->reason >= CLOSE_REASON_COUNT)
			return "BAD without a reason";
		snprintf(text, sizeof(text), "BAD %s", close_reason_name(outcome->reason));
		return text;
	case PROXY_PARSE_OK:
		snprintf(text, sizeof(text), "OK v%u%s %s -> %s, header %zu, TLVs %zu at %zu",
			 outcome->header.version, outcome->header.local ? " local" : "",
			 address_format(&outcome->header.source, source),
			 address_format(&outcome->header.destination, destination),
			 outcome->header.length, outcome->header.tlvs_length, outcome->tlvs_at);
		return text;
	}
	return "no verdict at all";
}

static bool address_is(const struct address *address, const char *expected)
{
	char text[ADDRESS_TEXT_SIZE];

	if (expected == NULL)
		return address->family == ADDRESS_NONE;
	return strcmp(address_format(address, text), expected) == 0;
}

/* Where the TLVs of a v2 header begin, told from its bytes alone. */
static size_t tlvs_begin(const struct proxy_vector *vector)
{
	return PROXY_V2_FIXED_LENGTH + (vector->bytes[13] >> 4 == 1 ? 12 : 36);
}

static bool is_expected(const struct proxy_vector *vector, const struct outcome *outcome)
{
	const struct proxy_header *header = &outcome->header;
	size_t tlvs_length = 0;

	if (outcome->verdict != vector->verdict)
		return false;
	switch (outcome->verdict) {
	case PROXY_PARSE_MORE:
		return true;
	case PROXY_PARSE_BAD:
		return outcome->reason == vector->reason;
	case PROXY_PARSE_OK:
		if (vector->version == 2 && !vector->local)
			tlvs_length = vector->settled_at - tlvs_begin(vector);
		return header->version == vector->version && header->local == vector->local &&
		       header->length == vector->settled_at && header->tlvs_length == tlvs_length &&
		       (tlvs_length == 0 || outcome->tlvs_at == tlvs_begin(vector)) &&
		       address_is(&header->source, vector->source) &&
		       address_is(&header->destination, vector->destination);
	}
	return false;
}

/* The next place to cut: every byte of a short vector, a sample of a long one. */
static size_t next_cut(const struct proxy_vector *vector, size_t cut)
{
	if (vector->length <= CUT_ALL || cut < CUT_ENDS || cut + CUT_ENDS >= vector->length)
		return cut + 1;
	if (cut + CUT_STEP + CUT_ENDS > vector->length)
		return vector->length - CUT_ENDS;
	return cut + CUT_STEP;
}

static void the_table_is_in_order(void **state)
{
	size_t count;
	const struct proxy_vector *vectors = proxy_vectors(&count);

	(void)state;
	assert_true(count > 200);
	for (size_t i = 0; i < count; i++) {
		const struct proxy_vector *vector = &vectors[i];

		if (vector->settled_at > vector->length)
			fail_msg("%s: settled behind its end", vector->name);
		if ((vector->verdict == PROXY_PARSE_MORE) != (vector->settled_at == 0))
			fail_msg("%s: settled at %zu", vector->name, vector->settled_at);
		if ((vector->verdict == PROXY_PARSE_OK && !vector->local) !=
		    (vector->source != NULL && vector->destination != NULL))
			fail_msg("%s: addresses", vector->name);
		for (size_t j = 0; j < i; j++)
			if (strcmp(vectors[j].name, vector->name) == 0)
				fail_msg("%s: twice", vector->name);
	}
}

static void the_table_holds_every_reason_a_header_can_be_refused_for(void **state)
{
	size_t count;
	const struct proxy_vector *vectors = proxy_vectors(&count);
	bool seen[CLOSE_REASON_COUNT] = {false};

	(void)state;
	for (size_t i = 0; i < count; i++)
		if (vectors[i].verdict == PROXY_PARSE_BAD)
			seen[vectors[i].reason] = true;
	for (int reason = 0; reason < CLOSE_REASON_COUNT; reason++)
		if (seen[reason] != (reason >= CLOSE_HEADER_MISSING && reason <= CLOSE_V2_CRC32C))
			fail_msg("%s", close_reason_name((enum close_reason)reason));
}

static void the_table_holds_a_v1_line_of_107_bytes_and_a_v2_header_of_65551(void **state)
{
	size_t count;
	const struct proxy_vector *vectors = proxy_vectors(&count);
	size_t longest[3] = {0};

	(void)state;
	for (size_t i = 0; i < count; i++) {
		const struct proxy_vector *vector = &vectors[i];

		if (vector->verdict == PROXY_PARSE_OK &&
		    longest[vector->version] < vector->settled_at)
			longest[vector->version] = vector->settled_at;
		if (vector->verdict == PROXY_PARSE_BAD && vector->reason == CLOSE_V1_TOO_LONG)
			assert_true(vector->settled_at <= 107);
	}
	assert_int_equal(longest[1], 107);
	assert_int_equal(longest[2], 65551);
}

static void every_header_gets_its_verdict_when_it_comes_whole(void **state)
{
	size_t count;
	const struct proxy_vector *vectors = proxy_vectors(&count);
	int failures = 0;

	(void)state;
	for (size_t i = 0; i < count; i++) {
		struct outcome outcome = parse_vector(&vectors[i], vectors[i].length);

		if (!is_expected(&vectors[i], &outcome)) {
			print_error("%s: %s\n", vectors[i].name, outcome_text(&outcome));
			failures++;
		}
	}
	assert_int_equal(failures, 0);
}

/* What a receiver must have been told once the first `cut` bytes of the vector were in. */
static bool may_be_said_at(const struct proxy_vector *vector, size_t cut,
			   const struct outcome *outcome)
{
	if (cut >= vector->settled_at)
		return is_expected(vector, outcome);
	/* A refusal may come early, as long as it is the same; a header may not. */
	return outcome->verdict == PROXY_PARSE_MORE ||
	       (vector->verdict == PROXY_PARSE_BAD && is_expected(vector, outcome));
}

/* These say what is wrong, once a vector, and return the number of failures. */
static int check_two_segments(const struct proxy_vector *vector)
{
	for (size_t cut = 0; cut < vector->length; cut = next_cut(vector, cut)) {
		struct outcome outcome = parse_vector(vector, cut);
		bool good = may_be_said_at(vector, cut, &outcome);

		if (good && outcome.verdict == PROXY_PARSE_MORE) {
			outcome = parse_vector(vector, vector->length);
			good = is_expected(vector, &outcome);
		}
		if (!good) {
			print_error("%s, cut at %zu: %s\n", vector->name, cut,
				    outcome_text(&outcome));
			return 1;
		}
	}
	return 0;
}

static int check_three_segments(const struct proxy_vector *vector)
{
	for (size_t one = 0; one < vector->length; one++) {
		struct outcome outcome = parse_vector(vector, one);

		if (outcome.verdict != PROXY_PARSE_MORE)
			return 0;
		for (size_t two = one + 1; two < vector->length; two++) {
			outcome = parse_vector(vector, two);
			if (outcome.verdict == PROXY_PARSE_MORE)
				outcome = parse_vector(vector, vector->length);
			if (!is_expected(vector, &outcome)) {
				print_error("%s, cut at %zu and %zu: %s\n", vector->name, one, two,
					    outcome_text(&outcome));
				return 1;
			}
		}
	}
	return 0;
}

static void a_header_in_two_segments_gets_the_verdict_of_the_whole(void **state)
{
	size_t count;
	const struct proxy_vector *vectors = proxy_vectors(&count);
	int failures = 0;

	(void)state;
	for (size_t i = 0; i < count; i++)
		failures += check_two_segments(&vectors[i]);
	assert_int_equal(failures, 0);
}

static void a_header_in_three_segments_gets_the_verdict_of_the_whole(void **state)
{
	size_t count;
	const struct proxy_vector *vectors = proxy_vectors(&count);
	int failures = 0;

	(void)state;
	for (size_t i = 0; i < count; i++)
		if (vectors[i].length <= CUT_TWICE)
			failures += check_three_segments(&vectors[i]);
	assert_int_equal(failures, 0);
}

static void a_header_byte_by_byte_is_settled_by_the_byte_that_settles_it(void **state)
{
	size_t count;
	const struct proxy_vector *vectors = proxy_vectors(&count);
	int failures = 0;

	(void)state;
	for (size_t i = 0; i < count; i++) {
		const struct proxy_vector *vector = &vectors[i];
		struct outcome outcome = {.verdict = PROXY_PARSE_MORE};
		size_t have = 0;

		/* One byte a time, as a receiver would, until it has an answer or runs dry. */
		while (outcome.verdict == PROXY_PARSE_MORE && have < vector->length) {
			have = next_cut(vector, have);
			outcome = parse_vector(vector, have);
		}
		/* A refusal may come early, it must not come late; a header ends where it ends. */
		if (!is_expected(vector, &outcome) ||
		    (vector->verdict == PROXY_PARSE_OK && have != vector->settled_at) ||
		    (vector->verdict == PROXY_PARSE_BAD && have > vector->settled_at)) {
			print_error("%s: %s after %zu bytes\n", vector->name,
				    outcome_text(&outcome), have);
			failures++;
		}
	}
	assert_int_equal(failures, 0);
}

static void what_follows_a_settled_header_does_not_change_its_verdict(void **state)
{
	static const char *const followers[] = {"\r\n",     "\n",
						"\r",       "PROXY UNKNOWN\r\n",
						" 443\r\n", "\x03\x03\x03\x03\x03\x03\x03\x03"};
	size_t count;
	const struct proxy_vector *vectors = proxy_vectors(&count);
	uint8_t bytes[CUT_ALL + 64];
	int failures = 0;

	(void)state;
	for (size_t i = 0; i < count; i++) {
		const struct proxy_vector *vector = &vectors[i];

		if (vector->verdict == PROXY_PARSE_MORE || vector->length > CUT_ALL)
			continue;
		for (size_t j = 0; j < sizeof(followers) / sizeof(followers[0]); j++) {
			const size_t extra = strlen(followers[j]);
			struct outcome outcome;

			memcpy(bytes, vector->bytes, vector->settled_at);
			memcpy(bytes + vector->settled_at, followers[j], extra);
			outcome = parse(bytes, vector->settled_at + extra, vector->max_length,
					vector->transport);
			if (!is_expected(vector, &outcome)) {
				print_error("%s, follower %zu: %s\n", vector->name, j,
					    outcome_text(&outcome));
				failures++;
			}
		}
	}
	assert_int_equal(failures, 0);
}

/*
 * Nothing is known of a changed header but this: more bytes may turn MORE into something else, and
 * nothing else into anything; and a header is taken once its own length is there, not before.
 */
static int check_every_cut(const char *name, size_t changed, const uint8_t *bytes, size_t length,
			   size_t max_length, enum proxy_transport transport)
{
	struct outcome whole = parse(bytes, length, max_length, transport);

	if (whole.verdict == PROXY_PARSE_OK && whole.header.length > length) {
		print_error("%s, byte %zu changed: longer than what is there\n", name, changed);
		return 1;
	}
	/* A prefix without the changed byte has had its turn. */
	for (size_t cut = changed + 1; cut < length; cut++) {
		struct outcome part = parse(bytes, cut, max_length, transport);
		const bool early = whole.verdict == PROXY_PARSE_OK && cut < whole.header.length;

		if (part.verdict == PROXY_PARSE_MORE && (whole.verdict != PROXY_PARSE_OK || early))
			continue;
		if (!early && outcome_equal(&part, &whole))
			continue;
		print_error("%s, byte %zu changed to 0x%02x: %s at %zu, ", name, changed,
			    bytes[changed], outcome_text(&part), cut);
		print_error("in the end %s\n", outcome_text(&whole));
		return 1;
	}
	return 0;
}

static int check_changed_bytes(const struct proxy_vector *vector)
{
	static const uint8_t telling[] = {0x00, '\n', '\r', ' ', '0', ':', 0xff};
	uint8_t bytes[CUT_TWICE];
	int failures = 0;

	memcpy(bytes, vector->bytes, vector->length);
	for (size_t at = 0; at < vector->length && failures == 0; at++) {
		bytes[at] = vector->bytes[at] ^ 0x01;
		failures += check_every_cut(vector->name, at, bytes, vector->length,
					    vector->max_length, vector->transport);
		for (size_t i = 0; i < sizeof(telling) && failures == 0; i++) {
			bytes[at] = telling[i];
			failures += check_every_cut(vector->name, at, bytes, vector->length,
						    vector->max_length, vector->transport);
		}
		bytes[at] = vector->bytes[at];
	}
	return failures;
}

static void a_header_with_a_changed_byte_gets_one_verdict_however_it_is_cut(void **state)
{
	size_t count;
	const struct proxy_vector *vectors = proxy_vectors(&count);
	int failures = 0;

	(void)state;
	for (size_t i = 0; i < count; i++)
		if (vectors[i].length <= CUT_TWICE)
			failures += check_changed_bytes(&vectors[i]);
	assert_int_equal(failures, 0);
}

static void a_local_header_names_no_address_and_no_tlv(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
	} headers[] = {
		{"PROXY UNKNOWN\r\n", 15},
		{"PROXY UNKNOWN 192.0.2.1 198.51.100.1 1 2\r\n", 42},
		{SIGNATURE "\x20\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb", 28},
		{SIGNATURE "\x20\x00\x00\x05\x01\x00\x02h2", 21},
		{SIGNATURE "\x21\x00\x00\x05\x01\x00\x02h2", 21},
	};
	const struct address none = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct outcome outcome = parse((const uint8_t *)headers[i].bytes, headers[i].length,
					       4096, PROXY_TRANSPORT_STREAM);

		assert_int_equal(outcome.verdict, PROXY_PARSE_OK);
		assert_true(outcome.header.local);
		assert_true(address_equal(&outcome.header.source, &none));
		assert_true(address_equal(&outcome.header.destination, &none));
		assert_int_equal(outcome.header.tlvs_length, 0);
	}
}

static void an_ipv4_address_leaves_no_stray_bytes_behind(void **state)
{
	static const char line[] = "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.1 1 2\r\n";
	static const uint8_t source[16] = {192, 0, 2, 1};
	static const uint8_t destination[16] = {198, 51, 100, 1};
	struct outcome outcome =
		parse((const uint8_t *)line, sizeof(line) - 1, 4096, PROXY_TRANSPORT_STREAM);

	(void)state;
	assert_int_equal(outcome.verdict, PROXY_PARSE_OK);
	assert_int_equal(outcome.header.source.family, ADDRESS_IPV4);
	assert_memory_equal(outcome.header.source.ip, source, 16);
	assert_memory_equal(outcome.header.destination.ip, destination, 16);
}

static void the_tlvs_handed_out_are_those_of_the_header_and_no_more(void **state)
{
	static const char bytes[] = SIGNATURE "\x21\x11\x00\x11\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc"
					      "\x04\x01\xbb\x01\x00\x02h2\x04\x00\x00";
	struct proxy_header header;
	enum close_reason reason;

	(void)state;
	assert_int_equal(proxy_header_parse((const uint8_t *)bytes, sizeof(bytes) - 1, 4096,
					    PROXY_TRANSPORT_STREAM, &header, &reason),
			 PROXY_PARSE_OK);
	assert_int_equal(header.length, 33);
	assert_ptr_equal(header.tlvs, bytes + 28);
	assert_int_equal(header.tlvs_length, 5);
}

static void the_longest_header_taken_is_max_length_bytes_long(void **state)
{
	static const char bytes[] =
		SIGNATURE "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb";

	(void)state;
	for (size_t max_length = 16; max_length < 64; max_length++) {
		struct outcome outcome = parse((const uint8_t *)bytes, sizeof(bytes) - 1,
					       max_length, PROXY_TRANSPORT_STREAM);

		if (max_length < 28) {
			assert_int_equal(outcome.verdict, PROXY_PARSE_BAD);
			assert_int_equal(outcome.reason, CLOSE_HEADER_TOO_LONG);
		} else {
			assert_int_equal(outcome.verdict, PROXY_PARSE_OK);
		}
	}
}

static struct outcome expect_of_nibbles(uint8_t command, uint8_t family,
					enum proxy_transport transport)
{
	const uint8_t wanted = transport == PROXY_TRANSPORT_STREAM ? 1 : 2;
	struct outcome expected = {.verdict = PROXY_PARSE_BAD};

	if (command >> 4 != 2) {
		expected.reason = CLOSE_V2_VERSION;
	} else if ((command & 15) > 1) {
		expected.reason = CLOSE_V2_COMMAND;
	} else if ((command & 15) == 0) {
		expected.verdict = PROXY_PARSE_OK;
		expected.header.local = true;
	} else if (family >> 4 > 3) {
		expected.reason = CLOSE_V2_FAMILY;
	} else if (family >> 4 == 3) {
		expected.reason = CLOSE_V2_UNIX;
	} else if ((family & 15) > 2) {
		expected.reason = CLOSE_V2_TRANSPORT;
	} else if (family >> 4 == 0) {
		expected.verdict = PROXY_PARSE_OK;
		expected.header.local = true;
	} else if ((family & 15) != wanted) {
		expected.reason = CLOSE_TRANSPORT_MISMATCH;
	} else {
		expected.verdict = PROXY_PARSE_OK;
	}
	return expected;
}

static void every_pair_of_command_and_family_bytes_has_its_verdict(void **state)
{
	static const enum proxy_transport transports[] = {PROXY_TRANSPORT_STREAM,
							  PROXY_TRANSPORT_DATAGRAM};
	uint8_t bytes[16 + 36] = SIGNATURE;

	(void)state;
	/* 36 bytes: an IPv6 block, or an IPv4 block with a NOOP of 21 bytes. */
	bytes[15] = 36;
	bytes[28] = 0x04;
	bytes[30] = 21;
	for (size_t i = 0; i < 2 * 256 * 256; i++) {
		const enum proxy_transport transport = transports[i >> 16];
		struct outcome expected;
		struct outcome outcome;

		bytes[12] = (uint8_t)(i >> 8);
		bytes[13] = (uint8_t)i;
		expected = expect_of_nibbles(bytes[12], bytes[13], transport);
		outcome = parse(bytes, sizeof(bytes), 4096, transport);
		if (outcome.verdict != expected.verdict ||
		    (outcome.verdict == PROXY_PARSE_OK &&
		     outcome.header.local != expected.header.local) ||
		    (outcome.verdict == PROXY_PARSE_BAD && outcome.reason != expected.reason))
			fail_msg("0x%02x 0x%02x on %s: %s", bytes[12], bytes[13],
				 transport == PROXY_TRANSPORT_STREAM ? "TCP" : "UDP",
				 outcome_text(&outcome));
	}
}

static void every_v2_length_is_taken_refused_or_waited_for(void **state)
{
	uint8_t bytes[16] = SIGNATURE "\x21\x11";

	(void)state;
	for (size_t length = 0; length <= 65535; length++) {
		struct outcome outcome;

		bytes[14] = (uint8_t)(length >> 8);
		bytes[15] = (uint8_t)length;
		outcome = parse(bytes, sizeof(bytes), 4096, PROXY_TRANSPORT_STREAM);
		if (16 + length > 4096) {
			assert_int_equal(outcome.verdict, PROXY_PARSE_BAD);
			assert_int_equal(outcome.reason, CLOSE_HEADER_TOO_LONG);
		} else if (length < 12) {
			assert_int_equal(outcome.verdict, PROXY_PARSE_BAD);
			assert_int_equal(outcome.reason, CLOSE_V2_LENGTH);
		} else {
			assert_int_equal(outcome.verdict, PROXY_PARSE_MORE);
		}
	}
}

static void every_v1_port_up_to_65535_is_taken_and_none_above(void **state)
{
	char line[128];

	(void)state;
	for (unsigned int port = 0; port < 200000; port++) {
		const int length =
			snprintf(line, sizeof(line), "PROXY TCP4 192.0.2.1 198.51.100.1 %u %u\r\n",
				 port, port);
		struct outcome outcome =
			parse((const uint8_t *)line, (size_t)length, 4096, PROXY_TRANSPORT_STREAM);

		if (port > 65535) {
			assert_int_equal(outcome.verdict, PROXY_PARSE_BAD);
			assert_int_equal(outcome.reason, CLOSE_V1_PORT);
			continue;
		}
		assert_int_equal(outcome.verdict, PROXY_PARSE_OK);
		assert_int_equal(outcome.header.source.port, port);
		assert_int_equal(outcome.header.destination.port, port);
	}
}

static void a_v1_address_is_taken_in_the_system_s_own_spelling(void **state)
{
	char source[INET6_ADDRSTRLEN];
	char destination[INET6_ADDRSTRLEN];
	char line[160];
	uint8_t ip[32];
	uint32_t random = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		const int family = i % 2 == 0 ? AF_INET : AF_INET6;
		const size_t size = family == AF_INET ? 4 : 16;
		struct outcome outcome;
		int length;

		for (size_t j = 0; j < sizeof(ip); j++) {
			random = random * 1103515245u + 12345u;
			/* Zeros often, so that there is something to abbreviate. */
			ip[j] = random >> 30 == 0 ? (uint8_t)(random >> 16) : 0;
		}
		ip[0] |= 0x20; /* neither mapped nor IPv4-compatible */
		ip[16] |= 0x20;
		assert_non_null(inet_ntop(family, ip, source, sizeof(source)));
		assert_non_null(inet_ntop(family, ip + 16, destination, sizeof(destination)));
		length = snprintf(line, sizeof(line), "PROXY TCP%c %s %s %d %d\r\n",
				  family == AF_INET ? '4' : '6', source, destination, i, i + 1);
		outcome =
			parse((const uint8_t *)line, (size_t)length, 4096, PROXY_TRANSPORT_STREAM);
		if (outcome.verdict != PROXY_PARSE_OK)
			fail_msg("%s: %s", line, outcome_text(&outcome));
		assert_int_equal(outcome.header.source.family,
				 family == AF_INET ? ADDRESS_IPV4 : ADDRESS_IPV6);
		assert_memory_equal(outcome.header.source.ip, ip, size);
		assert_memory_equal(outcome.header.destination.ip, ip + 16, size);
		assert_int_equal(outcome.header.source.port, i);
		assert_int_equal(outcome.header.destination.port, i + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_is_in_order),
		cmocka_unit_test(the_table_holds_every_reason_a_header_can_be_refused_for),
		cmocka_unit_test(the_table_holds_a_v1_line_of_107_bytes_and_a_v2_header_of_65551),
		cmocka_unit_test(every_header_gets_its_verdict_when_it_comes_whole),
		cmocka_unit_test(a_header_in_two_segments_gets_the_verdict_of_the_whole),
		cmocka_unit_test(a_header_in_three_segments_gets_the_verdict_of_the_whole),
		cmocka_unit_test(a_header_byte_by_byte_is_settled_by_the_byte_that_settles_it),
		cmocka_unit_test(what_follows_a_settled_header_does_not_change_its_verdict),
		cmocka_unit_test(a_header_with_a_changed_byte_gets_one_verdict_however_it_is_cut),
		cmocka_unit_test(a_local_header_names_no_address_and_no_tlv),
		cmocka_unit_test(an_ipv4_address_leaves_no_stray_bytes_behind),
		cmocka_unit_test(the_tlvs_handed_out_are_those_of_the_header_and_no_more),
		cmocka_unit_test(the_longest_header_taken_is_max_length_bytes_long),
		cmocka_unit_test(every_pair_of_command_and_family_bytes_has_its_verdict),
		cmocka_unit_test(every_v2_length_is_taken_refused_or_waited_for),
		cmocka_unit_test(every_v1_port_up_to_65535_is_taken_and_none_above),
		cmocka_unit_test(a_v1_address_is_taken_in_the_system_s_own_spelling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
