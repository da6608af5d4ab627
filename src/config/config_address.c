/* SPDX-License-Identifier: MIT */
/*
 * What goes wrong when people write addresses: names, forgotten ports and brackets, the other
 * family. Each of these has its own sentence; base/address.c only knows good from bad.
 */
#include "config/config_address.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/source_policy.h"

#define LISTEN_FORMS   "0.0.0.0:8443, [::]:8443 or *:8443"
#define LOOPBACK_FORMS "an address such as 127.0.0.1:9464 or [::1]:9464"

/* The reasons, in the words that fit where the address stands. */
struct phrases {
	const char *host_name;
	const char *no_port;
	const char *bad_port;
	const char *no_brackets;
	const char *bad;
	const char *no_host; /* of upstreams */
};

static const struct phrases listen_phrases = {
	.host_name = "host names are not resolved; write an address such as " LISTEN_FORMS,
	.no_port = "the port is missing; write an address such as " LISTEN_FORMS,
	.bad_port = "the port is out of range; write 1 to 65535",
	.no_brackets = "an IPv6 address with a port takes brackets; write one such as [::]:8443",
	.bad = "not an address with a port; write one such as " LISTEN_FORMS,
};

static const struct phrases loopback_phrases = {
	.host_name = "host names are not resolved; write " LOOPBACK_FORMS,
	.no_port = "the port is missing; write " LOOPBACK_FORMS,
	.bad_port = "the port is out of range; write 1 to 65535",
	.no_brackets = "an IPv6 address with a port takes brackets; write one such as [::1]:9464",
	.bad = "not an address with a port; write " LOOPBACK_FORMS,
};

static const struct phrases ipv4_phrases = {
	.host_name = "host names are not resolved; write an address such as 127.0.0.1:443",
	.no_port = "the port is missing; write an address such as 127.0.0.1:443",
	.bad_port = "the port is out of range; write 1 to 65535",
	.no_brackets = "not an IPv4 address with a port; write one such as 127.0.0.1:443",
	.bad = "not an IPv4 address with a port; write one such as 127.0.0.1:443",
	.no_host = "a multicast, broadcast or unspecified address is no upstream; write one such "
		   "as 127.0.0.1:443",
};

static const struct phrases ipv6_phrases = {
	.host_name = "host names are not resolved; write an address such as [::1]:443",
	.no_port = "the port is missing; write an address such as [::1]:443",
	.bad_port = "the port is out of range; write 1 to 65535",
	.no_brackets = "an IPv6 address with a port takes brackets; write one such as [::1]:443",
	.bad = "not an IPv6 address with a port; write one such as [::1]:443",
	.no_host = "a multicast or unspecified address is no upstream; write one such as "
		   "[::1]:443",
};

/* Letters, digits, dots and hyphens up to a port or the end, and at least one letter. */
static bool looks_like_host_name(const char *text)
{
	bool letter = false;

	for (; *text != '\0' && *text != ':'; text++) {
		bool is_letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');

		if (!is_letter && !(*text >= '0' && *text <= '9') && strchr(".-_", *text) == NULL)
			return false;
		letter = letter || is_letter;
	}
	return letter && (*text == '\0' || strchr(text + 1, ':') == NULL);
}

static const char *explain(const char *text, const struct phrases *phrases)
{
	struct address alone;
	size_t length = strlen(text);

	if (address_parse_ip(text, &alone) == 0 && strchr(text, ':') == NULL)
		return phrases->no_port;
	if (length > 1 && text[0] == '[' && text[length - 1] == ']')
		return phrases->no_port;
	if (looks_like_host_name(text))
		return phrases->host_name;
	if (text[0] != '[' && strchr(text, ':') != strrchr(text, ':'))
		return phrases->no_brackets;
	return phrases->bad;
}

static const char *parse_endpoint(const char *text, const struct phrases *phrases,
				  struct address *address)
{
	int result = address_parse_endpoint(text, address);

	if (result == -ERANGE || (result == 0 && address->port == 0))
		return phrases->bad_port;
	return result < 0 ? explain(text, phrases) : NULL;
}

