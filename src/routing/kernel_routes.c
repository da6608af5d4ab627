/* SPDX-License-Identifier: MIT */
/*
 * Rules and routes as rtnetlink(7) has them. IPv4 and IPv6 differ in nothing but the family and the
 * length of an address.
 */
#include "routing/kernel_routes.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "routing/netlink.h"

/* Index of `lo` in every network namespace: the first interface there is. */
#define LOOPBACK_INDEX 1

/* A request with room for its attributes, aligned as libmnl wants it. */
union request {
	struct nlmsghdr header;
	char bytes[NETLINK_REQUEST_SIZE];
};

static uint8_t family_of(enum address_family family)
{
	return family == ADDRESS_IPV4 ? AF_INET : AF_INET6;
}

static uint16_t address_size(uint8_t family)
{
	return family == ADDRESS_IPV4 ? 4 : 16;
}

static void put_address(struct nlmsghdr *request, uint16_t type, const struct address *address)
{
	mnl_attr_put(request, type, address_size(address->family), address->ip);
}

/* ADDRESS_NONE when the attribute is not as long as an address of the family. */
static struct address get_address(const struct nlattr *attribute, uint8_t family)
{
	struct address address = {0};

	if (mnl_attr_get_payload_len(attribute) != address_size(family))
		return address;
	return family == ADDRESS_IPV4 ? address_from_ipv4(mnl_attr_get_payload(attribute), 0)
				      : address_from_ipv6(mnl_attr_get_payload(attribute), 0);
}

/* 0 where the attribute is shorter than its number. */
static uint32_t get_number(const struct nlattr *attribute)
{
	return mnl_attr_validate(attribute, MNL_TYPE_U32) < 0 ? 0 : mnl_attr_get_u32(attribute);
}

/*
 * Rules.
 */

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
		rule->from.address = get_address(attribute, rule->family);
		break;
	case FRA_DST:
		rule->to.address = get_address(attribute, rule->family);
		break;
	case FRA_IIFNAME:
		if (mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
			strncpy(rule->iif, mnl_attr_get_str(attribute), sizeof(rule->iif) - 1);
		break;
	case FRA_PRIORITY:
		rule->priority = get_number(attribute);
		break;
	case FRA_FWMARK:
		rule->mark = get_number(attribute);
		break;
	case FRA_FWMASK:
		rule->mask = get_number(attribute);
		break;
	case FRA_TABLE:
		rule->table = get_number(attribute);
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
	union request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct fib_rule_hdr *rule = mnl_nlmsg_put_extra_header(header, sizeof(*rule));
	int error;

	*rules = (struct kernel_rules){0};
	header->nlmsg_type = RTM_GETRULE;
	header->nlmsg_flags = NLM_F_DUMP;
	rule->family = family_of(family);
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

static struct nlmsghdr *put_rule(union request *request, uint16_t type, uint16_t flags,
				 const struct return_rule *wanted)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(request);
	struct fib_rule_hdr *rule = mnl_nlmsg_put_extra_header(header, sizeof(*rule));

	header->nlmsg_type = type;
	header->nlmsg_flags = flags;
	rule->family = family_of((enum address_family)wanted->from.address.family);
	rule->src_len = wanted->from.length;
	rule->action = FR_ACT_TO_TBL;
	put_address(header, FRA_SRC, &wanted->from.address);
	if (wanted->mark != 0)
		mnl_attr_put_u32(header, FRA_FWMARK, wanted->mark);
	else
		mnl_attr_put_strz(header, FRA_IIFNAME, "lo");
	mnl_attr_put_u32(header, FRA_TABLE, wanted->table);
	mnl_attr_put_u8(header, FRA_PROTOCOL, KERNEL_ROUTES_PROTOCOL);
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
	union request request;
	int there = rule_is_there(netlink, rule);

	if (there != 0)
		return there < 0 ? there : 0;
	there = netlink_ask(netlink, put_rule(&request, RTM_NEWRULE, NLM_F_CREATE, rule), NULL,
			    NULL, NULL);
	return there < 0 ? there : 1;
}

int kernel_rule_remove(struct netlink *netlink, const struct return_rule *rule)
{
	union request request;
	int error, removed = 0;

	/* Two processes that do not know of each other may have added it twice. */
	while ((error = netlink_ask(netlink, put_rule(&request, RTM_DELRULE, 0, rule), NULL, NULL,
				    NULL)) == 0)
		removed = 1;
	return error == -ENOENT ? removed : error;
}

/*
 * Routes.
 */

static struct nlmsghdr *put_route(union request *request, uint16_t type, uint16_t flags,
				  const struct return_route *wanted)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(request);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(header, sizeof(*route));

	header->nlmsg_type = type;
	header->nlmsg_flags = flags;
	route->rtm_family = family_of(wanted->family);
	route->rtm_type = RTN_LOCAL;
	route->rtm_scope = RT_SCOPE_HOST;
	route->rtm_protocol = KERNEL_ROUTES_PROTOCOL;
	mnl_attr_put_u32(header, RTA_TABLE, wanted->table);
	mnl_attr_put_u32(header, RTA_OIF, LOOPBACK_INDEX);
	return header;
}

int kernel_route_add(struct netlink *netlink, const struct return_route *route)
{
	union request request;
	struct nlmsghdr *header =
		put_route(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);
	struct kernel_route_state state = {0};
	int error = netlink_ask(netlink, header, NULL, NULL, NULL);

	/* The same route, whoever made it, is as good; another default in this table is not. */
	if (error == -EEXIST && kernel_route_read(netlink, route, &state) == 0 && state.local)
		return 0;
	return error < 0 ? error : 1;
}

