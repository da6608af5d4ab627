/* SPDX-License-Identifier: MIT */
/*
 * Between generations and the keeper of the return path. A generation's plan is held before workers
 * have the generation, and released when it is freed: in between there is no moment in which a
 * session lacks what it needs, and at the end of the process the last release takes all away.
 */
#include "daemon/routing.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "base/report.h"
#include "config/config.h"
#include "daemon/generation.h"
#include "daemon/server_state.h"
#include "os/log.h"
#include "routing/return_keeper.h"
#include "routing/return_plan.h"

struct routing_hold {
	struct return_keeper *keeper;
	struct return_plan plan;
};

static int fail(struct report *failures, int error)
{
	report_add_failure(failures, "routing: the return path cannot be managed: %s",
			   log_error_text(error));
	return -EINVAL;
}

static int hold_plan(struct server *server, const struct config *config, struct routing_hold *hold,
		     struct report *failures)
{
	if (server->keeper == NULL) {
		server->keeper = return_keeper_create(&server->loop);
		if (server->keeper == NULL)
			return fail(failures, -errno);
	}
	if (config_plan_returns(config, &hold->plan) < 0)
		return fail(failures, -ENOMEM);
	return return_keeper_hold(server->keeper, &hold->plan, failures) < 0 ? -EINVAL : 0;
}

int routing_prepare(struct server *server, struct generation *generation, struct report *failures)
{
	struct routing_hold *hold;
	int error;

	if (generation->config.routing.mode != ROUTING_MODE_MANAGE)
		return 0;
	hold = calloc(1, sizeof(*hold));
	if (hold == NULL)
		return fail(failures, -ENOMEM);
	return_plan_init(&hold->plan);
	error = hold_plan(server, &generation->config, hold, failures);
	if (error < 0) {
		return_plan_finish(&hold->plan);
		free(hold);
		return error;
	}
	hold->keeper = server->keeper;
	generation->routing = hold;
	return 0;
}

void routing_release(struct routing_hold *hold)
{
	if (hold == NULL)
		return;
	return_keeper_release(hold->keeper, &hold->plan);
	return_plan_finish(&hold->plan);
	free(hold);
}

int routing_start(struct server *server)
{
	struct report failures;
	int error;

	report_init(&failures);
	error = routing_prepare(server, server->generation, &failures);
	config_log_mistakes(&failures);
	report_finish(&failures);
	if (error < 0)
		return -1;
	routing_check(&server->generation->config, server->options->config_file);
	return 0;
}

struct routing_state routing_look(const struct server *server)
{
	struct routing_state state = {
		.mode = routing_mode_name(server->generation->config.routing.mode),
		.managed = server->generation->routing != NULL,
	};
	struct return_keeper_state kept;

	if (!state.managed)
		return state;
	kept = return_keeper_look(server->keeper);
	state.items = kept.items;
	state.missing = kept.missing;
	state.put_back = kept.put_back;
	return state;
}

void routing_finish(struct server *server)
{
	return_keeper_destroy(server->keeper);
	server->keeper = NULL;
}