const char *config_parse_listen(const char *text, struct listen_endpoint *endpoint)
{
	char both[16];

	memset(endpoint, 0, sizeof(*endpoint));
	if (text[0] != '*')
		return parse_endpoint(text, &listen_phrases, &endpoint->address);
	if (text[1] == '\0')
		return listen_phrases.no_port;
	if (text[1] != ':' || snprintf(both, sizeof(both), "[::]%s", text + 1) >= (int)sizeof(both))
		return listen_phrases.bad;
	endpoint->both_families = true;
	return parse_endpoint(both, &listen_phrases, &endpoint->address);
}

const char *config_parse_loopback(const char *text, struct address *address)
{
	static const struct source_own nothing;
	const char *wrong = parse_endpoint(text, &loopback_phrases, address);
	enum close_reason reason;

	if (wrong != NULL)
		return wrong;
	if (!source_policy_permits(address, NULL, &nothing, &reason) &&
	    reason == CLOSE_SOURCE_LOOPBACK)
		return NULL;
	return "anybody who can reach it could read there, and there is no password; write a "
	       "loopback address such as 127.0.0.1:9464 or [::1]:9464";
}

/*
 * Whether no host can have this address, so that nobody can send from it or be reached at it. The
 * source policy knows these: it refuses them whatever is permitted.
 */
static bool has_no_host(const struct address *address, enum close_reason *reason)
{
	static const struct source_own nothing;

	return !source_policy_permits(address, NULL, &nothing, reason) &&
	       (*reason == CLOSE_SOURCE_UNSPECIFIED || *reason == CLOSE_SOURCE_MULTICAST ||
		*reason == CLOSE_SOURCE_BROADCAST);
}

const char *config_parse_forward(const char *text, enum address_family family,
				 struct address *address)
{
	const struct phrases *phrases = family == ADDRESS_IPV4 ? &ipv4_phrases : &ipv6_phrases;
	const char *wrong = parse_endpoint(text, phrases, address);
	enum close_reason reason;

	if (wrong != NULL)
		return wrong;
	if (address->family != family)
		return family == ADDRESS_IPV4
			       ? "this is an IPv6 address; write an IPv4 one such as 127.0.0.1:443"
			       : "this is an IPv4 address; write an IPv6 one such as [::1]:443";
	return has_no_host(address, &reason) ? phrases->no_host : NULL;
}

const char *config_parse_prefix(const char *text, struct prefix *prefix)
{
	switch (prefix_parse(text, prefix)) {
	case 0:
		return NULL;
	case -ERANGE:
		return "the prefix length is out of range; write /0 to /32 for IPv4, /0 to /128 "
		       "for IPv6";
	default:
		return "not a prefix; write one such as 192.0.2.0/24 or 2001:db8::/32, or an "
		       "address alone";
	}
}

const char *config_prefix_remark(const char *text, const struct prefix *prefix,
				 char room[static CONFIG_PREFIX_REMARK_SIZE])
{
	const char *slash = strchr(text, '/');
	char ip[ADDRESS_TEXT_SIZE], taken[ADDRESS_TEXT_SIZE];
	struct address written;

	if (slash == NULL || (size_t)(slash - text) >= sizeof(ip))
		return NULL;
	memcpy(ip, text, (size_t)(slash - text));
	ip[slash - text] = '\0';
	if (address_parse_ip(ip, &written) < 0 || address_equal_ip(&written, &prefix->address))
		return NULL;
	snprintf(room, CONFIG_PREFIX_REMARK_SIZE,
		 "it is taken as %s/%u; write that, or %s for the one address",
		 address_format_ip(&prefix->address, taken), (unsigned)prefix->length,
		 address_format_ip(&written, ip));
	return room;
}

const char *config_permit_remark(const char *text, const struct prefix *prefix,
				 char room[static CONFIG_PREFIX_REMARK_SIZE])
{
	unsigned bits = prefix->address.family == ADDRESS_IPV4 ? 32 : 128;
	struct address last = prefix->address;
	enum close_reason first_reason, last_reason;

	for (unsigned bit = prefix->length; bit < bits; bit++)
		last.ip[bit / 8] |= (uint8_t)(0x80U >> (bit % 8));
	/* Each reason is one range of a family, so what lies between has the same. */
	if (has_no_host(&prefix->address, &first_reason) && has_no_host(&last, &last_reason) &&
	    first_reason == last_reason)
		return "no socket can send from there, so it opens nothing; remove it";
	return config_prefix_remark(text, prefix, room);
}
