/* SPDX-License-Identifier: MIT */
/*
 * A captured packet: from the header of its link layer to what TCP or UDP carries. Follows VLAN
 * tags, IPv4 with options, IPv6 with the extension headers that hosts send. Fragments are told
 * apart, not put together; checksums are not looked at, because hosts capture packets before their
 * card fills them in.
 *
 * Specifications: RFC 791, RFC 8200, RFC 9293, RFC 768; of the link layers,
 * https://www.tcpdump.org/linktypes.html. Pure; every length in the bytes is taken for a claim.
 */
#ifndef MMPROXY_WIRE_PACKET_H
#define MMPROXY_WIRE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

enum packet_link {
	PACKET_LINK_ETHERNET,
	PACKET_LINK_IP,       /* none: the packet begins with IP */
	PACKET_LINK_LOOPBACK, /* BSD's: four bytes of address family, in either byte order */
	PACKET_LINK_COOKED,   /* Linux, all interfaces: 16 bytes */
	PACKET_LINK_COOKED_2, /* the same, version 2: 20 bytes */
};

enum packet_kind {
	PACKET_TCP,
	PACKET_UDP,
	PACKET_FRAGMENT, /* of an IP packet: no part of it is handed out */
	PACKET_OTHER,    /* neither TCP nor UDP, or not IP */
	PACKET_BROKEN,   /* ends before the payload begins, or its lengths cannot be */
};

struct packet {
	struct address source, destination;
	const uint8_t *payload; /* in the caller's bytes */
	size_t length;          /* of it, as far as it was captured */
	size_t missing;         /* bytes of payload that were sent and are not in the capture */
	/* TCP: */
	uint32_t sequence; /* of the payload's first byte */
	bool syn, ack;
};

/*
 * Fills `packet` for PACKET_TCP and PACKET_UDP. Of the `sent` bytes that the packet had, `captured`
 * are there.
 */
enum packet_kind packet_read(enum packet_link link, const uint8_t *bytes, size_t captured,
			     size_t sent, struct packet *packet);

#endif
