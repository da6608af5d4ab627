/* SPDX-License-Identifier: MIT */
/* Sockets that the service manager has opened and passed: sd_listen_fds(3). */
#ifndef MMPROXY_OS_PASSED_SOCKETS_H
#define MMPROXY_OS_PASSED_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>

#include "os/listen.h"

struct report;

struct passed_socket {
	int fd;
	int type;                        /* SOCK_STREAM or SOCK_DGRAM */
	char *name;                      /* FileDescriptorName= of its unit */
	struct listen_endpoint endpoint; /* what it is bound to */
};

struct passed_sockets {
	struct passed_socket *sockets;
	size_t count;
};

/*
 * Takes what was passed to this process; none without a service manager. They stay open for as long
 * as the process lives. Returns 0, or -EINVAL with a line for each that is of no use here, a socket
 * of another family for instance.
 */
int passed_sockets_take(struct passed_sockets *passed, struct report *mistakes);
void passed_sockets_finish(struct passed_sockets *passed);

#endif
