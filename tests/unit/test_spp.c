/* SPDX-License-Identifier: MIT */
/*
 * The Simple Proxy Protocol: the layout of the specification byte for byte, every way a datagram
 * can fall short of it, and that a reply's header is the one that was read. Every call sees a copy
 * that ends where its memory ends, so that AddressSanitizer finds a read past the datagram.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/spp.h"

#define MAGIC   "\x56\xec"
#define MAPPED  "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff"
#define CLIENT4 MAPPED "\xc0\x00\x02\x01" /* 192.0.2.1 */
#define PROXY4  MAPPED "\xc6\x33\x64\x01" /* 198.51.100.1 */
#define HEAD6   "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
#define CLIENT6 HEAD6 "\x01"       /* 2001:db8::1 */
#define PROXY6  HEAD6 "\x02"       /* 2001:db8::2 */
#define PORTS   "\xdc\x04\x01\xbb" /* 56324, 443 */

#define HEADER4 MAGIC CLIENT4 PROXY4 PORTS
#define HEADER6 MAGIC CLIENT6 PROXY6 PORTS

struct outcome {
	bool taken;
	enum close_reason reason;
	struct proxy_header header;
};

static struct outcome parse(const void *bytes, size_t length)
{
	/* One byte of room in front for length 0: malloc(0) may own a byte that can be read. */
	uint8_t *block = malloc(length + 1);
	struct outcome outcome = {.reason = CLOSE_REASON_COUNT};

	assert_non_null(block);
	if (length > 0)
		memcpy(block + 1, bytes, length);
	/* Whatever the parser does not fill in is to show. */
	memset(&outcome.header, 0xa5, sizeof(outcome.header));
	outcome.taken = spp_parse(block + 1, length, &outcome.header, &outcome.reason);
	if (length > 0)
		assert_memory_equal(block + 1, bytes, length);
	free(block);
	return outcome;
}

/* Parses a datagram that is good, and says who it is from and to. */
static void assert_endpoints(const void *bytes, size_t length, const char *client,
			     const char *proxy)
{
	struct outcome outcome = parse(bytes, length);
	char text[ADDRESS_TEXT_SIZE];

	assert_true(outcome.taken);
	assert_int_equal(outcome.header.version, PROXY_VERSION_SPP);
	assert_false(outcome.header.local);
	assert_int_equal(outcome.header.length, SPP_LENGTH);
	assert_null(outcome.header.tlvs);
	assert_int_equal(outcome.header.tlvs_length, 0);
	assert_string_equal(address_format(&outcome.header.source, text), client);
	assert_string_equal(address_format(&outcome.header.destination, text), proxy);
}

/* Reads a header and writes it again, into memory of just its size. */
static void assert_written_as_read(const void *bytes)
{
	struct outcome outcome = parse(bytes, SPP_LENGTH);
	uint8_t *written = malloc(SPP_LENGTH);

	assert_non_null(written);
	assert_true(outcome.taken);
	memset(written, 0xa5, SPP_LENGTH);
	spp_write(written, &outcome.header.source, &outcome.header.destination);
	assert_memory_equal(written, bytes, SPP_LENGTH);
	free(written);
}

static void assert_refused(const void *bytes, size_t length, enum close_reason reason)
{
	struct outcome outcome = parse(bytes, length);

	assert_false(outcome.taken);
	assert_int_equal(outcome.reason, reason);
}

static void fill_random(uint8_t *bytes, size_t length, uint32_t *random)
{
	for (size_t i = 0; i < length; i++) {
		*random = *random * 1103515245u + 12345u;
		bytes[i] = (uint8_t)(*random >> 16);
	}
}

static void an_ipv4_client_is_read(void **state)
{
	(void)state;
	assert_int_equal(sizeof(HEADER4) - 1, SPP_LENGTH);
	assert_endpoints(HEADER4 "payload", SPP_LENGTH + 7, "192.0.2.1:56324", "198.51.100.1:443");
}

static void an_ipv6_client_is_read(void **state)
{
	(void)state;
	assert_int_equal(sizeof(HEADER6) - 1, SPP_LENGTH);
	assert_endpoints(HEADER6 "payload", SPP_LENGTH + 7, "[2001:db8::1]:56324",
			 "[2001:db8::2]:443");
}

