/* SPDX-License-Identifier: MIT */
/*
 * The sockets of this network namespace, as the kernel lists them (sock_diag(7)). Reading takes no
 * privilege; marks are given to CAP_NET_ADMIN only.
 */
#ifndef MMPROXY_DOCTOR_SOCKET_DIAG_H
#define MMPROXY_DOCTOR_SOCKET_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "routing/netlink.h"

struct inet_diag_req_v2;

struct socket_info {
	struct address local;
	struct address peer; /* ADDRESS_NONE: not connected */
	bool udp;
	bool both_families; /* `::` that takes IPv4, too */
	uint32_t uid;
	uint32_t inode;     /* 0: nobody has accepted it yet */
	uint32_t interface; /* SO_BINDTODEVICE; 0: any */
	uint32_t mark;
};

struct socket_list {
	struct socket_info *sockets;
	size_t count;
};

/* `netlink`, here and below: of NETLINK_SOCK_DIAG. All return 0 or -errno. */

/* The question itself, whose answers, one a socket, are given to `each` as they come. */
int socket_diag_ask(struct netlink *netlink, const struct inet_diag_req_v2 *wanted,
		    netlink_each *each, void *context);

/* TCP sockets that listen, or UDP sockets that are bound and not connected, at this port (0: any).
 */
int socket_diag_listening(struct netlink *netlink, bool udp, uint16_t port,
			  struct socket_list *list);

/* Connected ones, also those that await accept. `port`: the local one; 0: any. */
int socket_diag_connected(struct netlink *netlink, bool udp, uint16_t port,
			  struct socket_list *list);

/*
 * Connected ones that speak from an address that is not this host's, one for each local port: what
 * mmproxy, or whoever else is transparent, holds for clients.
 */
int socket_diag_foreign(struct netlink *netlink, bool udp, struct socket_list *list);

/*
 * Waits until this TCP connection has ended, or for `patience` milliseconds. 0; -ETIMEDOUT: it
 * stands; -errno. The kernel tells when it frees a socket, so nothing is asked again and again.
 */
int socket_diag_await_end(struct netlink *netlink, const struct socket_info *socket, int patience);

void socket_list_finish(struct socket_list *list);

/* Would it be given what arrives for this address and port, were nothing more specific there? */
bool socket_info_takes(const struct socket_info *socket, const struct address *to);

/* The one of the list that is given it: the most specific. NULL: nobody. */
const struct socket_info *socket_list_taker(const struct socket_list *list,
					    const struct address *to);

/* The one that is connected from `local` to `peer`. NULL: none. */
const struct socket_info *socket_list_connection(const struct socket_list *list,
						 const struct address *local,
						 const struct address *peer);

#endif
