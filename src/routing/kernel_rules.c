/* SPDX-License-Identifier: MIT */
/* Policy rules as rtnetlink(7) has them. */
#include "routing/kernel_rules.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "routing/netlink.h"
#include "routing/route_message.h"

/* What makes a rule apply to less than its addresses, interface and mark say. */
static bool is_narrowing(uint16_t type)
{
	switch (type) {
	case FRA_OIFNAME:
	case FRA_TUN_ID:
	case FRA_L3MDEV:
	case FRA_UID_RANGE:
	case FRA_IP_PROTO:
	case FRA_SPORT_RANGE:
	case FRA_DPORT_RANGE:
		return true;
	}
	return false;
}

static int rule_attribute(const struct nlattr *attribute, void *context)
{
	struct kernel_rule *rule = context;

	switch (mnl_attr_get_type(attribute)) {
	case FRA_SRC:
		rule->from.address = route_message_get_address(attribute, rule->family);
		break;
	case FRA_DST:
		rule->to.address = route_message_get_address(attribute, rule->family);
		break;
	case FRA_IIFNAME:
		if (mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
			strncpy(rule->iif, mnl_attr_get_str(attribute), sizeof(rule->iif) - 1);
		break;
	case FRA_PRIORITY:
		rule->priority = route_message_get_number(attribute);
		break;
	case FRA_FWMARK:
		rule->mark = route_message_get_number(attribute);
		break;
	case FRA_FWMASK:
		rule->mask = route_message_get_number(attribute);
		break;
	case FRA_TABLE:
		rule->table = route_message_get_number(attribute);
		break;
	case FRA_PROTOCOL:
		if (mnl_attr_validate(attribute, MNL_TYPE_U8) == 0)
			rule->protocol = mnl_attr_get_u8(attribute);
		break;
	default:
		rule->narrow = rule->narrow || is_narrowing(mnl_attr_get_type(attribute));
	}
	return MNL_CB_OK;
}

/* Its prefixes have a family even where they hold every address of it. */
static struct kernel_rule new_rule(const struct fib_rule_hdr *header)
{
	struct kernel_rule rule = {
		.family = header->family == AF_INET ? ADDRESS_IPV4 : ADDRESS_IPV6,
		.action = header->action,
		.table = header->table,
		.inverted = (header->flags & FIB_RULE_INVERT) != 0,
		.narrow = header->tos != 0,
	};

	rule.from = (struct prefix){{.family = rule.family}, header->src_len};
	rule.to = (struct prefix){{.family = rule.family}, header->dst_len};
	return rule;
}

static int rule_listed(const struct nlmsghdr *message, void *context)
{
	struct kernel_rules *rules = context;
	const struct fib_rule_hdr *header = mnl_nlmsg_get_payload(message);
	struct kernel_rule *grown, rule;

	if (message->nlmsg_type != RTM_NEWRULE ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*header))
		return 0;
	rule = new_rule(header);
	mnl_attr_parse(message, sizeof(*header), rule_attribute, &rule);
	if (rule.action != FR_ACT_TO_TBL)
		rule.table = 0;
	grown = reallocarray(rules->rules, rules->count + 1, sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	rules->rules = grown;
	grown[rules->count++] = rule;
	return 0;
}

static void rules_anew(void *context)
{
	((struct kernel_rules *)context)->count = 0;
}

int kernel_rules_read(struct netlink *netlink, enum address_family family,
		      struct kernel_rules *rules)
{
	union netlink_request request = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct fib_rule_hdr *rule = mnl_nlmsg_put_extra_header(header, sizeof(*rule));
	int error;

	*rules = (struct kernel_rules){0};
	header->nlmsg_type = RTM_GETRULE;
	header->nlmsg_flags = NLM_F_DUMP;
	rule->family = route_message_family(family);
	error = netlink_ask(netlink, header, rule_listed, rules_anew, rules);
	if (error < 0)
		kernel_rules_finish(rules);
	return error;
}

void kernel_rules_finish(struct kernel_rules *rules)
{
	free(rules->rules);
	*rules = (struct kernel_rules){0};
}

bool kernel_rule_matches(const struct kernel_rule *rule, const struct address *to,
			 const struct address *from, uint32_t mark)
{
	/* What this host sends itself counts as coming in by lo. */
	bool matches = (rule->iif[0] == '\0' || strcmp(rule->iif, "lo") == 0) &&
		       (mark & rule->mask) == (rule->mark & rule->mask) &&
		       (rule->from.length == 0 || prefix_contains(&rule->from, from)) &&
		       (rule->to.length == 0 || prefix_contains(&rule->to, to));

	return matches != rule->inverted;
}

bool kernel_rule_is(const struct kernel_rule *rule, const struct return_rule *wanted)
{
	bool selector = wanted->mark != 0 ? rule->iif[0] == '\0' && rule->mark == wanted->mark &&
						    rule->mask == UINT32_MAX
					  : strcmp(rule->iif, "lo") == 0 && rule->mask == 0;

	/* A rule keeps the host bits that it was given. */
	return selector && rule->table == wanted->table && !rule->inverted && !rule->narrow &&
	       rule->to.length == 0 && rule->from.length == wanted->from.length &&
	       prefix_contains(&rule->from, &wanted->from.address);
}

static struct nlmsghdr *put_rule(union netlink_request *request, uint16_t type, uint16_t flags,
				 const struct return_rule *wanted)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(request);
	struct fib_rule_hdr *rule = mnl_nlmsg_put_extra_header(header, sizeof(*rule));

	header->nlmsg_type = type;
	header->nlmsg_flags = flags;
	rule->family = route_message_family((enum address_family)wanted->from.address.family);
	rule->src_len = wanted->from.length;
	rule->action = FR_ACT_TO_TBL;
	route_message_put_address(header, FRA_SRC, &wanted->from.address);
	if (wanted->mark != 0)
		mnl_attr_put_u32(header, FRA_FWMARK, wanted->mark);
	else
		mnl_attr_put_strz(header, FRA_IIFNAME, "lo");
	mnl_attr_put_u32(header, FRA_TABLE, wanted->table);
	mnl_attr_put_u8(header, FRA_PROTOCOL, RETURN_PROTOCOL);
	return header;
}

/* 1: it is there. 0: it is not. Or -errno. */
static int rule_is_there(struct netlink *netlink, const struct return_rule *wanted)
{
	struct kernel_rules rules;
	int found = kernel_rules_read(netlink, (enum address_family)wanted->from.address.family,
				      &rules);

	if (found < 0)
		return found;
	for (size_t i = 0; i < rules.count && found == 0; i++)
		found = kernel_rule_is(&rules.rules[i], wanted) ? 1 : 0;
	kernel_rules_finish(&rules);
	return found;
}

int kernel_rule_add(struct netlink *netlink, const struct return_rule *rule)
{
	union netlink_request request = {0};
	int there = rule_is_there(netlink, rule);

	if (there != 0)
		return there < 0 ? there : 0;
	there = netlink_ask(netlink, put_rule(&request, RTM_NEWRULE, NLM_F_CREATE, rule), NULL,
			    NULL, NULL);
	return there < 0 ? there : 1;
}

int kernel_rule_remove(struct netlink *netlink, const struct return_rule *rule)
{
	union netlink_request request = {0};
	int error, removed = 0;

	/* Two processes that do not know of each other may have added it twice. */
	while ((error = netlink_ask(netlink, put_rule(&request, RTM_DELRULE, 0, rule), NULL, NULL,
				    NULL)) == 0)
		removed = 1;
	return error == -ENOENT ? removed : error;
}