static void every_byte_of_the_header_has_its_place(void **state)
{
	uint8_t bytes[SPP_LENGTH] = {0x56, 0xec};
	struct outcome outcome;

	(void)state;
	for (size_t i = 2; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	outcome = parse(bytes, sizeof(bytes));
	assert_true(outcome.taken);
	assert_int_equal(outcome.header.source.family, ADDRESS_IPV6);
	assert_memory_equal(outcome.header.source.ip, bytes + 2, 16);
	assert_int_equal(outcome.header.source.port, 0x2223);
	assert_int_equal(outcome.header.destination.family, ADDRESS_IPV6);
	assert_memory_equal(outcome.header.destination.ip, bytes + 18, 16);
	assert_int_equal(outcome.header.destination.port, 0x2425);
}

static void a_header_may_come_without_a_payload(void **state)
{
	(void)state;
	assert_endpoints(HEADER4, SPP_LENGTH, "192.0.2.1:56324", "198.51.100.1:443");
}

static void the_payload_is_not_looked_at(void **state)
{
	uint8_t bytes[SPP_LENGTH + 1400] = HEADER6;
	uint32_t random = 1;

	(void)state;
	for (size_t payload = 0; payload <= sizeof(bytes) - SPP_LENGTH; payload += 7) {
		fill_random(bytes + SPP_LENGTH, payload, &random);
		assert_endpoints(bytes, SPP_LENGTH + payload, "[2001:db8::1]:56324",
				 "[2001:db8::2]:443");
	}
}

static void a_second_header_is_payload(void **state)
{
	(void)state;
	assert_endpoints(HEADER4 HEADER6, sizeof(HEADER4 HEADER6) - 1, "192.0.2.1:56324",
			 "198.51.100.1:443");
}

static void a_datagram_that_ends_in_the_header_is_truncated(void **state)
{
	(void)state;
	for (size_t length = 0; length < SPP_LENGTH; length++) {
		assert_refused(HEADER4, length, CLOSE_HEADER_TRUNCATED);
		assert_refused(HEADER6, length, CLOSE_HEADER_TRUNCATED);
	}
}

static void no_bytes_at_all_may_be_a_null_pointer(void **state)
{
	struct proxy_header header;
	enum close_reason reason = CLOSE_REASON_COUNT;

	(void)state;
	assert_false(spp_parse(NULL, 0, &header, &reason));
	assert_int_equal(reason, CLOSE_HEADER_TRUNCATED);
}

static void another_magic_number_is_no_header_however_long(void **state)
{
	uint8_t bytes[SPP_LENGTH + 7] = HEADER4 "payload";

	(void)state;
	for (unsigned value = 0; value <= 255; value++) {
		for (size_t length = 1; length <= sizeof(bytes); length++) {
			bytes[0] = (uint8_t)value;
			if (value != 0x56)
				assert_refused(bytes, length, CLOSE_HEADER_MISSING);
			bytes[0] = 0x56;
			bytes[1] = (uint8_t)value;
			if (value != 0xec && length >= 2)
				assert_refused(bytes, length, CLOSE_HEADER_MISSING);
			bytes[1] = 0xec;
		}
	}
}

static void the_magic_number_in_little_endian_is_no_header(void **state)
{
	(void)state;
	assert_refused("\xec\x56" CLIENT4 PROXY4 PORTS, SPP_LENGTH, CLOSE_HEADER_MISSING);
}

static void a_header_of_the_proxy_protocol_is_not_one_of_spp(void **state)
{
	(void)state;
	assert_refused("\r\n\r\n\x00\r\nQUIT\n\x21\x12\x00\x0c"
		       "\xc0\x00\x02\x01\xc6\x33\x64\x01" PORTS "and a payload",
		       28 + 13, CLOSE_HEADER_MISSING);
	assert_refused("PROXY UNKNOWN\r\n and a payload behind", 36, CLOSE_HEADER_MISSING);
}

static void a_refused_datagram_leaves_the_header_alone(void **state)
{
	struct outcome outcome = parse(HEADER4, SPP_LENGTH - 1);
	struct proxy_header untouched;

	(void)state;
	memset(&untouched, 0xa5, sizeof(untouched));
	assert_memory_equal(&outcome.header, &untouched, sizeof(untouched));
}

static void a_mapped_address_becomes_ipv4_without_stray_bytes(void **state)
{
	static const uint8_t client[16] = {192, 0, 2, 1};
	static const uint8_t proxy[16] = {198, 51, 100, 1};
	struct outcome outcome = parse(HEADER4, SPP_LENGTH);

	(void)state;
	assert_true(outcome.taken);
	assert_int_equal(outcome.header.source.family, ADDRESS_IPV4);
	assert_memory_equal(outcome.header.source.ip, client, 16);
	assert_int_equal(outcome.header.destination.family, ADDRESS_IPV4);
	assert_memory_equal(outcome.header.destination.ip, proxy, 16);
}

static void a_mapped_loopback_is_ipv4_too(void **state)
{
	(void)state;
	assert_endpoints(MAGIC MAPPED "\x7f\x00\x00\x01" PROXY4 PORTS, SPP_LENGTH,
			 "127.0.0.1:56324", "198.51.100.1:443");
}

static void an_address_one_bit_from_mapped_stays_ipv6(void **state)
{
	uint8_t bytes[SPP_LENGTH] = HEADER4;

	(void)state;
	for (size_t bit = 0; bit < 12 * 8; bit++) {
		struct outcome outcome;

		bytes[2 + bit / 8] ^= (uint8_t)(1u << bit % 8);
		outcome = parse(bytes, sizeof(bytes));
		assert_true(outcome.taken);
		assert_int_equal(outcome.header.source.family, ADDRESS_IPV6);
		assert_memory_equal(outcome.header.source.ip, bytes + 2, 16);
		assert_written_as_read(bytes);
		bytes[2 + bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void client_and_proxy_may_be_of_different_families(void **state)
{
	(void)state;
	assert_endpoints(MAGIC CLIENT4 PROXY6 PORTS, SPP_LENGTH, "192.0.2.1:56324",
			 "[2001:db8::2]:443");
	assert_endpoints(MAGIC CLIENT6 PROXY4 PORTS, SPP_LENGTH, "[2001:db8::1]:56324",
			 "198.51.100.1:443");
}

static void ports_0_and_65535_are_read(void **state)
{
	(void)state;
	assert_endpoints(MAGIC CLIENT4 PROXY4 "\x00\x00\xff\xff", SPP_LENGTH, "192.0.2.1:0",
			 "198.51.100.1:65535");
	assert_endpoints(MAGIC CLIENT6 PROXY6 "\xff\xff\x00\x00", SPP_LENGTH, "[2001:db8::1]:65535",
			 "[2001:db8::2]:0");
}

static void a_reply_s_header_is_the_one_that_was_read(void **state)
{
	static const char *const headers[] = {
		HEADER4,
		HEADER6,
		MAGIC CLIENT4 PROXY6 PORTS,
		MAGIC CLIENT6 PROXY4 PORTS,
		MAGIC CLIENT4 PROXY4 "\x00\x00\xff\xff",
		MAGIC CLIENT6 PROXY6 "\xff\xff\x00\x00",
		MAGIC MAPPED "\x00\x00\x00\x00" MAPPED "\xff\xff\xff\xff" PORTS,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		assert_written_as_read(headers[i]);
}

static void a_reply_s_header_is_written_from_addresses_of_any_origin(void **state)
{
	uint8_t bytes[SPP_LENGTH];
	struct address client, proxy;

	(void)state;
	assert_int_equal(address_parse_endpoint("192.0.2.1:56324", &client), 0);
	assert_int_equal(address_parse_endpoint("[::ffff:198.51.100.1]:443", &proxy), 0);
	spp_write(bytes, &client, &proxy);
	assert_memory_equal(bytes, HEADER4, SPP_LENGTH);
	assert_int_equal(address_parse_endpoint("[2001:db8::1]:56324", &client), 0);
	assert_int_equal(address_parse_endpoint("[2001:db8::2]:443", &proxy), 0);
	spp_write(bytes, &client, &proxy);
	assert_memory_equal(bytes, HEADER6, SPP_LENGTH);
}

static void whatever_stands_behind_the_magic_number_is_written_as_read(void **state)
{
	uint8_t bytes[SPP_LENGTH] = MAGIC;
	uint32_t random = 2;

	(void)state;
	assert_written_as_read(bytes);
	memset(bytes + 2, 0xff, sizeof(bytes) - 2);
	assert_written_as_read(bytes);
	for (int i = 0; i < 100000; i++) {
		fill_random(bytes + 2, sizeof(bytes) - 2, &random);
		/* Chance alone never makes a mapped address. */
		if (i % 4 == 1 || i % 4 == 3)
			memcpy(bytes + 2, MAPPED, 12);
		if (i % 4 == 2 || i % 4 == 3)
			memcpy(bytes + 18, MAPPED, 12);
		assert_written_as_read(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ipv4_client_is_read),
		cmocka_unit_test(an_ipv6_client_is_read),
		cmocka_unit_test(every_byte_of_the_header_has_its_place),
		cmocka_unit_test(a_header_may_come_without_a_payload),
		cmocka_unit_test(the_payload_is_not_looked_at),
		cmocka_unit_test(a_second_header_is_payload),
		cmocka_unit_test(a_datagram_that_ends_in_the_header_is_truncated),
		cmocka_unit_test(no_bytes_at_all_may_be_a_null_pointer),
		cmocka_unit_test(another_magic_number_is_no_header_however_long),
		cmocka_unit_test(the_magic_number_in_little_endian_is_no_header),
		cmocka_unit_test(a_header_of_the_proxy_protocol_is_not_one_of_spp),
		cmocka_unit_test(a_refused_datagram_leaves_the_header_alone),
		cmocka_unit_test(a_mapped_address_becomes_ipv4_without_stray_bytes),
		cmocka_unit_test(a_mapped_loopback_is_ipv4_too),
		cmocka_unit_test(an_address_one_bit_from_mapped_stays_ipv6),
		cmocka_unit_test(client_and_proxy_may_be_of_different_families),
		cmocka_unit_test(ports_0_and_65535_are_read),
		cmocka_unit_test(a_reply_s_header_is_the_one_that_was_read),
		cmocka_unit_test(a_reply_s_header_is_written_from_addresses_of_any_origin),
		cmocka_unit_test(whatever_stands_behind_the_magic_number_is_written_as_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
