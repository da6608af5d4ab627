/* SPDX-License-Identifier: MIT */
/*
 * The walk through captured packets: each link layer, each header on the way, and every place where
 * the bytes may end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/packet.h"

#define ETHERNET(type) "\x02\0\0\0\0\1\x02\0\0\0\0\2" type
#define COOKED(type)   "\0\0\0\1\0\6\x02\0\0\0\0\1\0\0" type
#define COOKED_2(type) type "\0\0\0\0\0\1\0\1\0\6\x02\0\0\0\0\1\0\0"
#define TYPE4          "\x08\x00"
#define TYPE6          "\x86\xdd"
#define VLAN           "\x81\x00\x00\x07"

/* `total` is two bytes, as are `fragment`; 192.0.2.1 to 198.51.100.1. */
#define ADDRESSES4 "\xc0\x00\x02\x01\xc6\x33\x64\x01"
#define IPV4(total, fragment, protocol)                                                            \
	"\x45\0" total "\0\1" fragment "\x40" protocol "\0\0" ADDRESSES4
#define WHOLE   "\0\0"
#define TCP     "\x06"
#define UDP     "\x11"
#define ZEROS_8 "\0\0\0\0\0\0\0\0"
#define IPV6(length, next)                                                                         \
	"\x60\0\0\0" length next "\x40"                                                            \
	"\x20\x01\x0d\xb8\0\0\0\0" ZEROS_8 "\x20\x01\x0d\xb8\0\0\0\1" ZEROS_8

/* Ports 1000 and 443, sequence number 0x01020304. */
#define PORTS            "\x03\xe8\x01\xbb"
#define SEGMENT(flags)   PORTS "\1\2\3\4\0\0\0\0\x50" flags "\0\0\0\0\0\0"
#define DATAGRAM(length) PORTS length "\0\0"
#define TCP4_HELLO       IPV4("\0\x2d", WHOLE, TCP) SEGMENT("\x18") "hello"
#define UDP6_HELLO       IPV6("\0\x0d", UDP) DATAGRAM("\0\x0d") "hello"

/* Reads a copy whose memory ends where the bytes end. */
static enum packet_kind read_copy(enum packet_link link, const char *bytes, size_t length,
				  size_t sent, struct packet *packet, char *payload)
{
	uint8_t *copy = malloc(length > 0 ? length : 1);
	enum packet_kind kind;

	assert_non_null(copy);
	memcpy(copy, bytes, length);
	kind = packet_read(link, copy, length, sent, packet);
	if (kind == PACKET_TCP || kind == PACKET_UDP)
		memcpy(payload, packet->payload, packet->length);
	free(copy);
	return kind;
}

static struct packet expect(enum packet_link link, const char *bytes, size_t length,
			    enum packet_kind kind, const char *payload)
{
	struct packet packet;
	char found[2048];

	assert_int_equal(read_copy(link, bytes, length, length, &packet, found), kind);
	if (payload != NULL) {
		assert_int_equal(packet.length, strlen(payload));
		assert_memory_equal(found, payload, packet.length);
	}
	return packet;
}

