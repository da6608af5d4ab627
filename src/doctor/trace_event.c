/* SPDX-License-Identifier: MIT */
/* The bytes of a trace's message, and the words of a rule. */
#include "doctor/trace_event.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>

/*
 * Reading.
 */

/* nf_tables sends its numbers in network order. 0 for one that is too short. */
static uint32_t get_number(const struct nlattr *attribute)
{
	return mnl_attr_validate(attribute, MNL_TYPE_U32) < 0
		       ? 0
		       : be32toh(mnl_attr_get_u32(attribute));
}

static void get_name(const struct nlattr *attribute, char name[static TRACE_NAME_SIZE])
{
	size_t length =
		strnlen(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute));

	snprintf(name, TRACE_NAME_SIZE, "%.*s", (int)length,
		 (const char *)mnl_attr_get_payload(attribute));
}

/* The addresses of an IPv4 or IPv6 header; the ports keep what they are. */
static void read_network(const uint8_t *bytes, uint16_t length, struct trace_event *event)
{
	uint16_t from = event->from.port, to = event->to.port;

	if (length >= 20 && bytes[0] >> 4 == 4) {
		event->from = address_from_ipv4(bytes + 12, from);
		event->to = address_from_ipv4(bytes + 16, to);
	} else if (length >= 40 && bytes[0] >> 4 == 6) {
		event->from = address_from_ipv6(bytes + 8, from);
		event->to = address_from_ipv6(bytes + 24, to);
	}
}

/* TCP and UDP begin with the same two ports. */
static void read_transport(const uint8_t *bytes, uint16_t length, struct trace_event *event)
{
	if (length < 4)
		return;
	event->from.port = (uint16_t)(bytes[0] << 8 | bytes[1]);
	event->to.port = (uint16_t)(bytes[2] << 8 | bytes[3]);
}

static int verdict_attribute(const struct nlattr *attribute, void *context)
{
	struct trace_event *event = context;

	if (mnl_attr_get_type(attribute) == NFTA_VERDICT_CODE)
		event->verdict = get_number(attribute);
	return MNL_CB_OK;
}

static int event_attribute(const struct nlattr *attribute, void *context)
{
	struct trace_event *event = context;
	const void *bytes = mnl_attr_get_payload(attribute);
	uint16_t length = mnl_attr_get_payload_len(attribute);

	switch (mnl_attr_get_type(attribute)) {
	case NFTA_TRACE_TABLE:
		get_name(attribute, event->table);
		break;
	case NFTA_TRACE_CHAIN:
		get_name(attribute, event->chain);
		break;
	case NFTA_TRACE_RULE_HANDLE:
		if (mnl_attr_validate(attribute, MNL_TYPE_U64) == 0)
			event->handle = be64toh(mnl_attr_get_u64(attribute));
		break;
	case NFTA_TRACE_TYPE:
		event->type = get_number(attribute);
		break;
	case NFTA_TRACE_VERDICT:
		mnl_attr_parse_nested(attribute, verdict_attribute, event);
		break;
	case NFTA_TRACE_POLICY:
		event->verdict = get_number(attribute);
		break;
	case NFTA_TRACE_ID:
		event->packet = get_number(attribute);
		break;
	case NFTA_TRACE_NETWORK_HEADER:
		read_network(bytes, length, event);
		break;
	case NFTA_TRACE_TRANSPORT_HEADER:
		read_transport(bytes, length, event);
		break;
	case NFTA_TRACE_IIF:
		event->iif = get_number(attribute);
		break;
	case NFTA_TRACE_OIF:
		event->oif = get_number(attribute);
		break;
	}
	return MNL_CB_OK;
}

int trace_event_read(const struct nlmsghdr *message, struct trace_event *event)
{
	const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);

	*event = (struct trace_event){0};
	if (message->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_TRACE) ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*header))
		return -EINVAL;
	event->family = header->nfgen_family;
	mnl_attr_parse(message, sizeof(*header), event_attribute, event);
	return 0;
}

const char *trace_family_name(uint8_t family)
{
	switch (family) {
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	case NFPROTO_ARP:
		return "arp";
	case NFPROTO_NETDEV:
		return "netdev";
	case NFPROTO_BRIDGE:
		return "bridge";
	}
	return "";
}

/*
 * Rules as nft(8) writes them.
 */

/* The end of the line that has the handle, at its `# handle`. NULL: there is none. */
static const char *find_handle(const char *listing, uint64_t handle)
{
	char mark[40];
	const char *found;

	snprintf(mark, sizeof(mark), " # handle %" PRIu64 "\n", handle);
	for (const char *at = listing; (found = strstr(at, mark)) != NULL; at = found + 1) {
		const char *line = found;

		while (line > listing && line[-1] != '\n')
			line--;
		/* Tables and chains have handles, too, behind the brace that they open. */
		if (found[-1] != '{' && memmem(line, (size_t)(found - line), "{ #", 3) == NULL)
			return found;
	}
	return NULL;
}

/* Where the rule that ends there begins: a set's elements may have put it on several lines. */
static const char *find_begin(const char *listing, const char *end)
{
	const char *at = end;
	int open = 0;

	while (at > listing && (at[-1] != '\n' || open > 0)) {
		at--;
		open += *at == '}' ? 1 : *at == '{' ? -1 : 0;
	}
	return at;
}

void trace_rule_find(const char *listing, uint64_t handle, char rule[static TRACE_RULE_SIZE])
{
	const char *end = find_handle(listing, handle);
	size_t length = 0;

	rule[0] = '\0';
	if (end == NULL)
		return;
	for (const char *at = find_begin(listing, end); at < end; at++) {
		bool space = isspace((unsigned char)*at) != 0;

		if (length + 1 == TRACE_RULE_SIZE)
			break;
		/* One space for as many as there are, and none at the beginning. */
		if (!space)
			rule[length++] = *at;
		else if (length > 0 && rule[length - 1] != ' ')
			rule[length++] = ' ';
	}
	rule[length] = '\0';
}

/* By itself, in letters of either case: targets of iptables-nft have great ones. */
static bool has_word(const char *rule, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = rule; (at = strcasestr(at, word)) != NULL; at += length) {
		bool begins = at == rule || !isalnum((unsigned char)at[-1]);

		if (begins && !isalnum((unsigned char)at[length]) && at[length] != '_')
			return true;
	}
	return false;
}

bool trace_rule_is_nat(const char *rule)
{
	return has_word(rule, "masquerade") || has_word(rule, "snat") || has_word(rule, "netmap");
}

bool trace_rule_redirects(const char *rule)
{
	/* What has been redirected is let pass by firewalls, with a word of its own. */
	return (has_word(rule, "dnat") && strstr(rule, "ct status") == NULL) ||
	       has_word(rule, "redirect");
}
