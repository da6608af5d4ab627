/* SPDX-License-Identifier: MIT */
/*
 * What the kernel must let by at lo. Packets of a balancer that is behind an interface become the
 * upstream's connection there, and so do those of one on lo where connections are tracked: they
 * enter by lo, and are judged as packets that come from outside are. IPv4 alone: IPv6 has no such
 * checks.
 */
#ifndef MMPROXY_OFFLOAD_LOOPBACK_NEEDS_H
#define MMPROXY_OFFLOAD_LOOPBACK_NEEDS_H

#include <stdbool.h>

/* For packets to ... */
struct loopback_need {
	/*
	 * ... 127.0.0.0/8: route_localnet; and accept_local, for a client whose answers a rule
	 * keeps on this host. Without them packets still pass as long as the upstream's socket
	 * remembers a route (early demultiplexing), and are dropped after the next change of any.
	 */
	bool loopback_upstream;
	/* ... another address of this host: accept_local as well, and rp_filter must not be strict.
	 */
	bool other_upstream;
};

struct loopback_needs {
	struct loopback_need always;
	struct loopback_need tracked; /* where connections are tracked */
};

#endif
