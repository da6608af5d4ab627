/* SPDX-License-Identifier: MIT */
/* From upstreams and settings to rules, routes and marks, and how a person would write those. */
#include "routing/return_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void return_plan_init(struct return_plan *plan)
{
	*plan = (struct return_plan){0};
}

void return_plan_finish(struct return_plan *plan)
{
	free(plan->paths);
	free(plan->rules);
	free(plan->marks);
	return_plan_init(plan);
}

bool return_path_is_loopback(const struct address *upstream)
{
	static const uint8_t loopback6[16] = {[15] = 1};

	switch ((enum address_family)upstream->family) {
	case ADDRESS_IPV4:
		return upstream->ip[0] == 127;
	case ADDRESS_IPV6:
		return memcmp(upstream->ip, loopback6, sizeof(loopback6)) == 0;
	case ADDRESS_NONE:
		break;
	}
	return false;
}

/* All of 127.0.0.0/8 at once: one rule serves every upstream there. */
static struct prefix source_of(const struct address *upstream)
{
	struct prefix prefix = {.address = *upstream};

	prefix.address.port = 0;
	prefix.length = upstream->family == ADDRESS_IPV4 ? 32 : 128;
	if (upstream->family == ADDRESS_IPV4 && return_path_is_loopback(upstream)) {
		memset(prefix.address.ip + 1, 0, 3);
		prefix.length = 8;
	}
	return prefix;
}

static bool same_rule(const struct return_rule *a, const struct return_rule *b)
{
	return address_equal(&a->from.address, &b->from.address) &&
	       a->from.length == b->from.length && a->mark == b->mark && a->table == b->table;
}

/* Its place in the plan, new or old; RETURN_PATH_NO_RULE: out of memory. */
static size_t place_rule(struct return_plan *plan, const struct return_rule *rule)
{
	struct return_rule *rules;

	for (size_t i = 0; i < plan->rule_count; i++) {
		if (same_rule(&plan->rules[i], rule))
			return i;
	}
	rules = reallocarray(plan->rules, plan->rule_count + 1, sizeof(*rules));
	if (rules == NULL)
		return RETURN_PATH_NO_RULE;
	plan->rules = rules;
	rules[plan->rule_count] = *rule;
	return plan->rule_count++;
}

static void place_route(struct return_plan *plan, enum address_family family, uint32_t table)
{
	for (size_t i = 0; i < plan->route_count; i++) {
		if (plan->routes[i].family == family)
			return;
	}
	plan->routes[plan->route_count++] = (struct return_route){family, table};
}

static int place_mark(struct return_plan *plan, uint32_t mark)
{
	uint32_t *marks;

	for (size_t i = 0; i < plan->mark_count; i++) {
		if (plan->marks[i] == mark)
			return 0;
	}
	marks = reallocarray(plan->marks, plan->mark_count + 1, sizeof(*marks));
	if (marks == NULL)
		return -ENOMEM;
	plan->marks = marks;
	marks[plan->mark_count++] = mark;
	return 0;
}

/* What brings the path's answers back; path->rule stays RETURN_PATH_NO_RULE where nothing can. */
static int plan_return(struct return_plan *plan, uint32_t table, struct return_path *path)
{
	bool loopback = return_path_is_loopback(&path->upstream);
	const struct return_rule rule = {
		.from = source_of(&path->upstream),
		.mark = loopback ? 0 : path->mark,
		.table = table,
	};

	if (!loopback && path->mark == 0)
		return 0;
	path->rule = place_rule(plan, &rule);
	if (path->rule == RETURN_PATH_NO_RULE)
		return -ENOMEM;
	place_route(plan, (enum address_family)path->upstream.family, table);
	return loopback ? 0 : place_mark(plan, path->mark);
}

int return_plan_add(struct return_plan *plan, const struct routing_settings *settings,
		    const struct address *upstream, uint32_t mark, bool udp)
{
	struct return_path *paths, *path;
	int error;

	for (size_t i = 0; i < plan->path_count; i++) {
		path = &plan->paths[i];
		if (address_equal(&path->upstream, upstream) && path->mark == mark) {
			path->udp = path->udp || udp;
			path->tcp = path->tcp || !udp;
			return 0;
		}
	}
	paths = reallocarray(plan->paths, plan->path_count + 1, sizeof(*paths));
	if (paths == NULL)
		return -ENOMEM;
	plan->paths = paths;
	path = &paths[plan->path_count];
	*path = (struct return_path){
		.upstream = *upstream,
		.mark = mark,
		.tcp = !udp,
		.udp = udp,
		.rule = RETURN_PATH_NO_RULE,
	};
	error = plan_return(plan, settings->table, path);
	if (error == 0)
		plan->path_count++;
	return error;
}

static const char *ip_of(unsigned family)
{
	return family == ADDRESS_IPV6 ? "ip -6" : "ip";
}

const char *return_rule_command(const struct return_rule *rule,
				char text[static RETURN_COMMAND_SIZE])
{
	char from[ADDRESS_TEXT_SIZE], selector[32] = "iif lo";

	if (rule->mark != 0)
		snprintf(selector, sizeof(selector), "fwmark %" PRIu32, rule->mark);
	snprintf(text, RETURN_COMMAND_SIZE, "%s rule add from %s/%u %s table %" PRIu32,
		 ip_of(rule->from.address.family), address_format_ip(&rule->from.address, from),
		 rule->from.length, selector, rule->table);
	return text;
}

const char *return_route_command(const struct return_route *route,
				 char text[static RETURN_COMMAND_SIZE])
{
	snprintf(text, RETURN_COMMAND_SIZE, "%s route add local default dev lo table %" PRIu32,
		 ip_of((uint8_t)route->family), route->table);
	return text;
}

const char *return_mark_table(uint32_t mark, char name[static RETURN_MARK_TABLE_SIZE])
{
	snprintf(name, RETURN_MARK_TABLE_SIZE, "mmproxy_%" PRIu32, mark);
	return name;
}

/*
 * Both hooks, for both places of an upstream: what this host answers itself leaves by `output`,
 * where a changed mark makes the kernel look the route up again; what another host or container
 * answers comes in by `prerouting`, before the route is looked up at all.
 */
const char *return_mark_ruleset(uint32_t mark, char text[static RETURN_MARK_RULESET_SIZE])
{
	char name[RETURN_MARK_TABLE_SIZE];

	snprintf(text, RETURN_MARK_RULESET_SIZE,
		 "table inet %s {\n"
		 "\tchain output {\n"
		 "\t\ttype route hook output priority mangle; policy accept;\n"
		 "\t\tct direction original meta mark %" PRIu32 " ct mark set meta mark\n"
		 "\t\tct direction reply ct mark %" PRIu32 " meta mark set ct mark\n"
		 "\t}\n"
		 "\tchain prerouting {\n"
		 "\t\ttype filter hook prerouting priority mangle; policy accept;\n"
		 "\t\tct direction reply ct mark %" PRIu32 " meta mark set ct mark\n"
		 "\t}\n"
		 "}\n",
		 return_mark_table(mark, name), mark, mark, mark);
	return text;
}