int kernel_route_remove(struct netlink *netlink, const struct return_route *route)
{
	union request request;
	int error =
		netlink_ask(netlink, put_route(&request, RTM_DELROUTE, 0, route), NULL, NULL, NULL);

	if (error == -ESRCH || error == -ENOENT)
		return 0;
	return error < 0 ? error : 1;
}

/* A table of few routes among many that are listed: older kernels list all of them. */
struct route_reading {
	const struct return_route *wanted;
	struct kernel_route_state *state;
};

static int route_attribute(const struct nlattr *attribute, void *context)
{
	struct kernel_lookup *found = context;
	uint8_t family = found->family;

	switch (mnl_attr_get_type(attribute)) {
	case RTA_TABLE:
		found->table = get_number(attribute);
		break;
	case RTA_OIF:
		found->interface = get_number(attribute);
		break;
	case RTA_PREFSRC:
		found->preferred = get_address(attribute, family);
		break;
	case RTA_GATEWAY:
		found->gateway = get_address(attribute, family);
		break;
	}
	return MNL_CB_OK;
}

/* Is it a route at all? */
static bool read_route(const struct nlmsghdr *message, struct kernel_lookup *found)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(message);

	if (message->nlmsg_type != RTM_NEWROUTE ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*route))
		return false;
	*found = (struct kernel_lookup){
		.family = route->rtm_family == AF_INET ? ADDRESS_IPV4 : ADDRESS_IPV6,
		.type = route->rtm_type,
		.length = route->rtm_dst_len,
		.protocol = route->rtm_protocol,
		.table = route->rtm_table,
	};
	mnl_attr_parse(message, sizeof(*route), route_attribute, found);
	return true;
}

static bool is_local_default(const struct kernel_lookup *route)
{
	return route->type == RTN_LOCAL && route->length == 0 && route->interface == LOOPBACK_INDEX;
}

static int route_listed(const struct nlmsghdr *message, void *context)
{
	const struct route_reading *reading = context;
	struct kernel_lookup route;

	if (!read_route(message, &route) || route.table != reading->wanted->table ||
	    route.family != reading->wanted->family)
		return 0;
	reading->state->occupied = true;
	if (is_local_default(&route)) {
		reading->state->local = true;
		reading->state->ours =
			reading->state->ours || route.protocol == KERNEL_ROUTES_PROTOCOL;
	} else if (route.length == 0) {
		reading->state->other = route;
	}
	return 0;
}

static void route_anew(void *context)
{
	*((struct route_reading *)context)->state = (struct kernel_route_state){0};
}

int kernel_route_read(struct netlink *netlink, const struct return_route *route,
		      struct kernel_route_state *state)
{
	struct route_reading reading = {route, state};
	union request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct rtmsg *message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
	int error;

	*state = (struct kernel_route_state){0};
	header->nlmsg_type = RTM_GETROUTE;
	header->nlmsg_flags = NLM_F_DUMP;
	message->rtm_family = family_of(route->family);
	mnl_attr_put_u32(header, RTA_TABLE, route->table);
	error = netlink_ask(netlink, header, route_listed, route_anew, &reading);
	return error == -ENOENT ? 0 : error; /* there is no such table yet */
}

static int local_table_listed(const struct nlmsghdr *message, void *context)
{
	struct kernel_tables *found = context;
	struct kernel_lookup route;
	uint32_t *grown;

	if (!read_route(message, &route) || !is_local_default(&route))
		return 0;
	for (size_t i = 0; i < found->count; i++) {
		if (found->tables[i] == route.table)
			return 0;
	}
	grown = reallocarray(found->tables, found->count + 1, sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	found->tables = grown;
	grown[found->count++] = route.table;
	return 0;
}

static void local_tables_anew(void *context)
{
	((struct kernel_tables *)context)->count = 0;
}

int kernel_local_tables_read(struct netlink *netlink, enum address_family family,
			     struct kernel_tables *tables)
{
	union request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct rtmsg *message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
	int error;

	*tables = (struct kernel_tables){0};
	header->nlmsg_type = RTM_GETROUTE;
	header->nlmsg_flags = NLM_F_DUMP;
	message->rtm_family = family_of(family);
	message->rtm_type = RTN_LOCAL; /* not all routes, where the kernel knows how */
	error = netlink_ask(netlink, header, local_table_listed, local_tables_anew, tables);
	if (error < 0)
		kernel_tables_finish(tables);
	return error;
}

void kernel_tables_finish(struct kernel_tables *tables)
{
	free(tables->tables);
	*tables = (struct kernel_tables){0};
}

/*
 * Lookups.
 */

static int route_found(const struct nlmsghdr *message, void *context)
{
	read_route(message, context);
	return 0;
}

int kernel_lookup(struct netlink *netlink, const struct address *to, const struct address *from,
		  uint32_t mark, unsigned iif, struct kernel_lookup *result)
{
	union request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(header, sizeof(*route));
	uint8_t bits = (uint8_t)(address_size(to->family) * 8);

	*result = (struct kernel_lookup){0};
	header->nlmsg_type = RTM_GETROUTE;
	route->rtm_family = family_of((enum address_family)to->family);
	/* IPv6 says the table by itself, and refuses to be asked for it. */
	route->rtm_flags = to->family == ADDRESS_IPV4 ? RTM_F_LOOKUP_TABLE : 0;
	route->rtm_dst_len = bits;
	put_address(header, RTA_DST, to);
	if (from->family != ADDRESS_NONE) {
		route->rtm_src_len = bits;
		put_address(header, RTA_SRC, from);
	}
	if (mark != 0)
		mnl_attr_put_u32(header, RTA_MARK, mark);
	if (iif != 0)
		mnl_attr_put_u32(header, RTA_IIF, iif);
	return netlink_ask(netlink, header, route_found, NULL, result);
}
