/* SPDX-License-Identifier: MIT */
/* Inside listeners.h: what the files that plan a generation's sockets share. */
#ifndef MMPROXY_DAEMON_LISTENERS_PLAN_H
#define MMPROXY_DAEMON_LISTENERS_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/config.h"
#include "daemon/listening.h"
#include "os/passed_sockets.h"

struct server;

/* listeners.c */

bool listeners_endpoint_equal(const struct listen_endpoint *a, const struct listen_endpoint *b);
/* Is `bound` what somebody meant who wrote `written`? */
bool listeners_endpoint_meant(const struct listen_endpoint *written,
			      const struct listen_endpoint *bound);
/* The one of the listener's endpoints that meant this; NULL: none. */
const struct listen_endpoint *listeners_find_endpoint(const struct config_listener *listener,
						      const struct listen_endpoint *bound);

/* listeners_passed.c */

/*
 * Whose is a passed socket? The listener's of its name and protocol, or else of its protocol with
 * its address in `listen`. LISTENERS_NONE: nobody's.
 */
size_t listeners_owner(const struct passed_socket *socket, const struct config *config);

/* One nobody's is a mistake at the start, and a remark later. */
void listeners_check_passed(const struct passed_sockets *passed, const struct config *config,
			    bool starting, struct report *mistakes, struct report *remarks);

/* All that were passed for this address of a listener. NULL when out of memory. */
struct listening *listeners_adopt(struct server *server, const struct config *config, size_t index,
				  const struct listen_endpoint *endpoint, struct report *mistakes);

#endif
