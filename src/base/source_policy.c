/* SPDX-License-Identifier: MIT */
/* The source policy's rules, as two tables: what can never be a source, and what needs a permit. */
#include "base/source_policy.h"

#include <string.h>

struct rule {
	uint8_t ip[16];
	uint8_t length; /* bits */
	enum close_reason reason;
};

/* The kernel replaces these by an address of its own choice, 127.0.0.1 among them: no permit helps.
 */
static const struct rule ipv4_impossible[] = {
	{{0}, 8, CLOSE_SOURCE_UNSPECIFIED},
	{{224}, 4, CLOSE_SOURCE_MULTICAST},
	{{255, 255, 255, 255}, 32, CLOSE_SOURCE_BROADCAST},
};
static const struct rule ipv6_impossible[] = {
	{{0}, 128, CLOSE_SOURCE_UNSPECIFIED},
	{{0xff}, 8, CLOSE_SOURCE_MULTICAST},
};

static const struct rule ipv4_special[] = {
	{{127}, 8, CLOSE_SOURCE_LOOPBACK},
	{{169, 254}, 16, CLOSE_SOURCE_LINK_LOCAL},
	{{240}, 4, CLOSE_SOURCE_RESERVED},
};
static const struct rule ipv6_special[] = {
	{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, CLOSE_SOURCE_LOOPBACK},
	{{0xfe, 0x80}, 10, CLOSE_SOURCE_LINK_LOCAL},
	/* Reserved by the IETF (RFC 4291); holds the IPv4-compatible forms. */
	{{0}, 8, CLOSE_SOURCE_RESERVED},
};
/* Real clients all the same: the NAT64 prefixes of RFC 6052 and RFC 8215. */
static const struct rule ipv6_nat64[] = {
	{{0x00, 0x64, 0xff, 0x9b}, 96, CLOSE_SOURCE_RESERVED},
	{{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, CLOSE_SOURCE_RESERVED},
};

static bool prefix_matches(const uint8_t *ip, const struct rule *rule)
{
	unsigned bytes = rule->length / 8, bits = rule->length % 8;

	if (memcmp(ip, rule->ip, bytes) != 0)
		return false;
	return bits == 0 || ((ip[bytes] ^ rule->ip[bytes]) >> (8 - bits)) == 0;
}

static bool any_rule_matches(const uint8_t *ip, const struct rule *rules, size_t count,
			     enum close_reason *reason)
{
	for (size_t i = 0; i < count; i++) {
		if (prefix_matches(ip, &rules[i])) {
			*reason = rules[i].reason;
			return true;
		}
	}
	return false;
}

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

bool source_policy_permits(const struct address *client, const struct prefix_set *permit,
			   const struct source_own *own, enum close_reason *reason)
{
	const uint8_t *ip = client->ip;
	bool ipv4 = client->family == ADDRESS_IPV4;

	if (client->family == ADDRESS_NONE) {
		*reason = CLOSE_SOURCE_UNSPECIFIED;
		return false;
	}
	if (ipv4 ? any_rule_matches(ip, ipv4_impossible, COUNT(ipv4_impossible), reason)
		 : any_rule_matches(ip, ipv6_impossible, COUNT(ipv6_impossible), reason))
		return false;
	if (prefix_set_contains(own->broadcasts, client)) {
		*reason = CLOSE_SOURCE_BROADCAST;
		return false;
	}
	if (prefix_set_contains(permit, client))
		return true;
	if (prefix_set_contains(own->addresses, client)) {
		/* ::1 and 127.0.0.1 are own addresses too; the better-known name says more. */
		*reason = CLOSE_SOURCE_OWN;
		if (ipv4)
			any_rule_matches(ip, ipv4_special, COUNT(ipv4_special), reason);
		else
			any_rule_matches(ip, ipv6_special, COUNT(ipv6_special), reason);
		return false;
	}
	if (ipv4)
		return !any_rule_matches(ip, ipv4_special, COUNT(ipv4_special), reason);
	return any_rule_matches(ip, ipv6_nat64, COUNT(ipv6_nat64), reason) ||
	       !any_rule_matches(ip, ipv6_special, COUNT(ipv6_special), reason);
}
