/* SPDX-License-Identifier: MIT */
/*
 * mmproxyctl decode: what it says of a header is what the daemon says, for every header of the
 * table; and what else it says is so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "ctl/answer.h"
#include "ctl/decode/header.h"
#include "ctl/decode/print.h"
#include "proxy_vector_words.h"

/* The bytes end where their memory ends. */
static json_t *decode(const void *bytes, size_t length, enum proxy_transport transport,
		      size_t max_header)
{
	uint8_t *copy = malloc(length > 0 ? length : 1);
	struct decode_sample sample = {
		.transport = transport,
		.bytes = copy,
		.length = length,
		.total = length,
	};
	struct decode_verdict verdict;
	json_t *header;

	assert_non_null(copy);
	memcpy(copy, bytes, length);
	verdict = decode_judge(&sample, max_header);
	header = decode_header_describe(&sample, &verdict, max_header);
	free(copy);
	return header;
}

#define DECODE(bytes)     decode(bytes, sizeof(bytes) - 1, PROXY_TRANSPORT_STREAM, DEFAULT_MAX)
#define DECODE_UDP(bytes) decode(bytes, sizeof(bytes) - 1, PROXY_TRANSPORT_DATAGRAM, DEFAULT_MAX)

static void expect_text(const json_t *header, const char *key, const char *due)
{
	const char *found = answer_text(header, key);

	if (strcmp(found, due) != 0)
		fail_msg("%s is \"%s\", not \"%s\"", key, found, due);
}

/* Whatever is said can be printed. */
static void print(const json_t *header)
{
	struct lines lines = {0};

	decode_print_header(header, &lines);
	assert_true(lines.count >= 2);
	lines_finish(&lines);
}

static void expect_vector(const struct proxy_vector *vector, const json_t *header)
{
	bool datagram = vector->transport == PROXY_TRANSPORT_DATAGRAM;

	switch (vector->verdict) {
	case PROXY_PARSE_OK:
		/* The table's clients are honest ones, but for some. */
		if (strncmp(answer_text(header, "reason"), "source-", 7) != 0)
			expect_text(header, "verdict", "accepted");
		expect_text(header, "client", vector->local ? "" : vector->source);
		expect_text(header, "destination", vector->local ? "" : vector->destination);
		assert_int_equal(answer_count(header, "header_length"), vector->settled_at);
		assert_int_equal(answer_count(header, "payload_length"),
				 vector->length - vector->settled_at);
		break;
	case PROXY_PARSE_MORE:
		expect_text(header, "verdict", datagram ? "refused" : "incomplete");
		expect_text(header, "reason", datagram ? "header-truncated" : "");
		assert_true(answer_count(header, "missing") > 0);
		break;
	case PROXY_PARSE_BAD:
		expect_text(header, "verdict", "refused");
		expect_text(header, "reason", close_reason_name(vector->reason));
		expect_text(header, "why", close_reason_sentence(vector->reason));
		/* No later than where the parser gave up. */
		assert_true(answer_count(header, "offset") < vector->settled_at);
		break;
	}
}

static void every_header_of_the_table_gets_its_verdict(void **state)
{
	const struct proxy_vector *vectors;
	size_t count;

	(void)state;
	vectors = proxy_vectors(&count);
	assert_true(count > 100);
	for (size_t i = 0; i < count; i++) {
		const struct proxy_vector *vector = &vectors[i];
		json_t *header;

		/* SPP has a parser of its own, which the table knows nothing of. */
		if (vector->transport == PROXY_TRANSPORT_DATAGRAM && vector->length >= 2 &&
		    vector->bytes[0] == 0x56 && vector->bytes[1] == 0xec)
			continue;
		print_message("%s\n", vector->name);
		header = decode(vector->bytes, vector->length, vector->transport,
				vector->max_length);
		expect_vector(vector, header);
		print(header);
		json_decref(header);
	}
}

