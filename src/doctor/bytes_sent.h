/* SPDX-License-Identifier: MIT */
/* What has been sent over a connection of somebody else's, as the kernel counts it (sock_diag(7)).
 */
#ifndef MMPROXY_DOCTOR_BYTES_SENT_H
#define MMPROXY_DOCTOR_BYTES_SENT_H

#include <stdint.h>

struct netlink;
struct socket_info;

/*
 * `netlink`: of NETLINK_SOCK_DIAG. 0; -ENOENT: the connection is gone, or this kernel (before 4.19)
 * does not count; or -errno.
 */
int bytes_sent_read(struct netlink *netlink, const struct socket_info *socket, uint64_t *sent);

#endif
