/* SPDX-License-Identifier: MIT */
/* Multicast groups of NETLINK_ROUTE and NETLINK_NETFILTER. */
#include "routing/route_notices.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Datagrams read in one go: the main thread has other things to do as well. */
#define NOTICES_PER_READ 64

/* What each of our tables' names begins with; see return_mark_table(). */
static const char table_prefix[] = "mmproxy_";

static int open_groups(int bus, const int *groups, unsigned count)
{
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, bus);
	int error;

	if (fd < 0)
		return -errno;
	error = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	for (unsigned i = 0; i < count && error == 0; i++) {
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			       sizeof(groups[i])) < 0)
			error = -errno;
	}
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

int route_notices_open(void)
{
	static const int groups[] = {RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_IPV4_ROUTE,
				     RTNLGRP_IPV6_ROUTE};

	return open_groups(NETLINK_ROUTE, groups, sizeof(groups) / sizeof(groups[0]));
}

int table_notices_open(void)
{
	static const int groups[] = {NFNLGRP_NFTABLES};

	return open_groups(NETLINK_NETFILTER, groups, 1);
}

struct reading {
	bool (*concerns)(uint32_t table, void *context);
	void *context;
	bool found;
};

/* Reads datagrams until there are none, or enough. */
static bool read_notices(int fd, mnl_cb_t ready, struct reading *reading)
{
	char buffer[16384];

	for (unsigned i = 0; i < NOTICES_PER_READ; i++) {
		ssize_t length = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

		if (length < 0 && errno == ENOBUFS)
			reading->found = true;
		else if (length < 0)
			break;
		else
			mnl_cb_run(buffer, (size_t)length, 0, 0, ready, reading);
	}
	return reading->found;
}

static int table_number(const struct nlattr *attribute, void *context)
{
	uint32_t *table = context;

	if (mnl_attr_get_type(attribute) == RTA_TABLE &&
	    mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
		*table = mnl_attr_get_u32(attribute);
	return MNL_CB_OK;
}

/* A rule's header and its attribute FRA_TABLE are laid out like a route's. */
_Static_assert(sizeof(struct fib_rule_hdr) == sizeof(struct rtmsg), "one reading for both");
_Static_assert((int)FRA_TABLE == (int)RTA_TABLE, "one reading for both");

static int route_ready(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(message);
	struct reading *reading = context;
	uint32_t table;

	/* A route may be replaced without being deleted; a rule that comes takes no other away. */
	if (message->nlmsg_type != RTM_DELRULE && message->nlmsg_type != RTM_DELROUTE &&
	    message->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*route))
		return MNL_CB_OK;
	table = route->rtm_table;
	mnl_attr_parse(message, sizeof(*route), table_number, &table);
	/* IPv6 that is switched on begins with an address of this host. */
	if (reading->concerns(table, reading->context) ||
	    (message->nlmsg_type == RTM_NEWROUTE && route->rtm_family == AF_INET6 &&
	     route->rtm_type == RTN_LOCAL && table == RT_TABLE_LOCAL))
		reading->found = true;
	return MNL_CB_OK;
}

bool route_notices_read(int fd, bool (*concerns)(uint32_t table, void *context), void *context)
{
	struct reading reading = {concerns, context, false};

	return read_notices(fd, route_ready, &reading);
}

/* The name of the table is the first attribute of tables, chains and rules alike. */
_Static_assert((int)NFTA_TABLE_NAME == (int)NFTA_CHAIN_TABLE, "one reading for all");
_Static_assert((int)NFTA_TABLE_NAME == (int)NFTA_RULE_TABLE, "one reading for all");

static int table_name(const struct nlattr *attribute, void *context)
{
	struct reading *reading = context;

	if (mnl_attr_get_type(attribute) == NFTA_TABLE_NAME &&
	    mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0 &&
	    strncmp(mnl_attr_get_str(attribute), table_prefix, sizeof(table_prefix) - 1) == 0)
		reading->found = true;
	return MNL_CB_OK;
}

static int table_ready(const struct nlmsghdr *message, void *context)
{
	switch (message->nlmsg_type) {
	case NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE:
	case NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELCHAIN:
	case NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELRULE:
		mnl_attr_parse(message, sizeof(struct nfgenmsg), table_name, context);
		break;
	}
	return MNL_CB_OK;
}

bool table_notices_read(int fd)
{
	struct reading reading = {0};

	return read_notices(fd, table_ready, &reading);
}
