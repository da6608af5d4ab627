/* SPDX-License-Identifier: MIT */
/* A v2 header's fields, one by one, none of them judged: specification section 2.2. */
#include "wire/proxy_fields.h"

#include "wire/proxy_header.h"
#include "wire/proxy_tlv.h"

enum { OFFSET_COMMAND = 12, OFFSET_FAMILY = 13, OFFSET_LENGTH = 14 };

/* Address blocks. */
#define INET_LENGTH  12
#define INET6_LENGTH 36
#define UNIX_LENGTH  216

static uint16_t read_u16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static size_t family_block_length(int family)
{
	switch (family >> 4) {
	case 1:
		return INET_LENGTH;
	case 2:
		return INET6_LENGTH;
	case 3:
		return UNIX_LENGTH;
	default:
		return 0;
	}
}

static void read_addresses(const uint8_t *block, struct proxy_fields *fields)
{
	if (fields->block_length == INET_LENGTH) {
		fields->source = address_from_ipv4(block, read_u16(block + 8));
		fields->destination = address_from_ipv4(block + 4, read_u16(block + 10));
	} else if (fields->block_length == INET6_LENGTH) {
		fields->source = address_from_ipv6(block, read_u16(block + 32));
		fields->destination = address_from_ipv6(block + 16, read_u16(block + 34));
	}
}

static bool are_tlvs(const uint8_t *bytes, size_t length)
{
	struct proxy_tlv tlv;
	size_t offset = 0;

	while (proxy_tlv_next(bytes, length, &offset, &tlv))
		continue;
	return offset == length;
}

/* Behind the fixed part: `length` bytes are there. */
static void read_local(const uint8_t *bytes, size_t length, struct proxy_fields *fields)
{
	size_t block_length = family_block_length(fields->family);

	fields->tlvs_at = PROXY_V2_FIXED_LENGTH;
	if (are_tlvs(bytes, length)) {
		fields->tlvs_length = length;
	} else if (block_length <= length &&
		   are_tlvs(bytes + block_length, length - block_length)) {
		fields->tlvs_at += block_length;
		fields->tlvs_length = length - block_length;
	}
}

static void read_proxy(const uint8_t *bytes, size_t length, struct proxy_fields *fields)
{
	fields->block_length = family_block_length(fields->family);
	if (fields->block_length > length)
		return;
	read_addresses(bytes, fields);
	/* AF_UNSPEC: what follows is nothing that anyone has defined. */
	if (fields->block_length == 0)
		return;
	fields->tlvs_at = PROXY_V2_FIXED_LENGTH + fields->block_length;
	fields->tlvs_length = length - fields->block_length;
}

void proxy_fields_read(const uint8_t *bytes, size_t length, struct proxy_fields *fields)
{
	*fields = (struct proxy_fields){.command = -1, .family = -1};
	if (length > OFFSET_COMMAND)
		fields->command = bytes[OFFSET_COMMAND];
	if (length > OFFSET_FAMILY)
		fields->family = bytes[OFFSET_FAMILY];
	if (length < PROXY_V2_FIXED_LENGTH)
		return;
	fields->length = PROXY_V2_FIXED_LENGTH + (size_t)read_u16(bytes + OFFSET_LENGTH);
	if (length > fields->length)
		length = fields->length;
	bytes += PROXY_V2_FIXED_LENGTH;
	length -= PROXY_V2_FIXED_LENGTH;
	if ((fields->command & 0x0f) == 0)
		read_local(bytes, length, fields);
	else
		read_proxy(bytes, length, fields);
}

const char *proxy_fields_family_name(int family)
{
	switch (family) {
	case 0x00:
		return "UNSPEC";
	case 0x11:
		return "TCP4";
	case 0x12:
		return "UDP4";
	case 0x21:
		return "TCP6";
	case 0x22:
		return "UDP6";
	case 0x31:
		return "UNIX stream";
	case 0x32:
		return "UNIX datagram";
	default:
		return NULL;
	}
}
