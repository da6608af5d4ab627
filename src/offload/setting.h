/* SPDX-License-Identifier: MIT */
#ifndef MMPROXY_OFFLOAD_SETTING_H
#define MMPROXY_OFFLOAD_SETTING_H

/*
 * A number below /proc/sys, such as "net/ipv4/conf/lo/route_localnet"; 0 where there is none. As
 * it is now: others may change it.
 */
int kernel_setting(const char *name);

#endif
