/* SPDX-License-Identifier: MIT */
/* Settings of lo that the offload needs: looked at, changed, and put back. */
#ifndef MMPROXY_OFFLOAD_LOOPBACK_H
#define MMPROXY_OFFLOAD_LOOPBACK_H

#include <stddef.h>

#include "offload/loopback_needs.h"

struct report;
struct remembered;

/* Numbers are of the pinned map: they never change. */
enum loopback_setting {
	LOOPBACK_ROUTE_LOCALNET = 0,
	LOOPBACK_ACCEPT_LOCAL = 1,
	LOOPBACK_RP_FILTER = 2,
	LOOPBACK_SETTING_COUNT,
};

/* "net.ipv4.conf.lo.route_localnet" */
const char *loopback_setting_name(enum loopback_setting setting);

/* A setting that is not as the needs want it, and what it should be. */
struct loopback_lack {
	enum loopback_setting setting;
	int should_be;
};

/*
 * What is missing, into `lacks`. The number of them, or -errno when the kernel cannot be asked.
 * Takes no privilege and no file.
 */
int loopback_look(const struct loopback_needs *needs,
		  struct loopback_lack lacks[static LOOPBACK_SETTING_COUNT]);

/*
 * Sets what is missing, and remembers in the map what was there. The number of settings that were
 * changed, or -errno with a line in the report. Takes root.
 */
int loopback_prepare(const struct loopback_needs *needs, int remembered, struct report *report);

/*
 * Puts one back, unless somebody has changed it since; or what was remembered is nothing that
 * loopback_prepare() does, which is told in `notes`. 0 or -errno with a line in the report.
 */
int loopback_put_back(const struct remembered *what, struct report *notes, struct report *report);

#endif
