/* SPDX-License-Identifier: MIT */
/* Deleting an entry, as conntrack(8) -D does: nfnetlink, by the tuple of its first packet. */
#include "offload/conntrack.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include "offload/tuple.h"

/* Some 120 bytes. */
#define MESSAGE_SIZE 512

static void put_addresses(struct nlmsghdr *message, const struct offload_tuple *tuple, bool ipv4)
{
	struct nlattr *nest = mnl_attr_nest_start(message, CTA_TUPLE_IP);

	if (ipv4) {
		mnl_attr_put_u32(message, CTA_IP_V4_SRC, tuple->source[3]);
		mnl_attr_put_u32(message, CTA_IP_V4_DST, tuple->destination[3]);
	} else {
		mnl_attr_put(message, CTA_IP_V6_SRC, sizeof(tuple->source), tuple->source);
		mnl_attr_put(message, CTA_IP_V6_DST, sizeof(tuple->destination),
			     tuple->destination);
	}
	mnl_attr_nest_end(message, nest);
}

static void put_ports(struct nlmsghdr *message, const struct offload_tuple *tuple)
{
	struct nlattr *nest = mnl_attr_nest_start(message, CTA_TUPLE_PROTO);

	mnl_attr_put_u8(message, CTA_PROTO_NUM, IPPROTO_TCP);
	mnl_attr_put_u16(message, CTA_PROTO_SRC_PORT, tuple->source_port);
	mnl_attr_put_u16(message, CTA_PROTO_DST_PORT, tuple->destination_port);
	mnl_attr_nest_end(message, nest);
}

static struct nlmsghdr *write_message(char *room, const struct offload_tuple *tuple)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(room);
	bool ipv4 = offload_tuple_is_ipv4(tuple);
	struct nfgenmsg *general;
	struct nlattr *nest;

	message->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
	message->nlmsg_flags = NLM_F_REQUEST;
	general = mnl_nlmsg_put_extra_header(message, sizeof(*general));
	general->nfgen_family = ipv4 ? AF_INET : AF_INET6;
	general->version = NFNETLINK_V0;
	nest = mnl_attr_nest_start(message, CTA_TUPLE_ORIG);
	put_addresses(message, tuple, ipv4);
	put_ports(message, tuple);
	mnl_attr_nest_end(message, nest);
	return message;
}

void conntrack_forget(const struct offload_tuple *tuple)
{
	_Alignas(struct nlmsghdr) char room[MESSAGE_SIZE];
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	struct nlmsghdr *message;

	if (socket == NULL)
		return;
	message = write_message(room, tuple);
	mnl_socket_sendto(socket, message, message->nlmsg_len);
	mnl_socket_close(socket);
}
