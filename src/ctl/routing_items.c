/* SPDX-License-Identifier: MIT */
/*
 * Verdicts are of paths; rules and routes are what several paths share. One that any path lacks is
 * missing.
 */
#include "ctl/routing_items.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/memory.h"

#define NO_FAMILY "this host has no IPv6, or has it switched off"

struct making {
	struct routing_items *items;
	const struct return_plan *plan;
	const struct routing_findings *findings;
	uint32_t table;
};

static struct routing_item *add(struct routing_items *items, enum routing_kind kind,
				enum routing_state state)
{
	struct routing_item *item;

	items->items = memory_resize(items->items, items->count + 1, sizeof(*items->items));
	item = &items->items[items->count++];
	*item = (struct routing_item){.kind = kind, .state = state};
	return item;
}

static void set_state(struct routing_item *item, enum routing_state state, const char *evidence)
{
	item->state = state;
	snprintf(item->evidence, sizeof(item->evidence), "%s", evidence);
}

static const struct return_verdict *verdict_of(const struct making *making, size_t path)
{
	return making->findings->verdicts != NULL ? &making->findings->verdicts[path] : NULL;
}

static void add_setting(const struct making *making, size_t place)
{
	const struct return_verdict *verdict = verdict_of(making, place);
	struct routing_item *item = add(making->items, ROUTING_KIND_SETTING, ROUTING_STATE_UNKNOWN);
	char text[ADDRESS_TEXT_SIZE];

	snprintf(item->what, sizeof(item->what),
		 "mark = %" PRIu32 "; in the listener that forwards to %s", making->table,
		 address_format(&making->plan->paths[place].upstream, text));
	if (verdict == NULL)
		set_state(item, ROUTING_STATE_UNKNOWN,
			  "the upstream is not on loopback, and no mark tells its answers");
	else if (verdict->no_family)
		set_state(item, ROUTING_STATE_UNKNOWN, NO_FAMILY);
	else if (verdict->sound)
		set_state(item, ROUTING_STATE_THERE, "");
	else
		set_state(item, ROUTING_STATE_MISSING, verdict->rule_evidence);
}

/* A site may have taken another table than the setting's: then it is that one's. */
static uint32_t table_of(const struct return_verdict *verdict, uint32_t wanted)
{
	return verdict->rule == RETURN_RULE_SOUND && verdict->table != 0 ? verdict->table : wanted;
}

static void add_rule(const struct making *making, size_t place)
{
	struct routing_item *item = add(making->items, ROUTING_KIND_RULE, ROUTING_STATE_UNKNOWN);
	struct return_rule rule = making->plan->rules[place];

	for (size_t i = 0; i < making->plan->path_count; i++) {
		const struct return_verdict *verdict = verdict_of(making, i);

		if (verdict == NULL || making->plan->paths[i].rule != place ||
		    item->state == ROUTING_STATE_MISSING)
			continue;
		if (verdict->no_family)
			set_state(item, ROUTING_STATE_UNKNOWN, NO_FAMILY);
		else if (verdict->rule == RETURN_RULE_SOUND)
			set_state(item, ROUTING_STATE_THERE, "");
		else
			set_state(item, ROUTING_STATE_MISSING, verdict->rule_evidence);
		rule.table = table_of(verdict, making->plan->rules[place].table);
	}
	return_rule_command(&rule, item->what);
}

static const struct routing_item *find(const struct routing_items *items, const char *what)
{
	for (size_t i = 0; i < items->count; i++) {
		if (strcmp(items->items[i].what, what) == 0)
			return &items->items[i];
	}
	return NULL;
}

/* The route that a path needs, unless it has been told. */
static void add_route(const struct making *making, const struct return_path *path,
		      const struct return_verdict *verdict)
{
	const struct return_route route = {
		(enum address_family)path->upstream.family,
		verdict == NULL ? making->table : table_of(verdict, making->table),
	};
	char command[RETURN_COMMAND_SIZE];
	struct routing_item *item;

	if (find(making->items, return_route_command(&route, command)) != NULL)
		return;
	item = add(making->items, ROUTING_KIND_ROUTE, ROUTING_STATE_THERE);
	memcpy(item->what, command, sizeof(command));
	if (verdict == NULL)
		item->state = ROUTING_STATE_UNKNOWN;
	else if (verdict->no_family)
		set_state(item, ROUTING_STATE_UNKNOWN, NO_FAMILY);
	else if (verdict->route == RETURN_ROUTE_MISSING)
		set_state(item, ROUTING_STATE_MISSING, verdict->route_evidence);
}

static void add_mark(const struct making *making, size_t place)
{
	enum routing_state table = making->findings->mark_tables[place];
	uint32_t mark = making->plan->marks[place];
	bool sysctl = !return_mark_takes_nftables(making->plan, making->findings->verdicts, mark);
	bool accepted = sysctl && making->findings->mark_accept;
	struct routing_item *item =
		add(making->items, ROUTING_KIND_MARK, accepted ? ROUTING_STATE_THERE : table);
	char name[RETURN_MARK_TABLE_SIZE], command[RETURN_MARK_COMMAND_SIZE];

	snprintf(item->what, sizeof(item->what), "%s",
		 sysctl && table != ROUTING_STATE_THERE
			 ? RETURN_MARK_ACCEPT_COMMAND
			 : return_mark_command(making->findings->config, command));
	if (item->state == ROUTING_STATE_THERE)
		return;
	snprintf(item->evidence, sizeof(item->evidence),
		 "%sfor the answers to carry mark %" PRIu32 ": table inet %s of nftables %s",
		 sysctl ? "this, or the table that --nft prints, " : "", mark,
		 return_mark_table(mark, name),
		 table == ROUTING_STATE_MISSING ? "is not there" : "was not asked about");
}

void routing_items_make(struct routing_items *items, const struct return_plan *plan, uint32_t table,
			const struct routing_findings *findings)
{
	const struct making making = {items, plan, findings, table};

	for (size_t i = 0; i < plan->path_count; i++) {
		if (plan->paths[i].rule == RETURN_PATH_NO_RULE)
			add_setting(&making, i);
	}
	for (size_t i = 0; i < plan->rule_count; i++)
		add_rule(&making, i);
	for (size_t i = 0; i < plan->path_count; i++) {
		if (plan->paths[i].rule != RETURN_PATH_NO_RULE)
			add_route(&making, &plan->paths[i], verdict_of(&making, i));
	}
	for (size_t i = 0; i < plan->mark_count; i++)
		add_mark(&making, i);
}

void routing_items_finish(struct routing_items *items)
{
	free(items->items);
	*items = (struct routing_items){0};
}

size_t routing_items_missing(const struct routing_items *items)
{
	size_t count = 0;

	for (size_t i = 0; i < items->count; i++)
		count += items->items[i].state == ROUTING_STATE_MISSING ? 1 : 0;
	return count;
}
