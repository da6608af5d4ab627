/* SPDX-License-Identifier: MIT */
/* Lists of the kernel's, gone through for our tag. */
#include "routing/return_orphans.h"

#include <stdlib.h>
#include <string.h>

#include "routing/kernel_routes.h"
#include "routing/kernel_rules.h"
#include "routing/netlink.h"
#include "routing/nft.h"

static const enum address_family families[] = {ADDRESS_IPV4, ADDRESS_IPV6};

#define FAMILY_COUNT (sizeof(families) / sizeof(families[0]))

/* Could kernel_rule_add() have made it? */
static bool is_of_ours(const struct kernel_rule *rule)
{
	bool marked = rule->mask == UINT32_MAX && rule->iif[0] == '\0';
	bool looped = rule->mask == 0 && strcmp(rule->iif, "lo") == 0;

	return rule->protocol == RETURN_PROTOCOL && rule->table != 0 && !rule->inverted &&
	       !rule->narrow && rule->from.length > 0 && rule->to.length == 0 && (marked || looped);
}

static void find_rules(struct netlink *netlink, enum address_family family,
		       return_orphans_each *each, void *context)
{
	struct kernel_rules rules;

	if (kernel_rules_read(netlink, family, &rules) < 0)
		return;
	for (size_t i = 0; i < rules.count; i++) {
		const struct kernel_rule *rule = &rules.rules[i];
		struct return_item item = {.kind = RETURN_ITEM_RULE};

		if (!is_of_ours(rule))
			continue;
		item.rule = (struct return_rule){rule->from, rule->mark, rule->table};
		each(&item, context);
	}
	kernel_rules_finish(&rules);
}

static void find_routes(struct netlink *netlink, enum address_family family,
			return_orphans_each *each, void *context)
{
	struct kernel_tables tables;

	if (kernel_local_tables_read(netlink, family, &tables) < 0)
		return;
	for (size_t i = 0; i < tables.count; i++) {
		struct return_item item = {.kind = RETURN_ITEM_ROUTE};

		item.route = (struct return_route){family, tables.tables[i]};
		each(&item, context);
	}
	kernel_tables_finish(&tables);
}

static void find_tables(return_orphans_each *each, void *context)
{
	uint32_t *marks;
	size_t count = nft_marks_read(&marks);

	for (size_t i = 0; i < count; i++) {
		struct return_item item = {.kind = RETURN_ITEM_TABLE};

		item.table.mark = marks[i];
		each(&item, context);
	}
	free(marks);
}

void return_orphans_find(struct netlink *netlink, return_orphans_each *each, void *context)
{
	for (size_t i = 0; i < FAMILY_COUNT; i++)
		find_rules(netlink, families[i], each, context);
	for (size_t i = 0; i < FAMILY_COUNT; i++)
		find_routes(netlink, families[i], each, context);
	find_tables(each, context);
}
