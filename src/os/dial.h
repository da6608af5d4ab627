/* SPDX-License-Identifier: MIT */
/*
 * The transparent dial: a socket connected to the upstream from an address and port that belong to
 * somebody else. Needs CAP_NET_ADMIN, and routes that bring the replies back (doc/routing.md).
 */
#ifndef MMPROXY_OS_DIAL_H
#define MMPROXY_OS_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/close_reason.h"

struct sys;

struct dial_request {
	struct address source;   /* the client; port 0: the kernel picks one */
	struct address upstream; /* of the same family */
	uint32_t mark;           /* SO_MARK; 0: none */
	bool keep_port;          /* refuse rather than take another port of the client's address */
	uint32_t user_timeout;   /* TCP: milliseconds, as for socket_set_liveness() */
	uint32_t keepalive;      /* TCP */
	uint16_t segment; /* TCP: the largest that the upstream may send; 0: as the path has it */
};

struct dial_result {
	int fd; /* connecting (TCP), or connected; -1 on failure */
	enum close_reason reason;
	const char *step;     /* the call that failed, for the log */
	int error;            /* its -errno */
	bool repair_bind;     /* the port was taken, and kept by a bind in repair mode */
	bool port_conflict;   /* the port could not be kept: somebody has it */
	bool port_privileged; /* the port could not be kept: binding below 1024 is not ours */
};

/* Both return 0 with result->fd owned by the caller, or -1 with a reason. */
int dial_tcp(const struct sys *sys, const struct dial_request *request, struct dial_result *result);

/*
 * UDP has no repair mode: a port that a wildcard socket of this host holds cannot be kept, unless
 * that socket has SO_REUSEADDR.
 */
int dial_udp(const struct sys *sys, const struct dial_request *request, struct dial_result *result);

/*
 * A TCP connection from an address of this host, as anybody would make it, which needs no return
 * path. Returns the socket, which is connecting, or -errno.
 */
int dial_plain(const struct sys *sys, const struct address *upstream);

#endif
