/* SPDX-License-Identifier: MIT */
/* A build without libmnl: nothing is looked at, and the configuration refuses to manage. */
#include "config/config.h"
#include "daemon/routing.h"
#include "daemon/server_state.h"

int routing_start(struct server *server)
{
	(void)server;
	return 0;
}

int routing_prepare(struct server *server, struct generation *generation, struct report *failures)
{
	(void)server;
	(void)generation;
	(void)failures;
	return 0;
}

void routing_release(struct routing_hold *hold)
{
	(void)hold;
}

struct routing_state routing_look(const struct server *server)
{
	return (struct routing_state){
		.mode = routing_mode_name(server->generation->config.routing.mode)};
}

void routing_finish(struct server *server)
{
	(void)server;
}
