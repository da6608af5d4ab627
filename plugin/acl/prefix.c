/* SPDX-License-Identifier: MIT */
/*
 * Prefixes: the same forms, and the same words about what is wrong with them, as in the lists that
 * mmproxy itself reads (subnets, subnets_files), so that one file can serve both.
 */
#include "prefix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint8_t ipv4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static const char not_a_prefix[] =
	"not a prefix; write one such as 192.0.2.0/24 or 2001:db8::/32, or an address alone";
static const char bad_length[] =
	"the prefix length is out of range; write /0 to /32 for IPv4, /0 to /128 for IPv6";
static const char bad_mapped_length[] =
	"a prefix of IPv4-mapped addresses is /96 or longer; write it as IPv4";

/* The part in front of the slash, as a prefix of its full length; `mapped` as it was written. */
static int parse_address(const char *text, size_t length, struct acl_prefix *prefix, bool *mapped)
{
	char ip[INET6_ADDRSTRLEN];

	if (length >= sizeof(ip))
		return -EINVAL;
	memcpy(ip, text, length);
	ip[length] = '\0';
	memset(prefix, 0, sizeof(*prefix));
	*mapped = false;
	if (inet_pton(AF_INET, ip, prefix->ip) == 1) {
		prefix->length = 32;
		return 0;
	}
	if (inet_pton(AF_INET6, ip, prefix->ip) != 1)
		return -EINVAL;
	if (memcmp(prefix->ip, ipv4_mapped, sizeof(ipv4_mapped)) == 0) {
		memcpy(prefix->ip, prefix->ip + 12, 4);
		memset(prefix->ip + 4, 0, 12);
		prefix->length = 32;
		*mapped = true;
		return 0;
	}
	prefix->ipv6 = true;
	prefix->length = 128;
	return 0;
}

/* Decimal digits and nothing else. What is past any length stays past any length. */
static int parse_length(const char *digits, unsigned *length)
{
	if (*digits == '\0')
		return -EINVAL;
	*length = 0;
	for (; *digits != '\0'; digits++) {
		if (*digits < '0' || *digits > '9')
			return -EINVAL;
		if (*length <= 128)
			*length = *length * 10 + (unsigned)(*digits - '0');
	}
	return 0;
}

const char *acl_prefix_parse(const char *text, struct acl_prefix *prefix)
{
	size_t address_length = strcspn(text, "/");
	const char *slash = text + address_length;
	unsigned length;
	bool mapped;

	if (parse_address(text, address_length, prefix, &mapped) < 0)
		return not_a_prefix;
	if (*slash == '\0')
		return NULL;
	if (parse_length(slash + 1, &length) < 0)
		return not_a_prefix;
	/* Written as IPv6, it counts 96 bits more. */
	if (mapped && length < 96)
		return bad_mapped_length;
	if (mapped)
		length -= 96;
	if (length > prefix->length)
		return bad_length;
	acl_prefix_shorten(prefix, length);
	return NULL;
}

const char *acl_prefix_remark(const char *text, const struct acl_prefix *prefix,
			      char room[static ACL_PREFIX_REMARK_SIZE])
{
	char taken[ACL_PREFIX_TEXT_SIZE], ip[INET6_ADDRSTRLEN];
	struct acl_prefix written;
	bool mapped;

	if (parse_address(text, strcspn(text, "/"), &written, &mapped) < 0 ||
	    memcmp(written.ip, prefix->ip, sizeof(written.ip)) == 0)
		return NULL;
	inet_ntop(written.ipv6 ? AF_INET6 : AF_INET, written.ip, ip, sizeof(ip));
	snprintf(room, ACL_PREFIX_REMARK_SIZE,
		 "it is taken as %s; write that, or %s for the one address",
		 acl_prefix_format(prefix, taken), ip);
	return room;
}

const char *acl_prefix_format(const struct acl_prefix *prefix,
			      char text[static ACL_PREFIX_TEXT_SIZE])
{
	char ip[INET6_ADDRSTRLEN] = "";

	inet_ntop(prefix->ipv6 ? AF_INET6 : AF_INET, prefix->ip, ip, sizeof(ip));
	snprintf(text, ACL_PREFIX_TEXT_SIZE, "%s/%u", ip, (unsigned)prefix->length);
	return text;
}

void acl_prefix_shorten(struct acl_prefix *prefix, unsigned length)
{
	unsigned whole = length / 8;

	prefix->length = (uint8_t)length;
	if (whole >= sizeof(prefix->ip))
		return;
	prefix->ip[whole] &= (uint8_t)(0xff00U >> (length % 8));
	memset(prefix->ip + whole + 1, 0, sizeof(prefix->ip) - whole - 1);
}
