/* SPDX-License-Identifier: MIT */
/*
 * PROXY protocol headers, version 1 (text) and 2 (binary): bytes in, struct out.
 *
 * Specification: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, sections 2.1 and 2.2.
 * Pure: no I/O, no clock, no allocation, no state between calls.
 */
#ifndef MMPROXY_WIRE_PROXY_HEADER_H
#define MMPROXY_WIRE_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/close_reason.h"

#define PROXY_V1_MAX_LENGTH   107          /* section 2.1: the longest line, CR LF included */
#define PROXY_V2_FIXED_LENGTH 16           /* signature, version and command, family, length */
#define PROXY_V2_MAX_LENGTH   (16 + 65535) /* what the 16-bit length can say */

enum proxy_parse {
	PROXY_PARSE_OK,   /* a whole header stands at the start of the bytes */
	PROXY_PARSE_MORE, /* so far the start of one */
	PROXY_PARSE_BAD,  /* never a header, whatever may follow */
};

enum proxy_transport {
	PROXY_TRANSPORT_STREAM,
	PROXY_TRANSPORT_DATAGRAM,
};

/* What stood in front of the payload; the last is Cloudflare's header, which has no version. */
enum proxy_version {
	PROXY_VERSION_1 = 1,
	PROXY_VERSION_2 = 2,
	PROXY_VERSION_SPP = 3, /* from spp_parse(), never from proxy_header_parse() */
};

struct proxy_header {
	uint8_t version; /* enum proxy_version */
	/*
	 * LOCAL, UNKNOWN or AF_UNSPEC: the header names no client, the connection's own endpoints
	 * hold. source, destination and the TLVs are empty then.
	 */
	bool local;
	struct address source;      /* the client */
	struct address destination; /* what the client asked for */
	size_t length;              /* bytes the header takes; payload follows */
	const uint8_t *tlvs;        /* points into the caller's bytes; walk with proxy_tlv_next() */
	size_t tlvs_length;
};

/*
 * Looks for a header at the start of `bytes`. May be called again with more bytes after MORE; the
 * verdict on a header does not depend on how it was cut into calls.
 *
 * max_length: the longest v2 header taken, in bytes, the fixed part included.
 * transport: what the listener speaks; a v1 line is a stream header.
 *
 * OK fills `header`. BAD fills `reason`. An IPv4-mapped address is handed out as IPv4.
 */
enum proxy_parse proxy_header_parse(const uint8_t *bytes, size_t length, size_t max_length,
				    enum proxy_transport transport, struct proxy_header *header,
				    enum close_reason *reason);

/* Does a v2 signature stand at the start of the bytes, whatever may follow? */
bool proxy_v2_begins(const uint8_t *bytes, size_t length);

/*
 * The checksum that a whole v2 header of `length` bytes should hold in the four at `offset`,
 * section 2.2.3: over all of it, with these four taken as zero.
 */
uint32_t proxy_v2_crc32c(const uint8_t *bytes, size_t length, size_t offset);

/* Do the four bytes at `offset` of such a header hold that checksum? */
bool proxy_v2_crc32c_holds(const uint8_t *bytes, size_t length, size_t offset);

#endif
