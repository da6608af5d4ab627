/* SPDX-License-Identifier: MIT */
#ifndef MMPROXY_OFFLOAD_LOOPBACK_ROUTE_H
#define MMPROXY_OFFLOAD_LOOPBACK_ROUTE_H

#include <linux/types.h>
#include <stdbool.h>

/*
 * Would the kernel take a packet with this destination (as in struct offload_tuple) that came by an
 * interface, and is put to lo? To 127.0.0.0/8 only where net.ipv4.conf.lo.route_localnet says so.
 */
bool loopback_route_is_open(const __u32 destination[static 4]);

#endif
