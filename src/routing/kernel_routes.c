/* SPDX-License-Identifier: MIT */
/* Routes and lookups as rtnetlink(7) has them. */
#include "routing/kernel_routes.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "routing/netlink.h"
#include "routing/route_message.h"

static struct nlmsghdr *put_route(union netlink_request *request, uint16_t type, uint16_t flags,
				  const struct return_route *wanted)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(request);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(header, sizeof(*route));

	header->nlmsg_type = type;
	header->nlmsg_flags = flags;
	route->rtm_family = route_message_family(wanted->family);
	route->rtm_type = RTN_LOCAL;
	route->rtm_scope = RT_SCOPE_HOST;
	route->rtm_protocol = RETURN_PROTOCOL;
	mnl_attr_put_u32(header, RTA_TABLE, wanted->table);
	mnl_attr_put_u32(header, RTA_OIF, ROUTE_MESSAGE_LOOPBACK);
	return header;
}

int kernel_route_add(struct netlink *netlink, const struct return_route *route)
{
	union netlink_request request = {0};
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
	union netlink_request request = {0};
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
		found->table = route_message_get_number(attribute);
		break;
	case RTA_OIF:
		found->interface = route_message_get_number(attribute);
		break;
	case RTA_PREFSRC:
		found->preferred = route_message_get_address(attribute, family);
		break;
	case RTA_GATEWAY:
		found->gateway = route_message_get_address(attribute, family);
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
	return route->type == RTN_LOCAL && route->length == 0 &&
	       route->interface == ROUTE_MESSAGE_LOOPBACK;
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
		reading->state->ours = reading->state->ours || route.protocol == RETURN_PROTOCOL;
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
	union netlink_request request = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct rtmsg *message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
	int error;

	*state = (struct kernel_route_state){0};
	header->nlmsg_type = RTM_GETROUTE;
	header->nlmsg_flags = NLM_F_DUMP;
	message->rtm_family = route_message_family(route->family);
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
	union netlink_request request = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct rtmsg *message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
	int error;

	*tables = (struct kernel_tables){0};
	header->nlmsg_type = RTM_GETROUTE;
	header->nlmsg_flags = NLM_F_DUMP;
	message->rtm_family = route_message_family(family);
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
	union netlink_request request = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(header, sizeof(*route));
	uint8_t bits = (uint8_t)(route_message_address_size(to->family) * 8);

	*result = (struct kernel_lookup){0};
	header->nlmsg_type = RTM_GETROUTE;
	route->rtm_family = route_message_family((enum address_family)to->family);
	/* IPv6 says the table by itself, and refuses to be asked for it. */
	route->rtm_flags = to->family == ADDRESS_IPV4 ? RTM_F_LOOKUP_TABLE : 0;
	route->rtm_dst_len = bits;
	route_message_put_address(header, RTA_DST, to);
	if (from->family != ADDRESS_NONE) {
		route->rtm_src_len = bits;
		route_message_put_address(header, RTA_SRC, from);
	}
	if (mark != 0)
		mnl_attr_put_u32(header, RTA_MARK, mark);
	if (iif != 0)
		mnl_attr_put_u32(header, RTA_IIF, iif);
	return netlink_ask(netlink, header, route_found, NULL, result);
}
