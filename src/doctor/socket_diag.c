/* SPDX-License-Identifier: MIT */
/*
 * Lists of both families, since a socket of IPv6 may serve IPv4. Its addresses come as IPv4-mapped
 * ones then, and leave here as IPv4.
 */
#include "doctor/socket_diag.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "os/own_addresses.h"
#include "os/sys.h"
#include "routing/netlink.h"
#include "routing/return_plan.h"

/* The kernel's states as bits of a question. A UDP socket is "closed" until it is connected. */
#define STATE(name) (1U << TCP_##name)
#define STATES_CONNECTED                                                                           \
	(STATE(ESTABLISHED) | STATE(SYN_RECV) | STATE(CLOSE_WAIT) | STATE(FIN_WAIT1) |             \
	 STATE(FIN_WAIT2) | STATE(SYN_SENT))

/* What a list is being read for. */
struct reading {
	struct socket_list *list;
	bool udp;
	bool (*wanted)(const struct socket_info *socket, void *context); /* NULL: all are */
	void *context;
};

static int socket_attribute(const struct nlattr *attribute, void *context)
{
	struct socket_info *socket = context;

	switch (mnl_attr_get_type(attribute)) {
	case INET_DIAG_SKV6ONLY:
		if (mnl_attr_validate(attribute, MNL_TYPE_U8) == 0)
			socket->both_families = mnl_attr_get_u8(attribute) == 0;
		break;
	case INET_DIAG_MARK:
		if (mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
			socket->mark = mnl_attr_get_u32(attribute);
		break;
	}
	return MNL_CB_OK;
}

static struct address read_address(uint8_t family, const __be32 ip[4], __be16 port)
{
	uint8_t bytes[16];

	memcpy(bytes, ip, sizeof(bytes));
	return family == AF_INET ? address_from_ipv4(bytes, ntohs(port))
				 : address_from_ipv6(bytes, ntohs(port));
}

static int socket_listed(const struct nlmsghdr *message, void *context)
{
	const struct reading *reading = context;
	const struct inet_diag_msg *told = mnl_nlmsg_get_payload(message);
	struct socket_info *grown, socket = {.udp = reading->udp};

	if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*told))
		return 0;
	socket.local = read_address(told->idiag_family, told->id.idiag_src, told->id.idiag_sport);
	socket.peer = read_address(told->idiag_family, told->id.idiag_dst, told->id.idiag_dport);
	if (socket.peer.port == 0)
		socket.peer = (struct address){0};
	socket.uid = told->idiag_uid;
	socket.inode = told->idiag_inode;
	socket.interface = told->id.idiag_if;
	mnl_attr_parse(message, sizeof(*told), socket_attribute, &socket);
	socket.both_families = socket.both_families && address_is_wildcard(&socket.local);
	if (reading->wanted != NULL && !reading->wanted(&socket, reading->context))
		return 0;
	grown = reallocarray(reading->list->sockets, reading->list->count + 1, sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	reading->list->sockets = grown;
	grown[reading->list->count++] = socket;
	return 0;
}

int socket_diag_ask(struct netlink *netlink, const struct inet_diag_req_v2 *wanted,
		    netlink_each *each, void *context)
{
	union netlink_request request = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct inet_diag_req_v2 *question = mnl_nlmsg_put_extra_header(header, sizeof(*question));

	header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	header->nlmsg_flags = NLM_F_DUMP;
	*question = *wanted;
	return netlink_ask(netlink, header, each, NULL, context);
}

static int read_family(struct netlink *netlink, struct reading *reading, uint8_t family,
		       uint32_t states, uint16_t port)
{
	const struct inet_diag_req_v2 question = {
		.sdiag_family = family,
		.sdiag_protocol = reading->udp ? IPPROTO_UDP : IPPROTO_TCP,
		.idiag_states = states,
		.id.idiag_sport = htons(port),
	};

	return socket_diag_ask(netlink, &question, socket_listed, reading);
}

static int read_sockets(struct netlink *netlink, struct reading *reading, uint32_t states,
			uint16_t port)
{
	int error;

	*reading->list = (struct socket_list){0};
	error = read_family(netlink, reading, AF_INET, states, port);
	if (error == 0)
		error = read_family(netlink, reading, AF_INET6, states, port);
	if (error == -ENOENT) /* a kernel without that family, or protocol */
		error = 0;
	if (error < 0)
		socket_list_finish(reading->list);
	return error;
}

int socket_diag_listening(struct netlink *netlink, bool udp, uint16_t port,
			  struct socket_list *list)
{
	struct reading reading = {.list = list, .udp = udp};

	return read_sockets(netlink, &reading, udp ? STATE(CLOSE) : STATE(LISTEN), port);
}

