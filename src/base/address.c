/* SPDX-License-Identifier: MIT */
/* Addresses: parsing, formatting, and the one place where IPv4-mapped addresses become IPv4. */
#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/decimal.h"

static const uint8_t ipv4_mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct address address_from_ipv4(const uint8_t ip[static 4], uint16_t port)
{
	struct address address = {.port = port, .family = ADDRESS_IPV4};

	memcpy(address.ip, ip, 4);
	return address;
}

struct address address_from_ipv6(const uint8_t ip[static 16], uint16_t port)
{
	struct address address = {.port = port, .family = ADDRESS_IPV6};

	if (memcmp(ip, ipv4_mapped_prefix, sizeof(ipv4_mapped_prefix)) == 0)
		return address_from_ipv4(ip + 12, port);
	memcpy(address.ip, ip, 16);
	return address;
}

struct address address_from_sockaddr(const struct sockaddr_storage *from)
{
	if (from->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)from;

		return address_from_ipv4((const uint8_t *)&in->sin_addr, ntohs(in->sin_port));
	}
	if (from->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;

		return address_from_ipv6(in6->sin6_addr.s6_addr, ntohs(in6->sin6_port));
	}
	return (struct address){.family = ADDRESS_NONE};
}

socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *to)
{
	if (address->family == ADDRESS_IPV4) {
		struct sockaddr_in *in = (struct sockaddr_in *)to;

		*in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(address->port)};
		memcpy(&in->sin_addr, address->ip, 4);
		return sizeof(*in);
	}
	if (address->family == ADDRESS_IPV6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;

		*in6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
					     .sin6_port = htons(address->port)};
		memcpy(&in6->sin6_addr, address->ip, 16);
		return sizeof(*in6);
	}
	return 0;
}

int address_parse_ip(const char *text, struct address *address)
{
	uint8_t ip[16];

	if (inet_pton(AF_INET, text, ip) == 1) {
		*address = address_from_ipv4(ip, 0);
		return 0;
	}
	if (inet_pton(AF_INET6, text, ip) == 1) {
		*address = address_from_ipv6(ip, 0);
		return 0;
	}
	return -EINVAL;
}

static int parse_port(const char *text, uint16_t *port)
{
	unsigned value = 0;

	if (*text == '\0')
		return -EINVAL;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		value = value * 10 + (unsigned)(*text - '0');
		if (value > UINT16_MAX)
			return -ERANGE;
	}
	*port = (uint16_t)value;
	return 0;
}

int address_parse_endpoint(const char *text, struct address *address)
{
	const char *start = text, *end, *colon;
	char ip[INET6_ADDRSTRLEN];
	uint16_t port;
	int error;

	if (*text == '[') {
		start = text + 1;
		end = strchr(start, ']');
		if (end == NULL || end[1] != ':')
			return -EINVAL;
		colon = end + 1;
	} else {
		end = colon = strchr(text, ':');
		if (colon == NULL)
			return -EINVAL;
	}
	if ((size_t)(end - start) >= sizeof(ip))
		return -EINVAL;
	memcpy(ip, start, (size_t)(end - start));
	ip[end - start] = '\0';

	/* Brackets are for IPv6 and IPv6 is for brackets: anything else is a slip of the pen. */
	if ((strchr(ip, ':') != NULL) != (*text == '['))
		return -EINVAL;
	error = address_parse_ip(ip, address);
	if (error == 0)
		error = parse_port(colon + 1, &port);
	if (error == 0)
		address->port = port;
	return error;
}

/* Returns the length. */
static size_t write_ipv4(const uint8_t *ip, char *text)
{
	size_t length = 0;

	for (size_t i = 0; i < 4; i++) {
		if (i > 0)
			text[length++] = '.';
		length += decimal_write(ip[i], text + length);
	}
	return length;
}

/* The address without a port, and the length of its text; ADDRESS_NONE is "-". */
static size_t write_ip(const struct address *address, char *text)
{
	size_t length = 1;

	if (address->family == ADDRESS_IPV4)
		length = write_ipv4(address->ip, text);
	else if (address->family == ADDRESS_IPV6)
		length = strlen(inet_ntop(AF_INET6, address->ip, text, INET6_ADDRSTRLEN));
	else
		text[0] = '-';
	text[length] = '\0';
	return length;
}

const char *address_format_ip(const struct address *address, char text[static ADDRESS_TEXT_SIZE])
{
	write_ip(address, text);
	return text;
}

const char *address_format(const struct address *address, char text[static ADDRESS_TEXT_SIZE])
{
	bool ipv6 = address->family == ADDRESS_IPV6;
	size_t length = write_ip(address, text + ipv6) + ipv6;

	if (address->family == ADDRESS_NONE)
		return text;
	if (ipv6) {
		text[0] = '[';
		text[length++] = ']';
	}
	text[length++] = ':';
	length += decimal_write(address->port, text + length);
	text[length] = '\0';
	return text;
}

bool address_equal_ip(const struct address *a, const struct address *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool address_equal(const struct address *a, const struct address *b)
{
	return address_equal_ip(a, b) && a->port == b->port;
}

bool address_is_wildcard(const struct address *address)
{
	static const uint8_t any[16];

	return memcmp(address->ip, any, sizeof(any)) == 0;
}
