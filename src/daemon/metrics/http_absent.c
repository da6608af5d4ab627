/* SPDX-License-Identifier: MIT */
/* In place of http.c where there is no libmicrohttpd. */
#include "daemon/metrics/http.h"

bool metrics_http_supported(void)
{
	return false;
}

int metrics_http_listen(struct server *server)
{
	(void)server;
	return 0;
}

int metrics_http_start(struct server *server)
{
	(void)server;
	return 0;
}

unsigned metrics_http_descriptors(const struct server *server)
{
	(void)server;
	return 0;
}

void metrics_http_stop(struct server *server)
{
	(void)server;
}
