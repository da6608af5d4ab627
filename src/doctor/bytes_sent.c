/* SPDX-License-Identifier: MIT */
/* By itself, for the kernel's struct tcp_info and libc's, which has less, cannot be had together.
 */
#include "doctor/bytes_sent.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "doctor/socket_diag.h"
#include "routing/netlink.h"

struct counting {
	uint32_t inode;
	bool found;
	uint64_t sent;
};

static int count_attribute(const struct nlattr *attribute, void *context)
{
	struct counting *counting = context;
	const size_t place = offsetof(struct tcp_info, tcpi_bytes_sent);
	const uint8_t *info = mnl_attr_get_payload(attribute);

	if (mnl_attr_get_type(attribute) != INET_DIAG_INFO ||
	    mnl_attr_get_payload_len(attribute) < place + sizeof(counting->sent))
		return MNL_CB_OK;
	memcpy(&counting->sent, info + place, sizeof(counting->sent));
	counting->found = true;
	return MNL_CB_OK;
}

static int connection_listed(const struct nlmsghdr *message, void *context)
{
	const struct inet_diag_msg *told = mnl_nlmsg_get_payload(message);
	const struct counting *counting = context;

	if (message->nlmsg_type == SOCK_DIAG_BY_FAMILY &&
	    mnl_nlmsg_get_payload_len(message) >= sizeof(*told) &&
	    told->idiag_inode == counting->inode)
		mnl_attr_parse(message, sizeof(*told), count_attribute, context);
	return 0;
}

static int ask(struct netlink *netlink, uint8_t family, uint16_t port, struct counting *counting)
{
	const struct inet_diag_req_v2 question = {
		.sdiag_family = family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = UINT32_MAX,
		.idiag_ext = 1U << (INET_DIAG_INFO - 1),
		.id.idiag_sport = htons(port),
	};

	return socket_diag_ask(netlink, &question, connection_listed, counting);
}

/* A socket of IPv6 may speak IPv4, and is listed with its own family. */
int bytes_sent_read(struct netlink *netlink, const struct socket_info *socket, uint64_t *sent)
{
	struct counting counting = {.inode = socket->inode};
	int error = ask(netlink, AF_INET, socket->local.port, &counting);

	if (error == 0 && !counting.found)
		error = ask(netlink, AF_INET6, socket->local.port, &counting);
	*sent = counting.sent;
	return error < 0 ? error : counting.found ? 0 : -ENOENT;
}
