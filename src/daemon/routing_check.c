/* SPDX-License-Identifier: MIT */
/* Each upstream's return path, looked at once, and what would mend it. Upstreams share rules and
 * routes: what is missing is said once. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "config/config.h"
#include "daemon/routing.h"
#include "os/log.h"
#include "routing/nft.h"
#include "routing/return_check.h"
#include "routing/return_mark.h"
#include "routing/return_plan.h"

/* What has been said already, so far as it can come again. */
struct told {
	bool *rules; /* one of the plan's each */
	struct return_route routes[2];
	size_t route_count;
};

static void warn(const struct return_path *path, const char *why, const char *hint)
{
	log_warning("routing", "the upstream's answers do not come back",
		    LOG_ADDRESS("upstream", &path->upstream), LOG_TEXT("why", why),
		    LOG_TEXT("hint", hint));
}

static void tell_rule(const struct return_plan *plan, const struct return_path *path,
		      const struct return_verdict *verdict, struct told *told)
{
	char command[RETURN_COMMAND_SIZE];

	switch (verdict->rule) {
	case RETURN_RULE_SOUND:
		break;
	case RETURN_RULE_NO_MARK:
		warn(path, verdict->rule_evidence, "routing = { method = \"mark\"; }");
		break;
	case RETURN_RULE_MISSING:
	case RETURN_RULE_WRONG_TABLE:
	case RETURN_RULE_TOO_LATE:
		/* Added without a priority, it comes before those that decide now. */
		if (!told->rules[path->rule])
			warn(path, verdict->rule_evidence,
			     return_rule_command(&plan->rules[path->rule], command));
		told->rules[path->rule] = true;
		break;
	}
}

static bool route_is_new(struct told *told, const struct return_route *route)
{
	for (size_t i = 0; i < told->route_count; i++) {
		if (told->routes[i].family == route->family &&
		    told->routes[i].table == route->table)
			return false;
	}
	if (told->route_count < sizeof(told->routes) / sizeof(told->routes[0]))
		told->routes[told->route_count++] = *route;
	return true;
}

static void tell_route(const struct return_path *path, const struct return_verdict *verdict,
		       struct told *told)
{
	const struct return_route route = {(enum address_family)path->upstream.family,
					   verdict->table};
	char command[RETURN_COMMAND_SIZE];

	if (verdict->route == RETURN_ROUTE_MISSING && route_is_new(told, &route))
		warn(path, verdict->route_evidence, return_route_command(&route, command));
}

static void tell(const struct return_plan *plan, const struct return_path *path,
		 const struct return_verdict *verdict, struct told *told)
{
	if (verdict->no_family) {
		log_debug("routing", "not checked: this host lacks the address family",
			  LOG_ADDRESS("upstream", &path->upstream));
	} else if (verdict->sound) {
		log_debug("routing", "the upstream's answers come back",
			  LOG_ADDRESS("upstream", &path->upstream));
	} else {
		tell_rule(plan, path, verdict, told);
		tell_route(path, verdict, told);
	}
}

/* Something else may bring it back, which only a connection shows: hence no more than a warning. */
static void tell_mark(const struct return_plan *plan, const struct return_verdict *verdicts,
		      uint32_t mark, const char *file)
{
	bool nftables = return_mark_takes_nftables(plan, verdicts, mark);
	char name[RETURN_MARK_TABLE_SIZE], command[RETURN_MARK_COMMAND_SIZE];
	char *listing = nft_mark_list(mark);
	bool missing = listing == NULL && errno == ENOENT;

	if (missing && (nftables || !return_mark_is_accepted()))
		log_warning("routing", "nothing brings the mark back on the upstreams' answers",
			    LOG_NUMBER("mark", mark),
			    LOG_TEXT("table", return_mark_table(mark, name)),
			    LOG_TEXT("hint", nftables ? return_mark_command(file, command)
						      : RETURN_MARK_ACCEPT_COMMAND));
	free(listing);
}

/* The keeper of the return path sees to the tables itself. */
static void tell_marks(const struct return_plan *plan, const struct return_verdict *verdicts,
		       enum routing_mode mode, const char *file)
{
	if (mode != ROUTING_MODE_CHECK || !nft_supported())
		return;
	for (size_t i = 0; i < plan->mark_count; i++)
		tell_mark(plan, verdicts, plan->marks[i], file);
}

/* Commands are forgotten at the next boot, so whoever has not chosen them hears of the other way.
 */
static void tell_manage(const struct return_plan *plan, const struct told *told,
			enum routing_mode mode)
{
	bool any = told->route_count > 0;

	for (size_t i = 0; i < plan->rule_count; i++)
		any = any || told->rules[i];
	if (any && mode == ROUTING_MODE_CHECK)
		log_info("routing", "mmproxy can add what is missing and keep it there",
			 LOG_TEXT("hint", "routing = { mode = \"manage\"; }"));
}

static int check_plan(const struct return_plan *plan, enum routing_mode mode, const char *file)
{
	struct return_verdict *verdicts = calloc(plan->path_count + 1, sizeof(*verdicts));
	struct told told = {.rules = calloc(plan->rule_count + 1, sizeof(bool))};
	int error = -ENOMEM;

	if (verdicts != NULL && told.rules != NULL)
		error = return_check_all(plan, verdicts);
	for (size_t i = 0; error == 0 && i < plan->path_count; i++)
		tell(plan, &plan->paths[i], &verdicts[i], &told);
	if (error == 0) {
		tell_manage(plan, &told, mode);
		tell_marks(plan, verdicts, mode, file);
	}
	free(told.rules);
	free(verdicts);
	return error;
}

void routing_check(const struct config *config, const char *file)
{
	struct return_plan plan;
	int error;

	if (config->routing.mode == ROUTING_MODE_OFF)
		return;
	return_plan_init(&plan);
	error = config_plan_returns(config, &plan);
	if (error == 0)
		error = check_plan(&plan, config->routing.mode, file);
	return_plan_finish(&plan);
	/* A program that was built without libmnl has said so, or has not been asked. */
	if (error < 0 && error != -EOPNOTSUPP)
		log_info("routing", "the return path cannot be checked", LOG_ERRNO("error", error));
}
