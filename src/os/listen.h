/* SPDX-License-Identifier: MIT */
/* Opening listening sockets. Needs the start's privileges when the port is below 1024. */
#ifndef MMPROXY_OS_LISTEN_H
#define MMPROXY_OS_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

struct listen_endpoint {
	struct address address;
	bool both_families; /* "*:port": [::] that takes IPv4 too, or 0.0.0.0 on a host without IPv6
			     */
};

struct listen_options {
	int backlog;        /* the kernel caps it at net.core.somaxconn */
	bool freebind;      /* the address need not be on this host yet */
	const char *device; /* SO_BINDTODEVICE; NULL: any */
};

/*
 * Opens one non-blocking TCP socket that listens. With `share_port` it joins (or starts) a
 * SO_REUSEPORT group, so that each worker can have its own.
 * Returns the descriptor or -errno; *step then names the call that failed.
 */
int listen_open_tcp(const struct listen_endpoint *endpoint, const struct listen_options *options,
		    bool share_port, const char **step);

#endif
