/* SPDX-License-Identifier: MIT */
/*
 * The Simple Proxy Protocol. All its addresses are IPv6; ::ffff:a.b.c.d has no other spelling in
 * 16 bytes, so that what address_from_ipv6() makes of it can be turned back.
 */
#include "wire/spp.h"

#include <string.h>

static const uint8_t magic[2] = {0x56, 0xec};

enum {
	OFFSET_CLIENT = 2,
	OFFSET_PROXY = 18,
	OFFSET_CLIENT_PORT = 34,
	OFFSET_PROXY_PORT = 36,
};

static uint16_t read_u16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void write_u16(uint8_t *bytes, uint16_t value)
{
	bytes[0] = (uint8_t)(value >> 8);
	bytes[1] = (uint8_t)value;
}

static void write_ip(uint8_t *bytes, const struct address *address)
{
	if (address->family != ADDRESS_IPV4) {
		memcpy(bytes, address->ip, 16);
		return;
	}
	memset(bytes, 0, 10);
	memset(bytes + 10, 0xff, 2);
	memcpy(bytes + 12, address->ip, 4);
}

bool spp_parse(const uint8_t *bytes, size_t length, struct proxy_header *header,
	       enum close_reason *reason)
{
	size_t start = length < sizeof(magic) ? length : sizeof(magic);

	/* Of a short datagram it matters to people whether it was SPP at all. */
	if (start > 0 && memcmp(bytes, magic, start) != 0) {
		*reason = CLOSE_HEADER_MISSING;
		return false;
	}
	if (length < SPP_LENGTH) {
		*reason = CLOSE_HEADER_TRUNCATED;
		return false;
	}
	*header = (struct proxy_header){
		.version = PROXY_VERSION_SPP,
		.source = address_from_ipv6(bytes + OFFSET_CLIENT,
					    read_u16(bytes + OFFSET_CLIENT_PORT)),
		.destination = address_from_ipv6(bytes + OFFSET_PROXY,
						 read_u16(bytes + OFFSET_PROXY_PORT)),
		.length = SPP_LENGTH,
	};
	return true;
}

void spp_write(uint8_t bytes[static SPP_LENGTH], const struct address *client,
	       const struct address *proxy)
{
	memcpy(bytes, magic, sizeof(magic));
	write_ip(bytes + OFFSET_CLIENT, client);
	write_ip(bytes + OFFSET_PROXY, proxy);
	write_u16(bytes + OFFSET_CLIENT_PORT, client->port);
	write_u16(bytes + OFFSET_PROXY_PORT, proxy->port);
}
