/* SPDX-License-Identifier: MIT */
/* Who takes over which of the flows that an earlier process has left in the kernel. */
#ifndef MMPROXY_DAEMON_HEIRS_H
#define MMPROXY_DAEMON_HEIRS_H

struct server;

/*
 * Once server->heritage is found and the sockets are open, before the workers have them. Without
 * memory for it each flow is left to the worker that its number belongs to.
 */
void heirs_choose(struct server *server);

#endif
