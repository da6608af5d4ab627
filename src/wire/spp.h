/* SPDX-License-Identifier: MIT */
/*
 * Cloudflare's Simple Proxy Protocol: 38 bytes in front of each datagram that a UDP proxy forwards,
 * and in front of each reply that it is to take back to the client.
 *
 * Specification: https://developers.cloudflare.com/spectrum/reference/simple-proxy-protocol-header/
 * Pure, as proxy_header.h is.
 */
#ifndef MMPROXY_WIRE_SPP_H
#define MMPROXY_WIRE_SPP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/close_reason.h"
#include "wire/proxy_header.h"

#define SPP_LENGTH 38

/*
 * Looks for a header at the start of a datagram of `length` bytes; the payload follows behind
 * SPP_LENGTH, and may be empty.
 *
 * Returns true with `header` filled: never local, never with TLVs. source is the client,
 * destination the address of the proxy that the client spoke to. An IPv4-mapped address is handed
 * out as IPv4, each of the two on its own.
 * Returns false with *reason: CLOSE_HEADER_MISSING, the magic number is another;
 * CLOSE_HEADER_TRUNCATED, the datagram ends in the header, or is empty. `header` is left alone.
 */
bool spp_parse(const uint8_t *bytes, size_t length, struct proxy_header *header,
	       enum close_reason *reason);

/*
 * Writes the header of a reply. Given the source and the destination that spp_parse() handed out,
 * that is byte for byte the header that it read. Neither may be ADDRESS_NONE.
 */
void spp_write(uint8_t bytes[static SPP_LENGTH], const struct address *client,
	       const struct address *proxy);

#endif
