/* SPDX-License-Identifier: MIT */
/*
 * Who answers at an upstream's address: the server, or a program that opens a connection of its own
 * for each that it accepts (docker-proxy, rootlessport, socat), whose server sees its address
 * instead of the client's.
 *
 *	forwarder_watch_begin()     before the probe
 *	forwarder_watch_connected() while it stands
 *	forwarder_watch_ended()     when it was reset
 */
#ifndef MMPROXY_DOCTOR_FORWARDER_H
#define MMPROXY_DOCTOR_FORWARDER_H

#include <stdbool.h>

#include "base/address.h"
#include "doctor/processes.h"
#include "doctor/socket_diag.h"

struct netlink;
struct probe;

struct forwarder_watch {
	struct netlink *sockets;   /* of NETLINK_SOCK_DIAG; the caller's */
	struct socket_list before; /* connections that stood already */
	struct socket_list listening;
	struct process server;      /* who has accepted the probe; pid 0: not known */
	struct socket_info onwards; /* the connection that it opened then; inode 0: none was seen */
	bool found;                 /* it is a forwarder */
};

void forwarder_watch_begin(struct forwarder_watch *watch, struct netlink *sockets);
/* Both are given the watch as `context`, so that they can be called back. */
void forwarder_watch_connected(const struct probe *probe, void *context);
void forwarder_watch_ended(void *context);
void forwarder_watch_finish(struct forwarder_watch *watch);

/* By name alone: the process that listens for this upstream. False: it is none, or not known. */
bool forwarder_listens(struct netlink *sockets, const struct address *upstream, bool udp,
		       struct process *process);

#endif
