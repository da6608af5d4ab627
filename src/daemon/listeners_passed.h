/* SPDX-License-Identifier: MIT */
/* Which listener a passed socket is for. */
#ifndef MMPROXY_DAEMON_LISTENERS_PASSED_H
#define MMPROXY_DAEMON_LISTENERS_PASSED_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "os/passed_sockets.h"

struct listening;
struct server;

/* Nobody's. */
#define LISTENERS_NOBODY ((size_t)-1)

/* That of its name and protocol, or else of its protocol with its address in `listen`. */
size_t listeners_owner(const struct passed_socket *socket, const struct config *config);

/*
 * One nobody's is a mistake at the start, and a remark later. Returns 0, or -EINVAL after a line
 * for each mistake.
 */
int listeners_check_passed(const struct passed_sockets *passed, const struct config *config,
			   bool starting, struct report *mistakes, struct report *remarks);

/* All that were passed for this address of a listener. NULL after a line for what has failed. */
struct listening *listeners_adopt(struct server *server, const struct config *config, size_t index,
				  const struct listen_endpoint *endpoint, struct report *mistakes);

#endif
