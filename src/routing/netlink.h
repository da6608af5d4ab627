/* SPDX-License-Identifier: MIT */
/*
 * One conversation with the kernel over netlink: a request and its acknowledgement, or a request
 * and all that it lists. Messages are built and read with libmnl; this is what each of its users
 * would otherwise write again.
 */
#ifndef MMPROXY_ROUTING_NETLINK_H
#define MMPROXY_ROUTING_NETLINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

/* Bytes of a request; ours are rules, routes and lookups, which need some 200. */
#define NETLINK_REQUEST_SIZE 1024

/*
 * A request with room for its attributes, aligned as libmnl wants it. Zeroed before it is filled:
 * what pads its attributes goes to the kernel as well.
 */
union netlink_request {
	char bytes[NETLINK_REQUEST_SIZE]; /* the first member, which = {0} is about */
	struct nlmsghdr header;
};

struct netlink;

/*
 * `bus`: NETLINK_ROUTE, NETLINK_NETFILTER, NETLINK_SOCK_DIAG. NULL with errno set: the kernel has
 * no such bus, or descriptors or memory are out.
 */
struct netlink *netlink_open(int bus);
void netlink_close(struct netlink *netlink); /* takes NULL */

/*
 * Is given each message of an answer, and returns 0, or -errno, which ends the listening and
 * becomes what the request returns.
 */
typedef int netlink_each(const struct nlmsghdr *message, void *context);

/*
 * Sends a request and waits for its end. The caller has filled in type, flags (NLM_F_DUMP for a
 * list; NLM_F_REQUEST and what is needed for the rest are added here) and payload; the sequence
 * number is set here. `each` may be NULL. A list that changed while it was read is read again, from
 * its beginning: `restart`, unless NULL, is called before.
 *
 * Returns 0 or -errno: what the kernel said, what `each` said, or -ETIMEDOUT after two seconds of
 * silence.
 */
int netlink_ask(struct netlink *netlink, struct nlmsghdr *request, netlink_each *each,
		void (*restart)(void *context), void *context);

#endif