/* The bytes are a literal. */
#define EXPECT(link, bytes, kind, payload)                                                         \
	expect(PACKET_LINK_##link, bytes, sizeof(bytes) - 1, kind, payload)

static void every_link_layer_leads_to_the_payload(void **state)
{
	(void)state;
	EXPECT(ETHERNET, ETHERNET(TYPE4) TCP4_HELLO, PACKET_TCP, "hello");
	EXPECT(ETHERNET, ETHERNET(TYPE6) UDP6_HELLO, PACKET_UDP, "hello");
	EXPECT(ETHERNET, ETHERNET(VLAN) TYPE4 TCP4_HELLO, PACKET_TCP, "hello");
	EXPECT(ETHERNET, ETHERNET("\x88\xa8\0\1") VLAN TYPE6 UDP6_HELLO, PACKET_UDP, "hello");
	EXPECT(COOKED, COOKED(TYPE4) TCP4_HELLO, PACKET_TCP, "hello");
	EXPECT(COOKED_2, COOKED_2(TYPE6) UDP6_HELLO, PACKET_UDP, "hello");
	EXPECT(IP, TCP4_HELLO, PACKET_TCP, "hello");
	EXPECT(IP, UDP6_HELLO, PACKET_UDP, "hello");
	EXPECT(LOOPBACK, "\2\0\0\0" TCP4_HELLO, PACKET_TCP, "hello");
	EXPECT(LOOPBACK, "\0\0\0\x1e" UDP6_HELLO, PACKET_UDP, "hello");
	EXPECT(LOOPBACK, "\0\0\0\x07" UDP6_HELLO, PACKET_OTHER, NULL);
	EXPECT(ETHERNET, ETHERNET("\x08\x06") TCP4_HELLO, PACKET_OTHER, NULL);
}

static void ends_and_numbers_are_read(void **state)
{
	struct packet packet = EXPECT(IP, TCP4_HELLO, PACKET_TCP, "hello");
	char text[ADDRESS_TEXT_SIZE];

	(void)state;
	assert_string_equal(address_format(&packet.source, text), "192.0.2.1:1000");
	assert_string_equal(address_format(&packet.destination, text), "198.51.100.1:443");
	assert_int_equal(packet.sequence, 0x01020304);
	assert_false(packet.syn);
	assert_true(packet.ack);
	packet = EXPECT(IP, UDP6_HELLO, PACKET_UDP, "hello");
	assert_string_equal(address_format(&packet.source, text), "[2001:db8::]:1000");
	assert_string_equal(address_format(&packet.destination, text), "[2001:db8:0:1::]:443");
	/* The SYN itself has a number. */
	packet =
		EXPECT(IP, IPV4("\0\x2d", WHOLE, TCP) SEGMENT("\x02") "hello", PACKET_TCP, "hello");
	assert_true(packet.syn);
	assert_false(packet.ack);
	assert_int_equal(packet.sequence, 0x01020305);
}

static void options_and_extension_headers_are_passed_over(void **state)
{
	(void)state;
	EXPECT(IP, "\x46\0\0\x31\0\1\0\0\x40\6\0\0" ADDRESSES4 "\1\1\1\0" SEGMENT("\x18") "hello",
	       PACKET_TCP, "hello");
	EXPECT(IP,
	       IPV4("\0\x31", WHOLE, TCP) PORTS "\1\2\3\4\0\0\0\0\x60\x18\0\0\0\0\0\0\1\1\1\0hello",
	       PACKET_TCP, "hello");
	EXPECT(IP,
	       IPV6("\0\x25", "\0") "\x2b\0\1\4\0\0\0\0"
				    "\x3c\0\0\0\0\0\0\0"
				    "\x11\0\1\4\0\0\0\0" DATAGRAM("\0\x0d") "hello",
	       PACKET_UDP, "hello");
	EXPECT(IP,
	       IPV6("\0\x1d", "\x3c") "\x11\1\1\x0c" ZEROS_8 "\0\0\0\0" DATAGRAM("\0\x0d") "hello",
	       PACKET_UDP, "hello");
}

static void fragments_are_told_apart(void **state)
{
	(void)state;
	EXPECT(IP, IPV4("\0\x2d", "\x20\0", TCP) SEGMENT("\x18") "hello", PACKET_FRAGMENT, NULL);
	EXPECT(IP, IPV4("\0\x2d", "\0\1", UDP) SEGMENT("\x18") "hello", PACKET_FRAGMENT, NULL);
	/* "Do not fragment" is none. */
	EXPECT(IP, IPV4("\0\x2d", "\x40\0", TCP) SEGMENT("\x18") "hello", PACKET_TCP, "hello");
	EXPECT(IP, IPV6("\0\x15", "\x2c") "\x11\0\0\1\0\0\0\1" DATAGRAM("\0\x0d") "hello",
	       PACKET_FRAGMENT, NULL);
	EXPECT(IP, IPV6("\0\x15", "\x2c") "\x11\0\0\x08\0\0\0\1" DATAGRAM("\0\x0d") "hello",
	       PACKET_FRAGMENT, NULL);
	/* Nor is the fragment that is the whole packet. */
	EXPECT(IP, IPV6("\0\x15", "\x2c") "\x11\0\0\0\0\0\0\1" DATAGRAM("\0\x0d") "hello",
	       PACKET_UDP, "hello");
}

static void padding_is_no_payload(void **state)
{
	(void)state;
	EXPECT(ETHERNET, ETHERNET(TYPE4) TCP4_HELLO "\0\0\0", PACKET_TCP, "hello");
	EXPECT(ETHERNET, ETHERNET(TYPE6) UDP6_HELLO "\0\0\0", PACKET_UDP, "hello");
	EXPECT(ETHERNET, ETHERNET(TYPE4) IPV4("\0\x1c", WHOLE, UDP) DATAGRAM("\0\x08") "pad",
	       PACKET_UDP, "");
}

static void lengths_that_cannot_be_are_broken(void **state)
{
	(void)state;
	/* IPv4: header of 16 bytes, total of 19; TCP: offset of 16 bytes, beyond the packet. */
	EXPECT(IP, "\x44\0\0\x2d\0\1\0\0\x40\6\0\0" ADDRESSES4 SEGMENT("\x18"), PACKET_BROKEN,
	       NULL);
	EXPECT(IP, IPV4("\0\x13", WHOLE, TCP) SEGMENT("\x18"), PACKET_BROKEN, NULL);
	EXPECT(IP, IPV4("\0\x28", WHOLE, TCP) PORTS "\1\2\3\4\0\0\0\0\x40\x18\0\0\0\0\0\0",
	       PACKET_BROKEN, NULL);
	EXPECT(IP, IPV4("\0\x28", WHOLE, TCP) PORTS "\1\2\3\4\0\0\0\0\xf0\x18\0\0\0\0\0\0",
	       PACKET_BROKEN, NULL);
	/* UDP: less than its header, more than IP has. */
	EXPECT(IP, IPV6("\0\x0d", UDP) DATAGRAM("\0\x07") "hello", PACKET_BROKEN, NULL);
	EXPECT(IP, IPV6("\0\x0d", UDP) DATAGRAM("\0\x0e") "hello", PACKET_BROKEN, NULL);
	/* The link layer says IPv4, the packet does not. */
	EXPECT(ETHERNET, ETHERNET(TYPE4) UDP6_HELLO, PACKET_BROKEN, NULL);
	EXPECT(ETHERNET, ETHERNET(TYPE6) TCP4_HELLO "more than forty bytes", PACKET_BROKEN, NULL);
}

/* A card was to cut it up, and IP's length has not been filled in. */
static void a_length_of_zero_is_all_there_is(void **state)
{
	(void)state;
	EXPECT(IP, IPV4("\0\0", WHOLE, TCP) SEGMENT("\x18") "hello", PACKET_TCP, "hello");
	EXPECT(IP, IPV6("\0\0", UDP) DATAGRAM("\0\0") "hello", PACKET_UDP, "hello");
}

static void what_was_not_captured_is_counted(void **state)
{
	static const char tcp[] = ETHERNET(TYPE4) TCP4_HELLO, udp[] = ETHERNET(TYPE6) UDP6_HELLO;
	const size_t tcp_length = sizeof(tcp) - 1, udp_length = sizeof(udp) - 1;
	struct packet packet;
	char payload[16];

	(void)state;
	for (size_t cut = 0; cut <= tcp_length; cut++) {
		enum packet_kind kind = read_copy(PACKET_LINK_ETHERNET, tcp, tcp_length - cut,
						  tcp_length, &packet, payload);

		assert_int_equal(kind, cut <= 5 ? PACKET_TCP : PACKET_BROKEN);
		if (cut <= 5)
			assert_int_equal(packet.length + packet.missing, 5);
		if (cut <= 5)
			assert_int_equal(packet.missing, cut);
	}
	for (size_t cut = 0; cut <= udp_length; cut++) {
		enum packet_kind kind = read_copy(PACKET_LINK_ETHERNET, udp, udp_length - cut,
						  udp_length, &packet, payload);

		assert_int_equal(kind, cut <= 5 ? PACKET_UDP : PACKET_BROKEN);
		if (cut <= 5)
			assert_int_equal(packet.missing, cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_link_layer_leads_to_the_payload),
		cmocka_unit_test(ends_and_numbers_are_read),
		cmocka_unit_test(options_and_extension_headers_are_passed_over),
		cmocka_unit_test(fragments_are_told_apart),
		cmocka_unit_test(padding_is_no_payload),
		cmocka_unit_test(lengths_that_cannot_be_are_broken),
		cmocka_unit_test(a_length_of_zero_is_all_there_is),
		cmocka_unit_test(what_was_not_captured_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
