/* SPDX-License-Identifier: MIT */
/*
 * Headers in front of datagrams, as a balancer writes them.
 *
 * PROXY v2: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, section 2.2.
 * Simple Proxy Protocol (SPP):
 * https://developers.cloudflare.com/spectrum/reference/simple-proxy-protocol-header/
 *
 * Written apart from what the program reads them with, so that one mistake is not made twice.
 * Pure: no I/O, no allocation.
 */
#ifndef MMPROXY_BENCH_UDP_FRAMING_H
#define MMPROXY_BENCH_UDP_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

#define SPP_HEADER_LENGTH  38
#define FRAMING_HEADER_MAX 52 /* PROXY v2 with IPv6 addresses */

enum framing {
	FRAMING_NONE,  /* bare */
	FRAMING_EVERY, /* PROXY v2 in front of every datagram, replies bare */
	FRAMING_FIRST, /* PROXY v2 in front of a client's first datagram, replies bare */
	FRAMING_SPP,   /* SPP in front of every datagram and of every reply */
};

bool framing_parse(const char *text, enum framing *framing);

/*
 * Writes the header of a datagram from `client` to `destination`, which are of one family, and
 * returns its length: 0 for FRAMING_NONE.
 */
size_t framing_write(enum framing framing, const struct address *client,
		     const struct address *destination, uint8_t header[static FRAMING_HEADER_MAX]);

/* Reads the SPP header in front of a reply; false when there is none. */
bool spp_read(const uint8_t *bytes, size_t length, struct address *client,
	      struct address *destination);

#endif
