/* SPDX-License-Identifier: MIT */
/* Routes, rules and nftables tables as one kind of thing, and what may be wrong with each. */
#include "routing/return_item.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "routing/kernel_routes.h"
#include "routing/kernel_rules.h"
#include "routing/nft.h"

size_t return_item_count(const struct return_plan *plan)
{
	return plan->route_count + plan->rule_count + plan->mark_count;
}

struct return_item return_item_of(const struct return_plan *plan, size_t index)
{
	struct return_item item = {.kind = RETURN_ITEM_ROUTE};

	if (index < plan->route_count) {
		item.route = plan->routes[index];
		return item;
	}
	index -= plan->route_count;
	if (index < plan->rule_count) {
		item.kind = RETURN_ITEM_RULE;
		item.rule = plan->rules[index];
		return item;
	}
	item.kind = RETURN_ITEM_TABLE;
	item.table.mark = plan->marks[index - plan->rule_count];
	return item;
}

void return_item_finish(struct return_item *item)
{
	if (item->kind == RETURN_ITEM_TABLE)
		free(item->table.listing);
}

bool return_item_equal(const struct return_item *a, const struct return_item *b)
{
	char one[TOKEN_NAME_SIZE], other[TOKEN_NAME_SIZE];

	return strcmp(return_item_token(a, one), return_item_token(b, other)) == 0;
}

static char family_digit(uint8_t family)
{
	return family == ADDRESS_IPV4 ? '4' : '6';
}

/* Other versions of this program have to find the same names. */
const char *return_item_token(const struct return_item *item, char name[static TOKEN_NAME_SIZE])
{
	const struct prefix *from = &item->rule.from;
	char address[ADDRESS_TEXT_SIZE];

	switch (item->kind) {
	case RETURN_ITEM_ROUTE:
		snprintf(name, TOKEN_NAME_SIZE, "route %c %" PRIu32,
			 family_digit((uint8_t)item->route.family), item->route.table);
		break;
	case RETURN_ITEM_RULE:
		snprintf(name, TOKEN_NAME_SIZE, "rule %s/%u %" PRIu32 " %" PRIu32,
			 address_format_ip(&from->address, address), from->length, item->rule.mark,
			 item->rule.table);
		break;
	case RETURN_ITEM_TABLE:
		snprintf(name, TOKEN_NAME_SIZE, "nft %" PRIu32, item->table.mark);
		break;
	}
	return name;
}

/* From a command that adds something to what it adds. */
static const char *name_of(char command[static RETURN_COMMAND_SIZE])
{
	static const char verb[] = " add";
	char *found = strstr(command, verb);

	if (found != NULL)
		memmove(found, found + sizeof(verb) - 1, strlen(found) - sizeof(verb) + 2);
	return command;
}

const char *return_item_text(const struct return_item *item, char text[static RETURN_COMMAND_SIZE])
{
	char name[RETURN_MARK_TABLE_SIZE];

	switch (item->kind) {
	case RETURN_ITEM_ROUTE:
		return_route_command(&item->route, text);
		return name_of(text);
	case RETURN_ITEM_RULE:
		return_rule_command(&item->rule, text);
		return name_of(text);
	case RETURN_ITEM_TABLE:
		snprintf(text, RETURN_COMMAND_SIZE, "nft table inet %s",
			 return_mark_table(item->table.mark, name));
		break;
	}
	return text;
}

void return_item_names_add(struct return_item_names *names, const struct return_item *item)
{
	size_t room = sizeof(names->text) - names->length;
	char text[RETURN_COMMAND_SIZE];
	int length = snprintf(names->text + names->length, room, "%s%s",
			      names->length > 0 ? "; " : "", return_item_text(item, text));

	if (length > 0 && (size_t)length < room)
		names->length += (size_t)length;
	else
		names->text[names->length] = '\0';
}

/* What stands in the place of our route. */
static void describe_other_route(const struct return_route *route, struct netlink *netlink,
				 char problem[static RETURN_PROBLEM_SIZE])
{
	struct kernel_route_state state = {0};
	char gateway[ADDRESS_TEXT_SIZE], device[IF_NAMESIZE], way[96] = "of another kind";

	if (kernel_route_read(netlink, route, &state) == 0) {
		if (state.other.gateway.family != ADDRESS_NONE)
			snprintf(way, sizeof(way), "via %s",
				 address_format_ip(&state.other.gateway, gateway));
		else if (state.other.interface != 0 &&
			 if_indextoname(state.other.interface, device) != NULL)
			snprintf(way, sizeof(way), "dev %s", device);
	}
	snprintf(problem, RETURN_PROBLEM_SIZE,
		 "table %" PRIu32 " has another default route, %s; give `routing.table` the number "
		 "of a table that nothing else uses",
		 route->table, way);
}

/* A host without IPv6 says so in more than one way, by how it came to have none. */
static bool lacks_family(enum address_family family, int error)
{
	return error == -EAFNOSUPPORT || error == -EOPNOTSUPP ||
	       (family == ADDRESS_IPV6 && (error == -EACCES || error == -ENODEV));
}

