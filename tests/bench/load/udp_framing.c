/* SPDX-License-Identifier: MIT */
/* Headers in front of datagrams. */
#include "udp_framing.h"

#include <string.h>

static const uint8_t v2_start[13] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a,
				     0x51, 0x55, 0x49, 0x54, 0x0a, 0x21};

/* Families with datagrams as their transport, and the bytes of their addresses. */
enum { V2_INET_DGRAM = 0x12, V2_INET6_DGRAM = 0x22 };
enum { V2_FAMILY = 13, V2_LENGTH = 14, V2_ADDRESSES = 16 };

enum { SPP_CLIENT = 2, SPP_PROXY = 18, SPP_CLIENT_PORT = 34, SPP_PROXY_PORT = 36 };
static const uint8_t spp_magic[2] = {0x56, 0xec};

static void write_u16(uint8_t *to, size_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static uint16_t read_u16(const uint8_t *from)
{
	return (uint16_t)(from[0] << 8 | from[1]);
}

static size_t write_v2(const struct address *client, const struct address *destination,
		       uint8_t *header)
{
	bool ipv4 = client->family == ADDRESS_IPV4;
	size_t ip_length = ipv4 ? 4 : 16;
	uint8_t *addresses = header + V2_ADDRESSES, *ports = addresses + 2 * ip_length;

	memcpy(header, v2_start, sizeof(v2_start));
	header[V2_FAMILY] = ipv4 ? V2_INET_DGRAM : V2_INET6_DGRAM;
	write_u16(header + V2_LENGTH, 2 * ip_length + 4);
	memcpy(addresses, client->ip, ip_length);
	memcpy(addresses + ip_length, destination->ip, ip_length);
	write_u16(ports, client->port);
	write_u16(ports + 2, destination->port);
	return V2_ADDRESSES + 2 * ip_length + 4;
}

/* SPP has room for IPv6 alone: IPv4 is written as ::ffff:a.b.c.d. */
static void write_ip16(uint8_t *to, const struct address *address)
{
	if (address->family == ADDRESS_IPV6) {
		memcpy(to, address->ip, 16);
		return;
	}
	memset(to, 0, 10);
	memset(to + 10, 0xff, 2);
	memcpy(to + 12, address->ip, 4);
}

static size_t write_spp(const struct address *client, const struct address *destination,
			uint8_t *header)
{
	memcpy(header, spp_magic, sizeof(spp_magic));
	write_ip16(header + SPP_CLIENT, client);
	write_ip16(header + SPP_PROXY, destination);
	write_u16(header + SPP_CLIENT_PORT, client->port);
	write_u16(header + SPP_PROXY_PORT, destination->port);
	return SPP_HEADER_LENGTH;
}

bool framing_parse(const char *text, enum framing *framing)
{
	static const char *const names[] = {
		[FRAMING_NONE] = "none",
		[FRAMING_EVERY] = "every",
		[FRAMING_FIRST] = "first",
		[FRAMING_SPP] = "spp",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0) {
			*framing = (enum framing)i;
			return true;
		}
	}
	return false;
}

size_t framing_write(enum framing framing, const struct address *client,
		     const struct address *destination, uint8_t header[static FRAMING_HEADER_MAX])
{
	switch (framing) {
	case FRAMING_NONE:
		break;
	case FRAMING_EVERY:
	case FRAMING_FIRST:
		return write_v2(client, destination, header);
	case FRAMING_SPP:
		return write_spp(client, destination, header);
	}
	return 0;
}

bool spp_read(const uint8_t *bytes, size_t length, struct address *client,
	      struct address *destination)
{
	if (length < SPP_HEADER_LENGTH || memcmp(bytes, spp_magic, sizeof(spp_magic)) != 0)
		return false;
	*client = address_from_ipv6(bytes + SPP_CLIENT, read_u16(bytes + SPP_CLIENT_PORT));
	*destination = address_from_ipv6(bytes + SPP_PROXY, read_u16(bytes + SPP_PROXY_PORT));
	return true;
}
