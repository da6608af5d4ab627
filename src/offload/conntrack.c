/* SPDX-License-Identifier: MIT */
/* What conntrack(8) asks with -S and -D, by nfnetlink. */
#include "offload/conntrack.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <unistd.h>

#include "offload/tuple.h"

/* The longest has some 120 bytes. */
#define MESSAGE_SIZE 512

#define MODULE "/sys/module/nf_conntrack"

static struct nlmsghdr *begin(char *room, unsigned type, unsigned family)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(room);
	struct nfgenmsg *general;

	message->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
	message->nlmsg_flags = NLM_F_REQUEST;
	general = mnl_nlmsg_put_extra_header(message, sizeof(*general));
	general->nfgen_family = (uint8_t)family;
	general->version = NFNETLINK_V0;
	return message;
}

static int find_entries(const struct nlattr *attribute, void *entries)
{
	if (mnl_attr_get_type(attribute) == CTA_STATS_GLOBAL_ENTRIES &&
	    mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
		*(int64_t *)entries = ntohl(mnl_attr_get_u32(attribute));
	return MNL_CB_OK;
}

static int read_stats(const struct nlmsghdr *message, void *entries)
{
	return mnl_attr_parse(message, sizeof(struct nfgenmsg), find_entries, entries);
}

/* -1: nobody says. */
static int64_t count_entries(struct mnl_socket *socket)
{
	_Alignas(struct nlmsghdr) char room[MESSAGE_SIZE];
	struct nlmsghdr *message = begin(room, IPCTNL_MSG_CT_GET_STATS, AF_UNSPEC);
	int64_t entries = -1;
	ssize_t length;

	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -1;
	length = mnl_socket_recvfrom(socket, room, sizeof(room));
	if (length > 0)
		mnl_cb_run(room, (size_t)length, 0, 0, read_stats, &entries);
	return entries;
}

/* Asking would load the module, where there is none. Who can't be asked is taken to be there. */
bool conntrack_is_active(void)
{
	struct mnl_socket *socket;
	int64_t entries = -1;

	if (access(MODULE, F_OK) < 0 && access("/sys/module", F_OK) == 0)
		return false;
	socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (socket != NULL) {
		entries = count_entries(socket);
		mnl_socket_close(socket);
	}
	return entries != 0;
}

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

void conntrack_forget(const struct offload_tuple *tuple)
{
	_Alignas(struct nlmsghdr) char room[MESSAGE_SIZE];
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	bool ipv4 = offload_tuple_is_ipv4(tuple);
	struct nlmsghdr *message;
	struct nlattr *nest;

	if (socket == NULL)
		return;
	message = begin(room, IPCTNL_MSG_CT_DELETE, ipv4 ? AF_INET : AF_INET6);
	nest = mnl_attr_nest_start(message, CTA_TUPLE_ORIG);
	put_addresses(message, tuple, ipv4);
	put_ports(message, tuple);
	mnl_attr_nest_end(message, nest);
	mnl_socket_sendto(socket, message, message->nlmsg_len);
	mnl_socket_close(socket);
}
