/* SPDX-License-Identifier: MIT */
/*
 * What a reload's configuration has changed that cannot change without new threads, privileges or
 * sockets.
 */
#include "daemon/changes.h"

#include <errno.h>
#include <stdbool.h>

#include "base/report.h"
#include "base/text.h"
#include "config/config.h"
#include "daemon/listeners.h"

struct comparison {
	struct report *mistakes;
	int error; /* -EINVAL: something asks for a restart, whether its line found room or not */
};

static bool same_endpoints(const struct config_listener *a, const struct config_listener *b)
{
	if (a->listen_count != b->listen_count)
		return false;
	for (size_t i = 0; i < a->listen_count; i++) {
		if (!listen_endpoint_equal(&a->listen[i], &b->listen[i]))
			return false;
	}
	return true;
}

static void demand_restart(struct comparison *comparison, const char *where, const char *setting)
{
	comparison->error = -EINVAL;
	report_add(comparison->mistakes, "%s: %s: changed, and this change needs a restart", where,
		   setting);
}

/* A flow table is made at the start, in one size, and its flows know one framing. */
static void compare_udp(const struct relay_settings *old, const struct relay_settings *new,
			const char *where, struct comparison *comparison)
{
	if (old->udp.framing != new->udp.framing)
		demand_restart(comparison, where, "udp.framing");
	if (old->udp.max_flows != new->udp.max_flows)
		demand_restart(comparison, where, "udp.max_flows");
}

/* Where a listener goes on, its sockets stay as they are. */
static void compare_listeners(const struct config_listener *old, const struct config_listener *new,
			      struct comparison *comparison)
{
	if (new->relay.protocol == RELAY_PROTOCOL_UDP) {
		compare_udp(&old->relay, &new->relay, new->where, comparison);
		if (!same_endpoints(old, new))
			demand_restart(comparison, new->where, "listen");
	} else if (old->socket.backlog != new->socket.backlog) {
		demand_restart(comparison, new->where, "backlog");
	}
	if (old->socket.freebind != new->socket.freebind)
		demand_restart(comparison, new->where, "freebind");
	if (!text_equal(old->device, new->device))
		demand_restart(comparison, new->where, "device");
}

/* A group that is gone has no place of its own any more. */
static void compare_control(const struct config_control *old, const struct config_control *new,
			    struct comparison *comparison)
{
	const char *where = new->where != NULL ? new->where : "configuration";

	if (!text_equal(old->socket, new->socket))
		demand_restart(comparison, where, "control.socket");
	if (old->mode != new->mode)
		demand_restart(comparison, where, "control.mode");
	if (!text_equal(old->group, new->group))
		demand_restart(comparison, where, "control.group");
}

static void compare_landlock(const struct config_landlock *old, const struct config_landlock *new,
			     struct comparison *comparison)
{
	const char *where = new->where != NULL ? new->where : "configuration";

	if (old->off != new->off)
		demand_restart(comparison, where, "landlock.mode");
	if (!text_list_equal(&old->paths, &new->paths))
		demand_restart(comparison, where, "landlock.paths");
}

int changes_admit(const struct config *old, const struct config *new, struct report *mistakes)
{
	struct comparison comparison = {.mistakes = mistakes};

	if (old->workers_given != new->workers_given ||
	    (new->workers_given && old->workers != new->workers))
		demand_restart(&comparison, "configuration", "workers");
	if (old->scheduling != new->scheduling)
		demand_restart(&comparison, "configuration", "scheduling");
	if (!text_equal(old->user, new->user))
		demand_restart(&comparison, "configuration", "user");
	if (!text_equal(old->group, new->group))
		demand_restart(&comparison, "configuration", "group");
	if (old->log.format != new->log.format)
		demand_restart(&comparison, "configuration", "log.format");
	if (old->log.target != new->log.target)
		demand_restart(&comparison, "configuration", "log.target");
	if (old->seccomp != new->seccomp)
		demand_restart(&comparison, "configuration", "seccomp");
	/* It was opened before privileges were dropped, and filters are found by its name. */
	if (!text_equal(old->offload_directory, new->offload_directory))
		demand_restart(&comparison, "configuration", "offload_directory");
	compare_landlock(&old->landlock, &new->landlock, &comparison);
	compare_control(&old->control, &new->control, &comparison);
	if (!address_equal(&old->metrics_listen, &new->metrics_listen))
		demand_restart(&comparison,
			       new->metrics_where != NULL ? new->metrics_where : "configuration",
			       "metrics.listen");
	for (size_t i = 0; i < new->listener_count; i++) {
		size_t forerunner = listeners_forerunner(old, new, i);

		if (forerunner != LISTENERS_NONE)
			compare_listeners(&old->listeners[forerunner], &new->listeners[i],
					  &comparison);
	}
	return comparison.error;
}
