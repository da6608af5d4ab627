/* SPDX-License-Identifier: MIT */
/*
 * What a configuration's return path is made of, as commands, and whether each has been carried
 * out. Pure: what was found is given.
 */
#ifndef MMPROXY_CTL_ROUTING_ITEMS_H
#define MMPROXY_CTL_ROUTING_ITEMS_H

#include <stdbool.h>
#include <stddef.h>

#include "routing/return_check.h"
#include "routing/return_mark.h"
#include "routing/return_plan.h"

enum routing_kind {
	ROUTING_KIND_RULE,
	ROUTING_KIND_ROUTE,
	ROUTING_KIND_MARK,    /* what brings it back on the answers */
	ROUTING_KIND_SETTING, /* without which no rule can help an upstream */
};

enum routing_state {
	ROUTING_STATE_THERE,
	ROUTING_STATE_MISSING,
	ROUTING_STATE_UNKNOWN,
};

struct routing_item {
	enum routing_kind kind;
	enum routing_state state;
	char what[RETURN_MARK_COMMAND_SIZE]; /* the command, or the setting and where it belongs */
	char evidence[RETURN_EVIDENCE_SIZE]; /* what is there instead, or why it is not known */
};

struct routing_items {
	struct routing_item *items;
	size_t count;
};

/* What was found on the host. */
struct routing_findings {
	const struct return_verdict
		*verdicts; /* one for each of the plan's paths; NULL: not asked */
	const enum routing_state *mark_tables; /* of nftables, one for each of the plan's marks */
	bool mark_accept;                      /* net.ipv4.tcp_fwmark_accept is on */
	const char *config;                    /* the file, for commands that name it */
};

/*
 * Fills in `items`, which zeroed memory is. `table`: of the settings. What the settings lack comes
 * first, then rules, routes and marks.
 */
void routing_items_make(struct routing_items *items, const struct return_plan *plan, uint32_t table,
			const struct routing_findings *findings);
void routing_items_finish(struct routing_items *items);

size_t routing_items_missing(const struct routing_items *items);

#endif
