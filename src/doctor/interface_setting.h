/* SPDX-License-Identifier: MIT */
/* Settings that IPv4 has for each interface: /proc/sys/net/ipv4/conf. */
#ifndef MMPROXY_DOCTOR_INTERFACE_SETTING_H
#define MMPROXY_DOCTOR_INTERFACE_SETTING_H

#include <stdbool.h>

/* Its number; -ENOENT: there is no such interface or setting. "all" is an interface here. */
int interface_setting_read(const char *interface, const char *name);

/* Is it on for `all`, or for any interface but lo? */
bool interface_setting_is_on_somewhere(const char *name);

#endif