/* Where it lies: in the byte that a person would point at. */
static void a_refusal_points_at_the_byte(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		const char *reason;
		unsigned offset;
	} cases[] = {
#define CASE(bytes, reason, offset) {bytes, sizeof(bytes) - 1, reason, offset}
		CASE("GET / HTTP/1.1", "header-missing", 0),
		CASE("PROXZ", "header-missing", 4),
		CASE("\r\n\r\n\0\r\nQUIX", "header-missing", 10),
		CASE(V2("\x31", "\x11", "\0\x0c") BLOCK4, "v2-version", 12),
		CASE(V2("\x22", "\x11", "\0\x0c") BLOCK4, "v2-command", 12),
		CASE(V2("\x21", "\x41", "\0\x0c") BLOCK4, "v2-family", 13),
		CASE(V2("\x21", "\x31", "\0\x0c") BLOCK4, "v2-unix", 13),
		CASE(V2("\x21", "\x12", "\0\x0c") BLOCK4, "transport-mismatch", 13),
		CASE(V2("\x21", "\x11", "\0\x0b") BLOCK4, "v2-length", 14),
		CASE(V2("\x21", "\x11", "\x10\0") BLOCK4, "header-too-long", 14),
		CASE(V2_TCP4("\0\x14") "\4\0\0\x02\0\x03zz", "v2-tlv", 31),
		CASE(V2_TCP4("\0\x13") "\3\0\4\0\0\0\0", "v2-crc32c", 31),
		/* Of two, the one that is wrong: the second, then the first. */
		CASE(V2_TCP4("\0\x1a") "\3\0\4\xe4\xc9\x4e\x77"
				       "\3\0\4\0\0\0\0",
		     "v2-crc32c", 38),
		CASE(V2_TCP4("\0\x1a") "\3\0\4\0\0\0\0"
				       "\3\0\4\xe4\xc9\x4e\x77",
		     "v2-crc32c", 31),
		CASE("PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n", "v1-protocol", 6),
		CASE("PROXY TCP4 192.0.2.x 198.51.100.1 1 2\r\n", "v1-address", 11),
		CASE("PROXY TCP4 192.0.2.1 198.51.100.x 1 2\r\n", "v1-address", 21),
		CASE("PROXY TCP6 ::1 192.0.2.1 1 2\r\n", "v1-address", 15),
		CASE("PROXY TCP4 192.0.2.1\0 198.51.100.1 1 2\r\n", "v1-address", 11),
		CASE("PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n", "v1-port", 34),
		CASE("PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n", "v1-port", 36),
		CASE("PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n", "v1-fields", 11),
		CASE("PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n", "v1-fields", 35),
		CASE("PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n", "v1-fields", 38),
		CASE("PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n", "v1-line-end", 37),
		CASE("PROXY TCP4 127.0.0.1 198.51.100.1 1 2\r\n", "source-loopback", 11),
		CASE(V2("\x21", "\x11", "\0\x0c") "\xe0\0\0\1\xc0\0\2\1\0\1\0\2",
		     "source-multicast", 16),
#undef CASE
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *header = decode(cases[i].bytes, cases[i].length, PROXY_TRANSPORT_STREAM,
					DEFAULT_MAX);

		expect_text(header, "verdict", "refused");
		expect_text(header, "reason", cases[i].reason);
		if (answer_count(header, "offset") != cases[i].offset)
			fail_msg("%s: at %u, not %u", cases[i].reason,
				 (unsigned)answer_count(header, "offset"), cases[i].offset);
		json_decref(header);
	}
}

static void a_v1_line_on_udp_is_refused_for_its_protocol(void **state)
{
	json_t *header = DECODE_UDP(LINE4);

	(void)state;
	expect_text(header, "reason", "transport-mismatch");
	assert_int_equal(answer_count(header, "offset"), 6);
	json_decref(header);
}

static void what_is_missing_is_counted(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		unsigned missing;
		bool more;
	} cases[] = {
		{"\r", 1, 15, true},
		{V2("\x21", "\x11", "\0\x0c"), 16, 12, false},
		{V2("\x20", "\x00", "\0\x01"), 16, 1, false},
		{"PROXY UNKNOWN", 13, 2, true},
		{"PROXY UNKNOWN\r", 14, 1, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *header = decode(cases[i].bytes, cases[i].length, PROXY_TRANSPORT_STREAM,
					DEFAULT_MAX);

		expect_text(header, "verdict", "incomplete");
		assert_int_equal(answer_count(header, "missing"), cases[i].missing);
		assert_int_equal(json_is_true(json_object_get(header, "missing_more")),
				 cases[i].more);
		json_decref(header);
	}
}

static void spp_is_known_by_its_magic_number_and_only_on_udp(void **state)
{
	static const char spp[] = "\x56\xec" MAPPED "\xc0\0\2\1" MAPPED "\xc6\x33\x64\1\0\x35\0\x36"
				  "query";
	json_t *header = DECODE_UDP(spp);

	(void)state;
	expect_text(header, "header", "spp");
	expect_text(header, "verdict", "accepted");
	expect_text(header, "framing", "spp");
	expect_text(header, "client", "192.0.2.1:53");
	expect_text(header, "destination", "198.51.100.1:54");
	expect_text(header, "payload", "query");
	json_decref(header);
	header = decode(spp, 37, PROXY_TRANSPORT_DATAGRAM, DEFAULT_MAX);
	expect_text(header, "reason", "header-truncated");
	assert_int_equal(answer_count(header, "missing"), 1);
	json_decref(header);
	header = DECODE(spp);
	expect_text(header, "reason", "header-missing");
	assert_non_null(strstr(answer_text(header, "hint"), "framing = \"spp\""));
	json_decref(header);
}

/* The `index`th TLV. */
static const json_t *tlv_of(const json_t *header, size_t index)
{
	const json_t *tlv = json_array_get(answer_array(header, "tlvs"), index);

	assert_non_null(tlv);
	return tlv;
}