int socket_diag_connected(struct netlink *netlink, bool udp, uint16_t port,
			  struct socket_list *list)
{
	struct reading reading = {.list = list, .udp = udp};

	return read_sockets(netlink, &reading, STATES_CONNECTED, port);
}

/*
 * Sockets of clients.
 */

struct foreign {
	const struct own_addresses *own;
	uint8_t ports[65536 / 8]; /* of which one is listed already */
};

static bool is_foreign(const struct socket_info *socket, void *context)
{
	struct foreign *foreign = context;
	uint16_t port = socket->local.port;
	uint8_t bit = (uint8_t)(1U << (port & 7));

	if ((foreign->ports[port >> 3] & bit) != 0 || address_is_wildcard(&socket->local) ||
	    return_path_is_loopback(&socket->local) ||
	    prefix_set_contains(foreign->own->own.addresses, &socket->local))
		return false;
	foreign->ports[port >> 3] |= bit;
	return true;
}

int socket_diag_foreign(struct netlink *netlink, bool udp, struct socket_list *list)
{
	struct own_addresses *own = own_addresses_read();
	struct foreign foreign = {.own = own};
	struct reading reading = {list, udp, is_foreign, &foreign};
	int error;

	*list = (struct socket_list){0};
	if (own == NULL)
		return -errno;
	error = read_sockets(netlink, &reading, STATES_CONNECTED, 0);
	refcount_drop(&own->refcount);
	return error;
}

/*
 * The end of a connection.
 */

static int open_notices(struct mnl_socket **notices)
{
	int groups[] = {SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY};

	*notices = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (*notices == NULL)
		return -errno;
	if (mnl_socket_bind(*notices, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (mnl_socket_setsockopt(*notices, NETLINK_ADD_MEMBERSHIP, &groups[i],
					  sizeof(groups[i])) < 0)
			return -errno;
	}
	return 0;
}

static int is_connected(struct netlink *netlink, const struct socket_info *socket)
{
	struct socket_list list;
	bool found = false;
	int error = socket_diag_connected(netlink, false, socket->local.port, &list);

	for (size_t i = 0; error == 0 && i < list.count; i++)
		found = found || list.sockets[i].inode == socket->inode;
	socket_list_finish(&list);
	return error < 0 ? error : found ? 1 : 0;
}

/* Some socket was freed, this one or another. -ETIMEDOUT: none was. */
static int await_notice(struct mnl_socket *notices, int patience)
{
	struct pollfd waited = {.fd = mnl_socket_get_fd(notices), .events = POLLIN};
	int ready = poll(&waited, 1, patience);
	char buffer[4096];

	if (ready <= 0)
		return ready < 0 ? -errno : -ETIMEDOUT;
	while (mnl_socket_recvfrom(notices, buffer, sizeof(buffer)) > 0)
		continue;
	return 0;
}

int socket_diag_await_end(struct netlink *netlink, const struct socket_info *socket, int patience)
{
	uint64_t end = sys_linux.clock() + (uint64_t)patience * 1000, now = 0;
	struct mnl_socket *notices = NULL;
	int error = open_notices(&notices), there = 0;

	while (error == 0) {
		there = is_connected(netlink, socket);
		now = sys_linux.clock();
		if (there <= 0 || now >= end)
			break;
		error = await_notice(notices, (int)((end - now + 999) / 1000));
	}
	if (notices != NULL)
		mnl_socket_close(notices);
	if (error < 0 || there < 0)
		return error < 0 ? error : there;
	return there == 0 ? 0 : -ETIMEDOUT;
}

void socket_list_finish(struct socket_list *list)
{
	free(list->sockets);
	*list = (struct socket_list){0};
}

/*
 * Whom a packet reaches.
 */

bool socket_info_takes(const struct socket_info *socket, const struct address *to)
{
	if (socket->local.port != to->port)
		return false;
	if (!address_is_wildcard(&socket->local))
		return address_equal_ip(&socket->local, to);
	return socket->local.family == to->family || socket->both_families;
}

const struct socket_info *socket_list_taker(const struct socket_list *list,
					    const struct address *to)
{
	const struct socket_info *best = NULL;

	for (size_t i = 0; i < list->count; i++) {
		const struct socket_info *socket = &list->sockets[i];

		if (!socket_info_takes(socket, to))
			continue;
		if (best == NULL || address_is_wildcard(&best->local) ||
		    !address_is_wildcard(&socket->local))
			best = socket;
	}
	return best;
}

const struct socket_info *socket_list_connection(const struct socket_list *list,
						 const struct address *local,
						 const struct address *peer)
{
	for (size_t i = 0; i < list->count; i++) {
		if (address_equal(&list->sockets[i].local, local) &&
		    address_equal(&list->sockets[i].peer, peer))
			return &list->sockets[i];
	}
	return NULL;
}
