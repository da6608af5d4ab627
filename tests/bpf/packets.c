/* SPDX-License-Identifier: MIT */
#include "packets.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ETHERNET 14
#define IPV4     20
#define IPV6     40
#define TCP      20

#define PROTOCOL_ICMP   1
#define PROTOCOL_TCP    6
#define PROTOCOL_ICMPV6 58

static void read_address(const char *text, uint32_t ip[static 4])
{
	struct in_addr ipv4;

	memset(ip, 0, 16);
	if (inet_pton(AF_INET6, text, ip) == 1)
		return;
	assert_int_equal(inet_pton(AF_INET, text, &ipv4), 1);
	ip[2] = htonl(0xffff);
	ip[3] = ipv4.s_addr;
}

struct offload_tuple tuple_of(const char *source, uint16_t source_port, const char *destination,
			      uint16_t destination_port)
{
	struct offload_tuple tuple = {.source_port = htons(source_port),
				      .destination_port = htons(destination_port)};

	read_address(source, tuple.source);
	read_address(destination, tuple.destination);
	return tuple;
}

struct offload_tuple tuple_turned(const struct offload_tuple *tuple)
{
	struct offload_tuple turned = {.source_port = tuple->destination_port,
				       .destination_port = tuple->source_port};

	memcpy(turned.source, tuple->destination, sizeof(turned.source));
	memcpy(turned.destination, tuple->source, sizeof(turned.destination));
	return turned;
}

bool tuple_is_ipv6(const struct offload_tuple *tuple)
{
	return tuple->source[0] != 0 || tuple->source[1] != 0 || tuple->source[2] != htonl(0xffff);
}

void options_add(struct options *options, const void *bytes, size_t length)
{
	assert_true(options->length + length <= sizeof(options->bytes));
	memcpy(options->bytes + options->length, bytes, length);
	options->length += length;
}

void options_add_word(struct options *options, uint32_t word)
{
	uint32_t bytes = htonl(word);

	options_add(options, &bytes, sizeof(bytes));
}

void options_add_timestamps(struct options *options, uint32_t value, uint32_t echo)
{
	options_add_word(options, 0x0101080a);
	options_add_word(options, value);
	options_add_word(options, echo);
}

void options_add_sack(struct options *options, const uint32_t *edges, unsigned blocks)
{
	options_add_word(options, 0x01010500 | (2 + 8 * blocks));
	for (unsigned i = 0; i < 2 * blocks; i++)
		options_add_word(options, edges[i]);
}

uint16_t packet_get16(const struct packet *packet, size_t offset)
{
	return (uint16_t)(packet->bytes[offset] << 8 | packet->bytes[offset + 1]);
}

void packet_set16(struct packet *packet, size_t offset, uint16_t value)
{
	packet->bytes[offset] = (uint8_t)(value >> 8);
	packet->bytes[offset + 1] = (uint8_t)value;
}

uint32_t packet_get32(const struct packet *packet, size_t offset)
{
	return (uint32_t)packet_get16(packet, offset) << 16 | packet_get16(packet, offset + 2);
}

void packet_set32(struct packet *packet, size_t offset, uint32_t value)
{
	packet_set16(packet, offset, (uint16_t)(value >> 16));
	packet_set16(packet, offset + 2, (uint16_t)value);
}

static void append(struct packet *packet, const void *bytes, size_t length)
{
	assert_true(packet->length + length <= sizeof(packet->bytes));
	memcpy(packet->bytes + packet->length, bytes, length);
	packet->length += length;
}

static void append_zeros(struct packet *packet, size_t length)
{
	assert_true(packet->length + length <= sizeof(packet->bytes));
	memset(packet->bytes + packet->length, 0, length);
	packet->length += length;
}

