/* SPDX-License-Identifier: MIT */
/* One question to ctnetlink, and two numbers from /proc. */
#include "doctor/conntrack.h"

#include <errno.h>
#include <inttypes.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <stdio.h>

#include "routing/netlink.h"

#define CONNTRACK_COUNT "/proc/sys/net/netfilter/nf_conntrack_count"
#define CONNTRACK_MAX   "/proc/sys/net/netfilter/nf_conntrack_max"

static int read_number(const char *path, uint64_t *number)
{
	FILE *file = fopen(path, "re");
	int read;

	if (file == NULL)
		return -ENOENT;
	read = fscanf(file, "%" SCNu64, number);
	fclose(file);
	return read == 1 ? 0 : -ENOENT;
}

int conntrack_fill(struct conntrack_fill *fill)
{
	if (read_number(CONNTRACK_COUNT, &fill->count) < 0 ||
	    read_number(CONNTRACK_MAX, &fill->max) < 0)
		return -ENOENT;
	return 0;
}

/*
 * Reading: an entry holds a tuple, which holds addresses and ports.
 */

struct tuple {
	struct address source, destination;
};

static int ip_attribute(const struct nlattr *attribute, void *context)
{
	struct tuple *tuple = context;
	const uint8_t *ip = mnl_attr_get_payload(attribute);
	uint16_t length = mnl_attr_get_payload_len(attribute);

	switch (mnl_attr_get_type(attribute)) {
	case CTA_IP_V4_SRC:
		if (length == 4)
			tuple->source = address_from_ipv4(ip, tuple->source.port);
		break;
	case CTA_IP_V4_DST:
		if (length == 4)
			tuple->destination = address_from_ipv4(ip, tuple->destination.port);
		break;
	case CTA_IP_V6_SRC:
		if (length == 16)
			tuple->source = address_from_ipv6(ip, tuple->source.port);
		break;
	case CTA_IP_V6_DST:
		if (length == 16)
			tuple->destination = address_from_ipv6(ip, tuple->destination.port);
		break;
	}
	return MNL_CB_OK;
}

static int port_attribute(const struct nlattr *attribute, void *context)
{
	struct tuple *tuple = context;

	if (mnl_attr_validate(attribute, MNL_TYPE_U16) < 0)
		return MNL_CB_OK;
	switch (mnl_attr_get_type(attribute)) {
	case CTA_PROTO_SRC_PORT:
		tuple->source.port = ntohs(mnl_attr_get_u16(attribute));
		break;
	case CTA_PROTO_DST_PORT:
		tuple->destination.port = ntohs(mnl_attr_get_u16(attribute));
		break;
	}
	return MNL_CB_OK;
}

static int tuple_attribute(const struct nlattr *attribute, void *context)
{
	switch (mnl_attr_get_type(attribute)) {
	case CTA_TUPLE_IP:
		return mnl_attr_parse_nested(attribute, ip_attribute, context);
	case CTA_TUPLE_PROTO:
		return mnl_attr_parse_nested(attribute, port_attribute, context);
	}
	return MNL_CB_OK;
}

static int entry_attribute(const struct nlattr *attribute, void *context)
{
	struct conntrack_entry *entry = context;
	struct tuple tuple = {0};

	switch (mnl_attr_get_type(attribute)) {
	case CTA_TUPLE_REPLY:
		mnl_attr_parse_nested(attribute, tuple_attribute, &tuple);
		entry->reply_source = tuple.source;
		entry->reply_destination = tuple.destination;
		break;
	case CTA_MARK:
		if (mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
			entry->mark = ntohl(mnl_attr_get_u32(attribute));
		break;
	}
	return MNL_CB_OK;
}

int conntrack_read(const struct nlmsghdr *message, struct conntrack_entry *entry)
{
	*entry = (struct conntrack_entry){0};
	if (message->nlmsg_type != (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW) ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(struct nfgenmsg))
		return -EINVAL;
	mnl_attr_parse(message, sizeof(struct nfgenmsg), entry_attribute, entry);
	return entry->reply_source.family == ADDRESS_NONE ||
			       entry->reply_destination.family == ADDRESS_NONE
		       ? -EINVAL
		       : 0;
}

/*
 * Asking.
 */

static void put_tuple(struct nlmsghdr *request, bool udp, const struct address *from,
		      const struct address *to)
{
	bool ipv4 = from->family == ADDRESS_IPV4;
	size_t size = ipv4 ? 4 : 16;
	struct nlattr *tuple = mnl_attr_nest_start(request, CTA_TUPLE_ORIG);
	struct nlattr *part = mnl_attr_nest_start(request, CTA_TUPLE_IP);

	mnl_attr_put(request, ipv4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, size, from->ip);
	mnl_attr_put(request, ipv4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, size, to->ip);
	mnl_attr_nest_end(request, part);
	part = mnl_attr_nest_start(request, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(request, CTA_PROTO_NUM, udp ? IPPROTO_UDP : IPPROTO_TCP);
	mnl_attr_put_u16(request, CTA_PROTO_SRC_PORT, htons(from->port));
	mnl_attr_put_u16(request, CTA_PROTO_DST_PORT, htons(to->port));
	mnl_attr_nest_end(request, part);
	mnl_attr_nest_end(request, tuple);
}

static int entry_found(const struct nlmsghdr *message, void *context)
{
	return conntrack_read(message, context);
}

int conntrack_find(struct netlink *netlink, bool udp, const struct address *from,
		   const struct address *to, struct conntrack_entry *entry)
{
	union netlink_request request = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct nfgenmsg *nfgen = mnl_nlmsg_put_extra_header(header, sizeof(*nfgen));
	struct conntrack_fill fill;

	/* The question alone would load the module where there is none. */
	if (conntrack_fill(&fill) < 0)
		return -ENOENT;
	*entry = (struct conntrack_entry){0};
	header->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
	nfgen->nfgen_family = from->family == ADDRESS_IPV4 ? AF_INET : AF_INET6;
	nfgen->version = NFNETLINK_V0;
	put_tuple(header, udp, from, to);
	return netlink_ask(netlink, header, entry_found, NULL, entry);
}
