/* SPDX-License-Identifier: MIT */
/*
 * Packets to feed to the kernel's programs, and what is expected of those that come out. Numbers
 * are in this host's order, addresses and ports as a tuple has them.
 */
#ifndef MMPROXY_TESTS_PACKETS_H
#define MMPROXY_TESTS_PACKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "offload/layout.h"

#define PACKET_MAX 8192

/* TCP's flags, as in its header's fourteenth byte. */
#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10
#define URG 0x20
#define ECE 0x40
#define CWR 0x80

struct options {
	size_t length; /* in bytes; a header has those that are a multiple of 4 */
	uint8_t bytes[40];
};

struct segment_spec {
	struct offload_tuple tuple;
	uint32_t sequence, acknowledgement;
	uint8_t flags;
	uint16_t window, urgent;
	struct options options;
	struct options ip_options; /* of IPv4 */
	size_t payload;            /* bytes, made from `seed` */
	uint8_t seed;
	size_t padding; /* bytes behind the IP packet */
};

struct packet {
	size_t length;
	uint8_t bytes[PACKET_MAX];
};

/* An IPv4 tuple where both are IPv4. The addresses are texts. */
struct offload_tuple tuple_of(const char *source, uint16_t source_port, const char *destination,
			      uint16_t destination_port);
struct offload_tuple tuple_turned(const struct offload_tuple *tuple);
bool tuple_is_ipv6(const struct offload_tuple *tuple);

void options_add(struct options *options, const void *bytes, size_t length);
void options_add_word(struct options *options, uint32_t word);
void options_add_timestamps(struct options *options, uint32_t value, uint32_t echo);
/* `edges` are those of `blocks` blocks, two each. */
void options_add_sack(struct options *options, const uint32_t *edges, unsigned blocks);

/* With checksums that are right. */
void packet_build(struct packet *packet, const struct segment_spec *spec);

/* Where the parts are. */
size_t packet_transport(const struct packet *packet);

/* Big-endian fields. */
uint16_t packet_get16(const struct packet *packet, size_t offset);
void packet_set16(struct packet *packet, size_t offset, uint16_t value);
uint32_t packet_get32(const struct packet *packet, size_t offset);
void packet_set32(struct packet *packet, size_t offset, uint32_t value);

/*
 * The sum of `length` bytes at `offset`, of which what is not there counts as zero, on top of
 * another; folded, and complemented by the caller where it is a checksum.
 */
uint16_t packet_sum(const struct packet *packet, size_t offset, size_t length, uint32_t sum);
/* What stands for the addresses in a checksum of `protocol` over `length` bytes. */
uint16_t packet_pseudo_sum(const struct packet *packet, uint8_t protocol, size_t length);

/* The IP header's and the one above, TCP or ICMP: computed anew over all. */
bool packet_checksums_valid(const struct packet *packet);

/* The test fails, with both in hexadecimal, unless they are equal but for valid checksums. */
void packet_assert_equal(const struct packet *found, const struct packet *expected);

#endif