static int judge_family(enum address_family family, int error,
			char problem[static RETURN_PROBLEM_SIZE])
{
	if (!lacks_family(family, error))
		return error;
	snprintf(problem, RETURN_PROBLEM_SIZE, "this host has no %s, or has it switched off",
		 family == ADDRESS_IPV6 ? "IPv6" : "IPv4");
	return -EAFNOSUPPORT;
}

static int ensure_route(const struct return_route *route, struct netlink *netlink,
			char problem[static RETURN_PROBLEM_SIZE])
{
	int added = kernel_route_add(netlink, route);

	if (added == -EEXIST)
		describe_other_route(route, netlink, problem);
	else if (added == -ENETDOWN)
		snprintf(problem, RETURN_PROBLEM_SIZE,
			 "the interface lo is down; `ip link set lo up`");
	else if (added < 0)
		snprintf(problem, RETURN_PROBLEM_SIZE, "%s", strerror(-added));
	return judge_family(route->family, added, problem);
}

static int ensure_rule(const struct return_rule *rule, struct netlink *netlink,
		       char problem[static RETURN_PROBLEM_SIZE])
{
	int added = kernel_rule_add(netlink, rule);

	if (added < 0)
		snprintf(problem, RETURN_PROBLEM_SIZE, "%s", strerror(-added));
	return judge_family((enum address_family)rule->from.address.family, added, problem);
}

/* Somebody's own table by our name is his, as long as it is there. */
static bool is_in_order(const struct return_item *item, const char *listing, bool shared)
{
	if (listing == NULL)
		return false;
	if (!nft_mark_is_ours(listing))
		return true;
	if (item->table.listing != NULL)
		return strcmp(item->table.listing, listing) == 0;
	return shared && nft_mark_is_whole(item->table.mark, listing);
}

/* 0, with NULL where there is no table; or -EIO: whether there is one cannot be told. */
static int list_table(uint32_t mark, char **listing, char problem[static RETURN_PROBLEM_SIZE])
{
	*listing = nft_mark_list(mark);
	if (*listing != NULL || errno == ENOENT)
		return 0;
	snprintf(problem, RETURN_PROBLEM_SIZE, "nftables cannot be asked: %s", strerror(errno));
	return -EIO;
}

/* What has just been put in place. NULL: somebody has been at it already, and is to be noticed. */
static char *list_as_made(uint32_t mark)
{
	char *listing = nft_mark_list(mark);

	if (listing == NULL || nft_mark_is_whole(mark, listing))
		return listing;
	free(listing);
	return NULL;
}

/* 0 or 1 by whether there was nothing at all or less than there should be. */
static int ensure_table(struct return_item *item, bool shared,
			char problem[static RETURN_PROBLEM_SIZE])
{
	char *listing;
	int error = list_table(item->table.mark, &listing, problem), result = 0;
	bool adopted = listing != NULL && item->table.listing == NULL && !item->table.made;

	if (error < 0)
		return error;
	if (!is_in_order(item, listing, shared)) {
		/* What a crashed instance has left may be of an older version. */
		error = nft_mark_apply(item->table.mark, problem);
		result = adopted ? 0 : 1;
		item->table.made = item->table.made || error == 0;
		free(listing);
		listing = error == 0 ? list_as_made(item->table.mark) : NULL;
	}
	if (error < 0)
		return error;
	free(item->table.listing);
	item->table.listing = listing;
	return result;
}

int return_item_ensure(struct return_item *item, struct netlink *netlink, bool shared,
		       char problem[static RETURN_PROBLEM_SIZE])
{
	switch (item->kind) {
	case RETURN_ITEM_ROUTE:
		return ensure_route(&item->route, netlink, problem);
	case RETURN_ITEM_RULE:
		return ensure_rule(&item->rule, netlink, problem);
	case RETURN_ITEM_TABLE:
		return ensure_table(item, shared, problem);
	}
	return -EINVAL;
}

/* On a kernel that keeps no comments, having made it must do. */
static int remove_table(const struct return_item *item, char problem[static RETURN_PROBLEM_SIZE])
{
	bool held = item->table.made || item->table.listing != NULL;
	char *listing;
	int error = list_table(item->table.mark, &listing, problem);
	bool ours = listing != NULL && (item->table.made || nft_mark_is_ours(listing));

	free(listing);
	/* Of one that this process never had there is nothing new to tell. */
	if (!ours)
		return held ? error : 0;
	return nft_mark_remove(item->table.mark, problem) < 0 ? -EIO : 1;
}

int return_item_remove(struct return_item *item, struct netlink *netlink,
		       char problem[static RETURN_PROBLEM_SIZE])
{
	enum address_family family = ADDRESS_IPV4;
	int error = 0;

	switch (item->kind) {
	case RETURN_ITEM_ROUTE:
		family = item->route.family;
		error = kernel_route_remove(netlink, &item->route);
		break;
	case RETURN_ITEM_RULE:
		family = (enum address_family)item->rule.from.address.family;
		error = kernel_rule_remove(netlink, &item->rule);
		break;
	case RETURN_ITEM_TABLE:
		return remove_table(item, problem);
	}
	if (error < 0)
		snprintf(problem, RETURN_PROBLEM_SIZE, "%s", strerror(-error));
	return lacks_family(family, error) ? 0 : error;
}
