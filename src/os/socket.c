/* SPDX-License-Identifier: MIT */
/* Options that let a connection notice that its peer is gone. */
#include "os/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "os/sys.h"

/* Between keepalive probes, in seconds; the user timeout ends the wait, or after this many probes.
 */
#define KEEPALIVE_INTERVAL 10
#define KEEPALIVE_PROBES   3

void socket_set_liveness(const struct sys *sys, int fd, uint32_t user_timeout, uint32_t keepalive)
{
	int idle = (int)((keepalive + 999) / 1000);

	sys->set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	sys->set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)user_timeout);
	sys->set_option(fd, SOL_SOCKET, SO_KEEPALIVE, idle > 0);
	if (idle > 0) {
		sys->set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
		sys->set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL);
		sys->set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
	}
}
