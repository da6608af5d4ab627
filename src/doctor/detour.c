/* SPDX-License-Identifier: MIT */
/* A rule and a route for one pair of addresses, in and out again. */
#include "doctor/detour.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "routing/netlink.h"
#include "routing/route_message.h"

/* Rules of a crashed run: one for each examination that was going on, of which there is one. */
#define STALE_RULES_MAX 16

static uint8_t family_of(const struct address *address)
{
	return route_message_family((enum address_family)address->family);
}

static uint8_t bits_of(const struct address *address)
{
	return (uint8_t)(route_message_address_size(address->family) * 8);
}

/* Without addresses it is any rule of ours in this family, which a removal may ask for. */
static int ask_for_rule(struct netlink *netlink, uint16_t type, uint8_t family,
			const struct detour *detour)
{
	union netlink_request request = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct fib_rule_hdr *rule = mnl_nlmsg_put_extra_header(header, sizeof(*rule));

	header->nlmsg_type = type;
	header->nlmsg_flags = type == RTM_NEWRULE ? NLM_F_CREATE | NLM_F_EXCL : 0;
	rule->family = family;
	rule->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(header, FRA_PRIORITY, DETOUR_PRIORITY);
	mnl_attr_put_u32(header, FRA_TABLE, DETOUR_TABLE);
	mnl_attr_put_u8(header, FRA_PROTOCOL, DETOUR_PROTOCOL);
	if (detour != NULL) {
		rule->src_len = rule->dst_len = bits_of(&detour->probe);
		route_message_put_address(header, FRA_SRC, &detour->upstream);
		route_message_put_address(header, FRA_DST, &detour->probe);
	}
	return netlink_ask(netlink, header, NULL, NULL, NULL);
}

static int ask_for_route(struct netlink *netlink, uint16_t type, const struct address *probe)
{
	union netlink_request request = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(header, sizeof(*route));

	header->nlmsg_type = type;
	header->nlmsg_flags = type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_REPLACE : 0;
	route->rtm_family = family_of(probe);
	route->rtm_type = RTN_LOCAL;
	route->rtm_scope = RT_SCOPE_HOST;
	route->rtm_protocol = DETOUR_PROTOCOL;
	route->rtm_dst_len = bits_of(probe);
	route_message_put_address(header, RTA_DST, probe);
	mnl_attr_put_u32(header, RTA_TABLE, DETOUR_TABLE);
	mnl_attr_put_u32(header, RTA_OIF, ROUTE_MESSAGE_LOOPBACK);
	return netlink_ask(netlink, header, NULL, NULL, NULL);
}

int detour_open(struct detour *detour, struct netlink *netlink, const struct address *upstream,
		const struct address *probe)
{
	int error;

	*detour = (struct detour){.upstream = *upstream, .probe = *probe};
	error = ask_for_route(netlink, RTM_NEWROUTE, probe);
	detour->route = error == 0;
	if (error == 0)
		error = ask_for_rule(netlink, RTM_NEWRULE, family_of(probe), detour);
	detour->rule = error == 0;
	if (error < 0)
		detour_close(detour, netlink);
	return error;
}

void detour_close(struct detour *detour, struct netlink *netlink)
{
	if (detour->rule)
		ask_for_rule(netlink, RTM_DELRULE, family_of(&detour->probe), detour);
	if (detour->route)
		ask_for_route(netlink, RTM_DELROUTE, &detour->probe);
	detour->rule = detour->route = false;
}

/* What is not there, or belongs to a family that is not there, need not be removed. */
static int removed(int error)
{
	bool absent = error == -ENOENT || error == -ESRCH || error == -ENODEV ||
		      error == -EAFNOSUPPORT || error == -EOPNOTSUPP;

	return absent ? 0 : error;
}

int detour_remove_stale(struct netlink *netlink, const struct address *probe)
{
	int error = 0;

	for (unsigned i = 0; i < STALE_RULES_MAX && error == 0; i++)
		error = ask_for_rule(netlink, RTM_DELRULE, family_of(probe), NULL);
	error = removed(error);
	return error < 0 ? error : removed(ask_for_route(netlink, RTM_DELROUTE, probe));
}
