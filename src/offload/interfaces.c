/* SPDX-License-Identifier: MIT */
/*
 * By netlink alone: neither what Landlock closes (/sys/class/net) nor what a unit hides (/proc/sys)
 * is read here.
 */
#include "offload/interfaces.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_arp.h>
#include <linux/ip.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "routing/netlink.h"

/* A port of these is a full interface all the same: packets do not come by the master's ingress. */
static const char kind_without_ingress[] = "vrf";

/* Position of a setting in IFLA_INET_CONF, which is an array of numbers of 32 bits. */
static unsigned setting_of(const struct nlattr *settings, unsigned which)
{
	const uint32_t *numbers = mnl_attr_get_payload(settings);
	size_t count = mnl_attr_get_payload_len(settings) / sizeof(*numbers);

	return which - 1 < count ? numbers[which - 1] : 0;
}

/* What one link's message is read into. */
struct link {
	struct interface interface;
	struct interface_settings settings;
	bool has_master;
	bool is_full; /* a port, and a full interface all the same */
};

static int family_attribute(const struct nlattr *attribute, void *context)
{
	struct interface_settings *settings = context;

	if (mnl_attr_get_type(attribute) != IFLA_INET_CONF)
		return MNL_CB_OK;
	settings->known = true;
	settings->route_localnet = setting_of(attribute, IPV4_DEVCONF_ROUTE_LOCALNET) > 0;
	settings->accept_local = setting_of(attribute, IPV4_DEVCONF_ACCEPT_LOCAL) > 0;
	settings->rp_filter = setting_of(attribute, IPV4_DEVCONF_RP_FILTER);
	return MNL_CB_OK;
}

static int families_attribute(const struct nlattr *attribute, void *context)
{
	if (mnl_attr_get_type(attribute) == AF_INET)
		mnl_attr_parse_nested(attribute, family_attribute, context);
	return MNL_CB_OK;
}

static int information_attribute(const struct nlattr *attribute, void *context)
{
	if (mnl_attr_get_type(attribute) == IFLA_INFO_SLAVE_KIND &&
	    strcmp(mnl_attr_get_str(attribute), kind_without_ingress) == 0)
		*(bool *)context = true;
	return MNL_CB_OK;
}

static int link_attribute(const struct nlattr *attribute, void *context)
{
	struct link *link = context;

	switch (mnl_attr_get_type(attribute)) {
	case IFLA_IFNAME:
		snprintf(link->interface.name, sizeof(link->interface.name), "%s",
			 mnl_attr_get_str(attribute));
		break;
	case IFLA_MASTER:
		link->has_master = true;
		break;
	case IFLA_LINKINFO:
		mnl_attr_parse_nested(attribute, information_attribute, &link->is_full);
		break;
	case IFLA_AF_SPEC:
		mnl_attr_parse_nested(attribute, families_attribute, &link->settings);
		break;
	}
	return MNL_CB_OK;
}

static enum interface_kind kind_of(unsigned short type, bool is_port)
{
	switch (type) {
	case ARPHRD_LOOPBACK:
		return INTERFACE_LOOPBACK;
	case ARPHRD_ETHER:
		return is_port ? INTERFACE_PORT : INTERFACE_ETHERNET;
	default:
		return INTERFACE_OTHER;
	}
}

static int add(struct interfaces *interfaces, const struct interface *interface)
{
	struct interface *list =
		reallocarray(interfaces->list, interfaces->count + 1, sizeof(*list));

	if (list == NULL)
		return -ENOMEM;
	interfaces->list = list;
	list[interfaces->count++] = *interface;
	return 0;
}

static int each_link(const struct nlmsghdr *message, void *context)
{
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
	struct interfaces *interfaces = context;
	struct link link = {0};

	if (message->nlmsg_type != RTM_NEWLINK)
		return 0;
	mnl_attr_parse(message, sizeof(*header), link_attribute, &link);
	link.interface.index = (unsigned)header->ifi_index;
	link.interface.kind = kind_of(header->ifi_type, link.has_master && !link.is_full);
	if (link.interface.kind == INTERFACE_LOOPBACK)
		interfaces->lo = link.settings;
	return add(interfaces, &link.interface);
}

static void begin_again(void *context)
{
	interfaces_finish(context);
}

int interfaces_read(struct interfaces *interfaces)
{
	union netlink_request request = {0};
	struct netlink *netlink = netlink_open(NETLINK_ROUTE);
	struct nlmsghdr *header;
	int error;

	*interfaces = (struct interfaces){0};
	if (netlink == NULL)
		return -errno;
	header = mnl_nlmsg_put_header(request.bytes);
	header->nlmsg_type = RTM_GETLINK;
	header->nlmsg_flags = NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(header, sizeof(struct ifinfomsg));
	error = netlink_ask(netlink, header, each_link, begin_again, interfaces);
	netlink_close(netlink);
	return error;
}

void interfaces_finish(struct interfaces *interfaces)
{
	free(interfaces->list);
	*interfaces = (struct interfaces){0};
}

const char *interface_kind_reason(enum interface_kind kind)
{
	switch (kind) {
	case INTERFACE_PORT:
		return "it is a port of another interface, whose own ingress counts";
	case INTERFACE_OTHER:
		return "its packets have no Ethernet header";
	case INTERFACE_LOOPBACK:
	case INTERFACE_ETHERNET:
		break;
	}
	return "nobody has put it there yet";
}

static int netconf_attribute(const struct nlattr *attribute, void *context)
{
	if (mnl_attr_get_type(attribute) == NETCONFA_RP_FILTER)
		*(int *)context = (int)mnl_attr_get_u32(attribute);
	return MNL_CB_OK;
}

static int each_netconf(const struct nlmsghdr *message, void *context)
{
	mnl_attr_parse(message, sizeof(struct netconfmsg), netconf_attribute, context);
	return 0;
}

int interfaces_rp_filter_all(void)
{
	union netlink_request request = {0};
	struct netlink *netlink = netlink_open(NETLINK_ROUTE);
	struct netconfmsg *payload;
	struct nlmsghdr *header;
	int value = -ENODATA, error;

	if (netlink == NULL)
		return -errno;
	header = mnl_nlmsg_put_header(request.bytes);
	header->nlmsg_type = RTM_GETNETCONF;
	payload = mnl_nlmsg_put_extra_header(header, sizeof(*payload));
	payload->ncm_family = AF_INET;
	mnl_attr_put_u32(header, NETCONFA_IFINDEX, (uint32_t)NETCONFA_IFINDEX_ALL);
	error = netlink_ask(netlink, header, each_netconf, NULL, &value);
	netlink_close(netlink);
	return error < 0 ? error : value;
}

int interfaces_open_notices(void)
{
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	int error;

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

void interfaces_drain_notices(int fd)
{
	char notice[8192];

	/* Which has changed does not matter; an overrun (ENOBUFS) means the same. */
	while (recv(fd, notice, sizeof(notice), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
		continue;
}
