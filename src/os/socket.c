/* SPDX-License-Identifier: MIT */
/* Options that let a connection notice that its peer is gone. */
#include "os/socket.h"

#include <asm/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "os/sys.h"

/* Seconds between keepalive probes, unless the idle time is shorter still, and how many of them. */
#define KEEPALIVE_INTERVAL_MAX 10
#define KEEPALIVE_PROBES       3

/* Bytes; what the kernel would let a connection have by itself, mostly. */
#define LARGE_RECEIVE_BUFFER (3 * 1024 * 1024)

void socket_set_liveness(const struct sys *sys, int fd, uint32_t user_timeout, uint32_t keepalive)
{
	int idle = (int)((keepalive + 999) / 1000);

	sys->set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	sys->set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)user_timeout);
	sys->set_option(fd, SOL_SOCKET, SO_KEEPALIVE, idle > 0);
	if (idle > 0) {
		sys->set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
		sys->set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL,
				idle < KEEPALIVE_INTERVAL_MAX ? idle : KEEPALIVE_INTERVAL_MAX);
		sys->set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
	}
}

void socket_fix_receive_buffer(const struct sys *sys, int fd, int size)
{
	/* The kernel doubles it, for its own overhead. */
	sys->set_option(fd, SOL_SOCKET, SO_RCVBUF, size);
}

void socket_free_receive_buffer(const struct sys *sys, int fd)
{
	/* SO_BUF_LOCK is there since Linux 5.14. Before, a large one has to do. */
	if (sys->set_option(fd, SOL_SOCKET, SO_BUF_LOCK, 0) < 0)
		sys->set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, LARGE_RECEIVE_BUFFER);
}
