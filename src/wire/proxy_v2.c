/* SPDX-License-Identifier: MIT */
/*
 * PROXY v2, the binary header: specification section 2.2.
 *
 * Each byte of the fixed part is judged as soon as it is there and in its order, so that a prefix
 * is refused for the same reason as the whole.
 */
#include <string.h>

#include "wire/crc32c.h"
#include "wire/proxy_tlv.h"
#include "wire/proxy_version.h"

static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
				      0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

enum { OFFSET_COMMAND = 12, OFFSET_FAMILY = 13, OFFSET_LENGTH = 14 };
enum { COMMAND_LOCAL = 0, COMMAND_PROXY = 1 };
enum { FAMILY_UNSPEC = 0, FAMILY_INET = 1, FAMILY_INET6 = 2, FAMILY_UNIX = 3 };
enum { TRANSPORT_UNSPEC = 0, TRANSPORT_STREAM = 1, TRANSPORT_DGRAM = 2 };

/* Source and destination address, source and destination port. */
#define BLOCK_INET_LENGTH  12
#define BLOCK_INET6_LENGTH 36

static uint16_t read_u16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static uint32_t read_u32(const uint8_t *bytes)
{
	return (uint32_t)read_u16(bytes) << 16 | read_u16(bytes + 2);
}

/* Byte 14 of a PROXY command. OK with *block_length 0 means AF_UNSPEC: no addresses. */
static enum proxy_parse judge_family(uint8_t byte, enum proxy_transport expected,
				     size_t *block_length, enum close_reason *reason)
{
	unsigned family = byte >> 4, transport = byte & 0x0f;

	switch (family) {
	case FAMILY_UNSPEC:
		*block_length = 0;
		break;
	case FAMILY_INET:
		*block_length = BLOCK_INET_LENGTH;
		break;
	case FAMILY_INET6:
		*block_length = BLOCK_INET6_LENGTH;
		break;
	case FAMILY_UNIX:
		return proxy_bad(reason, CLOSE_V2_UNIX);
	default:
		return proxy_bad(reason, CLOSE_V2_FAMILY);
	}
	if (transport > TRANSPORT_DGRAM)
		return proxy_bad(reason, CLOSE_V2_TRANSPORT);
	if (family != FAMILY_UNSPEC &&
	    transport != (expected == PROXY_TRANSPORT_STREAM ? TRANSPORT_STREAM : TRANSPORT_DGRAM))
		return proxy_bad(reason, CLOSE_TRANSPORT_MISMATCH);
	return PROXY_PARSE_OK;
}

static void read_addresses(const uint8_t *block, size_t block_length, struct proxy_header *header)
{
	if (block_length == BLOCK_INET_LENGTH) {
		header->source = address_from_ipv4(block, read_u16(block + 8));
		header->destination = address_from_ipv4(block + 4, read_u16(block + 10));
	} else {
		header->source = address_from_ipv6(block, read_u16(block + 32));
		header->destination = address_from_ipv6(block + 16, read_u16(block + 34));
	}
}

uint32_t proxy_v2_crc32c(const uint8_t *bytes, size_t length, size_t offset)
{
	static const uint8_t zeroes[PROXY_TLV_CRC32C_LENGTH];
	const size_t behind = offset + PROXY_TLV_CRC32C_LENGTH;
	uint32_t crc = crc32c(0, bytes, offset);

	crc = crc32c(crc, zeroes, sizeof(zeroes));
	return crc32c(crc, bytes + behind, length - behind);
}

bool proxy_v2_crc32c_holds(const uint8_t *bytes, size_t length, size_t offset)
{
	return read_u32(bytes + offset) == proxy_v2_crc32c(bytes, length, offset);
}