static void tlvs_are_named_and_their_values_read(void **state)
{
	json_t *header = DECODE(V2_TCP4("\x00\x52") "\x01\x00\x02h2"
						    "\x02\x00\x03\x1b[2"
						    "\x04\x00\x01z"
						    "\x05\x00\x02\x01\x02"
						    "\x30\x00\x02ns"
						    "\xea\x00\x05\x01vpce"
						    "\xea\x00\x02\x02v"
						    "\xee\x00\x05\x01\xc1\x45\x00\x21"
						    "\xe0\x00\x08\x00\x00\x12\x34\x56\x78\x9a\xbc"
						    "\xe1\x00\x01!"
						    "\xf0\x00\x00"
						    "\xf8\x00\x00"
						    "\x7f\x00\x00");
	static const char *const names[] = {
		"ALPN",
		"AUTHORITY",
		"NOOP",
		"UNIQUE_ID",
		"NETNS",
		"AWS VPC endpoint id",
		"AWS",
		"Azure private endpoint link id",
		"Google PSC connection id",
		"custom",
		"experiment",
		"reserved",
		"unknown",
	};

	(void)state;
	expect_text(header, "verdict", "accepted");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		expect_text(tlv_of(header, i), "name", names[i]);
	expect_text(tlv_of(header, 0), "text", "h2");
	assert_int_equal(answer_count(tlv_of(header, 0), "offset"), 28);
	expect_text(tlv_of(header, 1), "text", "\\x1b[2");
	expect_text(tlv_of(header, 3), "hex", "0102");
	assert_null(json_object_get(tlv_of(header, 3), "text"));
	expect_text(tlv_of(header, 5), "text", "vpce");
	assert_int_equal(answer_count(tlv_of(header, 7), "value"), 0x210045c1);
	expect_text(tlv_of(header, 8), "value", "20015998343868");
	expect_text(tlv_of(header, 9), "text", "!");
	print(header);
	json_decref(header);
}

static void the_ssl_tlv_is_opened(void **state)
{
	json_t *header = DECODE(V2_TCP4("\x00\x2b") "\x20\x00\x1c\x07\x00\x00\x00\x01"
						    "\x21\x00\x07TLSv1.3"
						    "\x23\x00\x03"
						    "AES"
						    "\x28\x00\x01\xff"
						    "\x29\xff\xff");
	const json_t *ssl = tlv_of(header, 0), *inner = answer_array(ssl, "tlvs");

	(void)state;
	assert_int_equal(answer_count(ssl, "verify"), 1);
	assert_int_equal(answer_count(ssl, "client_flags"), 7);
	assert_int_equal(json_array_size(answer_array(ssl, "flags")), 3);
	assert_int_equal(json_array_size(inner), 4);
	expect_text(json_array_get(inner, 0), "name", "SSL version");
	expect_text(json_array_get(inner, 0), "text", "TLSv1.3");
	expect_text(json_array_get(inner, 1), "name", "SSL cipher");
	expect_text(json_array_get(inner, 2), "hex", "ff");
	/* What makes no TLV has no name; the daemon does not look in here. */
	assert_null(json_object_get(json_array_get(inner, 3), "name"));
	expect_text(json_array_get(inner, 3), "hex", "29ffff");
	expect_text(header, "verdict", "accepted");
	print(header);
	json_decref(header);
}

static void a_checksum_is_right_or_wrong(void **state)
{
	static const char nlb[] = V2("\x20", "\x11", "\0\x0a") "\3\0\4\0\0\0\0\4\0\0";
	json_t *header = DECODE(nlb);
	const json_t *tlv = tlv_of(header, 0);
	char due[16];

	(void)state;
	/* LOCAL: nobody looks at the checksum, but here it can be seen. */
	expect_text(header, "verdict", "accepted");
	assert_true(json_is_true(json_object_get(header, "local")));
	assert_true(json_is_false(json_object_get(tlv, "right")));
	snprintf(due, sizeof(due), "%s", answer_text(tlv, "due"));
	assert_int_equal(strlen(due), 10);
	print(header);
	json_decref(header);
}

static void a_capture_that_is_cut_leaves_a_datagram_incomplete(void **state)
{
	struct decode_sample sample = {
		.transport = PROXY_TRANSPORT_DATAGRAM,
		.bytes = (const uint8_t *)V2_UDP4("\0\x0c"),
		.length = 16,
		.total = 40,
		.cut = true,
	};
	struct decode_verdict verdict = decode_judge(&sample, DEFAULT_MAX);

	(void)state;
	assert_int_equal(verdict.outcome, DECODE_INCOMPLETE);
	assert_int_equal(verdict.missing, 12);
	sample.cut = false;
	verdict = decode_judge(&sample, DEFAULT_MAX);
	assert_int_equal(verdict.outcome, DECODE_REFUSED);
	assert_int_equal(verdict.reason, CLOSE_HEADER_TRUNCATED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_header_of_the_table_gets_its_verdict),
		cmocka_unit_test(a_refusal_points_at_the_byte),
		cmocka_unit_test(a_v1_line_on_udp_is_refused_for_its_protocol),
		cmocka_unit_test(what_is_missing_is_counted),
		cmocka_unit_test(spp_is_known_by_its_magic_number_and_only_on_udp),
		cmocka_unit_test(tlvs_are_named_and_their_values_read),
		cmocka_unit_test(the_ssl_tlv_is_opened),
		cmocka_unit_test(a_checksum_is_right_or_wrong),
		cmocka_unit_test(a_capture_that_is_cut_leaves_a_datagram_incomplete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
