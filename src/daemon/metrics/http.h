/* SPDX-License-Identifier: MIT */
/*
 * The metrics over HTTP, on the main thread's loop: GET /metrics at metrics.listen. What a client
 * can cost is bounded: connections, the memory of each, and how long one may be silent. In a build
 * without libmicrohttpd the loader refuses the setting, and none of these does anything; nor do
 * they where it is not set.
 */
#ifndef MMPROXY_DAEMON_METRICS_HTTP_H
#define MMPROXY_DAEMON_METRICS_HTTP_H

#include <stdbool.h>

struct server;

bool metrics_http_supported(void);

/* Both are stages of the start: 0, or -1 after an error line in the log. */
int metrics_http_listen(struct server *server); /* opens the socket: any port, with privileges */
int metrics_http_start(struct server *server);  /* answers from now on, without */

/* Descriptors that it may have beside that socket. */
unsigned metrics_http_descriptors(const struct server *server);

/* Closes everything. */
void metrics_http_stop(struct server *server);

#endif