uint16_t packet_sum(const struct packet *packet, size_t offset, size_t length, uint32_t sum)
{
	for (size_t i = 0; i < length; i++) {
		uint32_t byte = offset + i < packet->length ? packet->bytes[offset + i] : 0;

		sum += i % 2 == 0 ? byte << 8 : byte;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

static bool is_ipv6(const struct packet *packet)
{
	return packet_get16(packet, 12) == 0x86dd;
}

uint16_t packet_pseudo_sum(const struct packet *packet, uint8_t protocol, size_t length)
{
	size_t addresses = is_ipv6(packet) ? ETHERNET + 8 : ETHERNET + 12;
	uint32_t sum = protocol + (uint32_t)(length >> 16) + (uint32_t)(length & 0xffff);

	return packet_sum(packet, addresses, is_ipv6(packet) ? 32 : 8,
			  (sum & 0xffff) + (sum >> 16));
}

size_t packet_transport(const struct packet *packet)
{
	if (!is_ipv6(packet))
		return ETHERNET + (packet->bytes[ETHERNET] & 15) * 4;
	/* Options that say how long it is are all that is expected between. */
	return ETHERNET + IPV6 + (packet->bytes[ETHERNET + 6] == 0 ? 8 : 0);
}

/* Without what may be behind it. */
static size_t end_of_ip(const struct packet *packet)
{
	size_t length = is_ipv6(packet) ? packet_get16(packet, ETHERNET + 4)
					: packet_get16(packet, ETHERNET + 2);

	if (length == 0)
		return packet->length;
	return ETHERNET + length + (is_ipv6(packet) ? IPV6 : 0);
}

static uint8_t protocol_of(const struct packet *packet)
{
	if (!is_ipv6(packet))
		return packet->bytes[ETHERNET + 9];
	return packet->bytes[ETHERNET + 6] == 0 ? packet->bytes[ETHERNET + IPV6]
						: packet->bytes[ETHERNET + 6];
}

static void build_ipv4(struct packet *packet, const struct segment_spec *spec, size_t transport)
{
	size_t header = IPV4 + spec->ip_options.length;

	packet_set16(packet, 12, 0x0800);
	append_zeros(packet, IPV4);
	append(packet, spec->ip_options.bytes, spec->ip_options.length);
	packet->bytes[ETHERNET] = (uint8_t)(0x40 | header / 4);
	packet->bytes[ETHERNET + 1] = 0xb9; /* DSCP and ECN, to be left alone */
	packet_set16(packet, ETHERNET + 2, (uint16_t)(header + transport));
	packet_set16(packet, ETHERNET + 4, 0x1234);
	packet_set16(packet, ETHERNET + 6, 0x4000);
	packet->bytes[ETHERNET + 8] = 57;
	packet->bytes[ETHERNET + 9] = PROTOCOL_TCP;
	memcpy(packet->bytes + ETHERNET + 12, &spec->tuple.source[3], 4);
	memcpy(packet->bytes + ETHERNET + 16, &spec->tuple.destination[3], 4);
	packet_set16(packet, ETHERNET + 10, (uint16_t)~packet_sum(packet, ETHERNET, header, 0));
}

static void build_ipv6(struct packet *packet, const struct segment_spec *spec, size_t transport)
{
	packet_set16(packet, 12, 0x86dd);
	append_zeros(packet, IPV6);
	packet_set32(packet, ETHERNET, 0x6ba54321);
	packet_set16(packet, ETHERNET + 4, (uint16_t)transport);
	packet->bytes[ETHERNET + 6] = PROTOCOL_TCP;
	packet->bytes[ETHERNET + 7] = 57;
	memcpy(packet->bytes + ETHERNET + 8, spec->tuple.source, 16);
	memcpy(packet->bytes + ETHERNET + 24, spec->tuple.destination, 16);
}

static void build_tcp(struct packet *packet, const struct segment_spec *spec)
{
	size_t start = packet->length, length = TCP + spec->options.length;

	assert_int_equal(spec->options.length % 4, 0);
	append_zeros(packet, TCP);
	append(packet, spec->options.bytes, spec->options.length);
	memcpy(packet->bytes + start, &spec->tuple.source_port, 2);
	memcpy(packet->bytes + start + 2, &spec->tuple.destination_port, 2);
	packet_set32(packet, start + 4, spec->sequence);
	packet_set32(packet, start + 8, spec->acknowledgement);
	packet->bytes[start + 12] = (uint8_t)(length / 4 << 4);
	packet->bytes[start + 13] = spec->flags;
	packet_set16(packet, start + 14, spec->window);
	packet_set16(packet, start + 18, spec->urgent);
	for (size_t i = 0; i < spec->payload; i++) {
		uint8_t byte = (uint8_t)(spec->seed + i * 167);

		append(packet, &byte, 1);
	}
	length += spec->payload;
	packet_set16(packet, start + 16,
		     (uint16_t)~packet_sum(packet, start, length,
					   packet_pseudo_sum(packet, PROTOCOL_TCP, length)));
}

void packet_build(struct packet *packet, const struct segment_spec *spec)
{
	size_t transport = TCP + spec->options.length + spec->payload;

	memset(packet, 0, sizeof(*packet));
	packet->length = ETHERNET;
	packet->bytes[6] = 2; /* a sender's address that a unit of Ethernet can have */
	if (tuple_is_ipv6(&spec->tuple))
		build_ipv6(packet, spec, transport);
	else
		build_ipv4(packet, spec, transport);
	build_tcp(packet, spec);
	for (size_t i = 0; i < spec->padding; i++)
		append(packet, "\xa5", 1);
}

bool packet_checksums_valid(const struct packet *packet)
{
	size_t start = packet_transport(packet), length = end_of_ip(packet) - start;
	uint8_t protocol = protocol_of(packet);
	uint32_t pseudo =
		protocol == PROTOCOL_ICMP ? 0 : packet_pseudo_sum(packet, protocol, length);

	if (!is_ipv6(packet) && packet_sum(packet, ETHERNET, start - ETHERNET, 0) != 0xffff)
		return false;
	return packet_sum(packet, start, length, pseudo) == 0xffff;
}

/* Without the checksums, which have two ways to write zero. */
static void strip_checksums(struct packet *packet)
{
	size_t start = packet_transport(packet);

	if (!is_ipv6(packet))
		packet_set16(packet, ETHERNET + 10, 0);
	packet_set16(packet, start + (protocol_of(packet) == PROTOCOL_TCP ? 16 : 2), 0);
}

static void print_packet(const char *name, const struct packet *packet)
{
	fprintf(stderr, "%s, %zu bytes:", name, packet->length);
	for (size_t i = 0; i < packet->length && i < 160; i++)
		fprintf(stderr, "%s%02x", i % 16 == 0 ? "\n  " : " ", packet->bytes[i]);
	fputc('\n', stderr);
}

void packet_assert_equal(const struct packet *found, const struct packet *expected)
{
	static struct packet one, other;

	one = *found;
	other = *expected;
	if (!packet_checksums_valid(found)) {
		print_packet("a checksum is wrong", found);
		fail();
	}
	strip_checksums(&one);
	strip_checksums(&other);
	if (one.length == other.length && memcmp(one.bytes, other.bytes, one.length) == 0)
		return;
	print_packet("found", found);
	print_packet("expected", expected);
	fail();
}
