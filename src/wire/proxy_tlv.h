/* SPDX-License-Identifier: MIT */
/*
 * The TLVs behind the address block of a v2 header: type u8, length u16 in network order, value.
 * Specification: section 2.2.1 to 2.2.9. Values are untrusted bytes.
 */
#ifndef MMPROXY_WIRE_PROXY_TLV_H
#define MMPROXY_WIRE_PROXY_TLV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROXY_TLV_CRC32C_LENGTH 4
#define PROXY_TLV_UNIQUE_ID_MAX 128 /* section 2.2.5 */

/* Section 2.2.6: inside the SSL TLV, a byte of flags and four of the verification's result. */
#define PROXY_TLV_SSL_FIXED_LENGTH 5

enum proxy_tlv_type {
	PROXY_TLV_ALPN = 0x01,
	PROXY_TLV_AUTHORITY = 0x02,
	PROXY_TLV_CRC32C = 0x03,
	PROXY_TLV_NOOP = 0x04,
	PROXY_TLV_UNIQUE_ID = 0x05,
	PROXY_TLV_SSL = 0x20,
	PROXY_TLV_NETNS = 0x30,
	/* Of whoever defined them, in the range for custom use. */
	PROXY_TLV_GOOGLE = 0xe0,
	PROXY_TLV_AWS = 0xea,
	PROXY_TLV_AZURE = 0xee,
};

struct proxy_tlv {
	uint8_t type;
	uint16_t length;
	const uint8_t *value; /* points into the bytes that are walked */
};

/*
 * Walks the TLVs: start with *offset = 0, call until it returns false. Never reads past `length`.
 * After the last call *offset == length when the walk ended in order; less when a TLV overran, and
 * that one and what follows it was not handed out.
 */
bool proxy_tlv_next(const uint8_t *tlvs, size_t length, size_t *offset, struct proxy_tlv *tlv);

/*
 * Finds the TLV of a type, the `index`th (from 0) of those there are. The types of section 2.2.6
 * that stand inside the SSL TLV (0x21 to 0x2f) are looked for there, in the first one of the
 * header.
 */
bool proxy_tlv_find(const uint8_t *tlvs, size_t length, unsigned type, unsigned index,
		    struct proxy_tlv *tlv);

#endif