/* Each on its own: a second one takes the first as it stands, so hardly ever do both hold. */
static bool checksums_hold(const uint8_t *bytes, const struct proxy_header *header)
{
	struct proxy_tlv tlv;
	size_t offset = 0;

	while (proxy_tlv_next(header->tlvs, header->tlvs_length, &offset, &tlv)) {
		if (tlv.type == PROXY_TLV_CRC32C &&
		    !proxy_v2_crc32c_holds(bytes, header->length, (size_t)(tlv.value - bytes)))
			return false;
	}
	return true;
}

static enum proxy_parse judge_tlvs(const uint8_t *bytes, const struct proxy_header *header,
				   enum close_reason *reason)
{
	bool has_checksum = false;
	struct proxy_tlv tlv;
	size_t offset = 0;

	while (proxy_tlv_next(header->tlvs, header->tlvs_length, &offset, &tlv)) {
		if ((tlv.type == PROXY_TLV_CRC32C && tlv.length != PROXY_TLV_CRC32C_LENGTH) ||
		    (tlv.type == PROXY_TLV_UNIQUE_ID && tlv.length > PROXY_TLV_UNIQUE_ID_MAX))
			return proxy_bad(reason, CLOSE_V2_TLV);
		has_checksum |= tlv.type == PROXY_TLV_CRC32C;
	}
	if (offset != header->tlvs_length)
		return proxy_bad(reason, CLOSE_V2_TLV);
	if (has_checksum && !checksums_hold(bytes, header))
		return proxy_bad(reason, CLOSE_V2_CRC32C);
	return PROXY_PARSE_OK;
}

bool proxy_v2_begins(const uint8_t *bytes, size_t length)
{
	return length >= sizeof(signature) && memcmp(bytes, signature, sizeof(signature)) == 0;
}

enum proxy_parse proxy_v2_parse(const uint8_t *bytes, size_t length, size_t max_length,
				enum proxy_transport transport, struct proxy_header *header,
				enum close_reason *reason)
{
	size_t start = length < sizeof(signature) ? length : sizeof(signature);
	size_t block_length = 0, total;
	bool local;

	if (memcmp(bytes, signature, start) != 0)
		return proxy_bad(reason, CLOSE_HEADER_MISSING);
	if (length <= OFFSET_COMMAND)
		return PROXY_PARSE_MORE;
	if (bytes[OFFSET_COMMAND] >> 4 != 2)
		return proxy_bad(reason, CLOSE_V2_VERSION);
	if ((bytes[OFFSET_COMMAND] & 0x0f) > COMMAND_PROXY)
		return proxy_bad(reason, CLOSE_V2_COMMAND);
	local = (bytes[OFFSET_COMMAND] & 0x0f) == COMMAND_LOCAL;

	if (length <= OFFSET_FAMILY)
		return PROXY_PARSE_MORE;
	/* LOCAL: section 2.2 says to take no notice of the family, and real senders rely on it. */
	if (!local &&
	    judge_family(bytes[OFFSET_FAMILY], transport, &block_length, reason) != PROXY_PARSE_OK)
		return PROXY_PARSE_BAD;

	if (length < PROXY_V2_FIXED_LENGTH)
		return PROXY_PARSE_MORE;
	total = PROXY_V2_FIXED_LENGTH + (size_t)read_u16(bytes + OFFSET_LENGTH);
	if (total > max_length)
		return proxy_bad(reason, CLOSE_HEADER_TOO_LONG);
	if (total < PROXY_V2_FIXED_LENGTH + block_length)
		return proxy_bad(reason, CLOSE_V2_LENGTH);
	if (length < total)
		return PROXY_PARSE_MORE;

	header->version = PROXY_VERSION_2;
	header->length = total;
	header->local = block_length == 0;
	if (header->local)
		return PROXY_PARSE_OK;
	read_addresses(bytes + PROXY_V2_FIXED_LENGTH, block_length, header);
	header->tlvs = bytes + PROXY_V2_FIXED_LENGTH + block_length;
	header->tlvs_length = total - PROXY_V2_FIXED_LENGTH - block_length;
	return judge_tlvs(bytes, header, reason);
}
