/* SPDX-License-Identifier: MIT */
/* Opening listening sockets, or taking over those that were passed. Opening needs the start's
 * privileges when the port is below 1024. */
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

bool listen_endpoint_equal(const struct listen_endpoint *a, const struct listen_endpoint *b);
/*
 * Is `bound` what somebody meant who wrote `written`? On a host without IPv6 "*:port" ends up as
 * 0.0.0.0.
 */
bool listen_endpoint_meant(const struct listen_endpoint *written,
			   const struct listen_endpoint *bound);

struct listen_options {
	int backlog;        /* the kernel caps it at net.core.somaxconn */
	bool freebind;      /* the address need not be on this host yet */
	const char *device; /* SO_BINDTODEVICE; NULL: any */
};

/*
 * Several sockets of ours may share an address, one a worker (SO_REUSEPORT). The first of them
 * binds alone, so that a second mmproxy is refused rather than handed half of the connections.
 */
enum listen_sharing {
	LISTEN_ALONE,
	LISTEN_FIRST,
	LISTEN_JOIN, /* after the first */
};

/*
 * Opens one non-blocking socket that listens. Returns the descriptor or -errno; *step then names
 * the call that failed.
 */
int listen_open_tcp(const struct listen_endpoint *endpoint, const struct listen_options *options,
		    enum listen_sharing sharing, const char **step);

/*
 * The same for UDP. The socket says with each datagram how many were lost before it for want of
 * room (SO_RXQ_OVFL), takes several in one buffer where the kernel has them together (UDP_GRO), and
 * on a wildcard address says which address was asked (IP_PKTINFO, IPV6_RECVPKTINFO).
 */
int listen_open_udp(const struct listen_endpoint *endpoint, const struct listen_options *options,
		    enum listen_sharing sharing, const char **step);

/*
 * Could it be opened? Binds as the above do, and closes again; nothing ever listens. 0 or -errno,
 * with the step.
 */
int listen_try(const struct listen_endpoint *endpoint, const struct listen_options *options,
	       bool udp, const char **step);

/*
 * Makes what the service manager has opened like one of ours, as far as that can be done to a bound
 * socket. One of TCP listens already, with the backlog that it was given. 0 or -errno, with the
 * step.
 */
int listen_adopt_tcp(int fd, const char **step);
int listen_adopt_udp(int fd, const struct listen_endpoint *endpoint, const char **step);

#endif
