/* SPDX-License-Identifier: MIT */
/*
 * One thing that a plan needs of the kernel: a route, a rule, or an nftables table. What is done
 * with any of them is the same: see that it is there, and take away what is ours.
 */
#ifndef MMPROXY_ROUTING_RETURN_ITEM_H
#define MMPROXY_ROUTING_RETURN_ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "routing/return_plan.h"
#include "routing/token.h"

struct netlink;

enum return_item_kind {
	RETURN_ITEM_ROUTE,
	RETURN_ITEM_RULE,
	RETURN_ITEM_TABLE, /* of nftables, for a mark */
};

struct return_item {
	enum return_item_kind kind;
	union {
		struct return_route route;
		struct return_rule rule;
		struct {
			uint32_t mark;
			char *listing; /* as it was when it was last in order; NULL: not yet */
			bool made;     /* by this process */
		} table;
	};
};

/*
 * What a plan needs, one by one. A rule without its route would lead nowhere, so the routes come
 * first.
 */
size_t return_item_count(const struct return_plan *plan);
struct return_item return_item_of(const struct return_plan *plan, size_t index);

void return_item_finish(struct return_item *item);

/* Do they stand for the same thing? */
bool return_item_equal(const struct return_item *a, const struct return_item *b);

/* What it is counted by; see token.h. */
const char *return_item_token(const struct return_item *item, char name[static TOKEN_NAME_SIZE]);

/* What a person calls it: "ip rule from 127.0.0.0/8 iif lo table 123". */
const char *return_item_text(const struct return_item *item, char text[static RETURN_COMMAND_SIZE]);

/* Of several items, one after the other. Begins zeroed; what no longer fits is left out. */
struct return_item_names {
	char text[1024];
	size_t length;
};

void return_item_names_add(struct return_item_names *names, const struct return_item *item);

/* Room for one sentence, with NUL. */
#define RETURN_PROBLEM_SIZE 256

/*
 * Sees to it that it is there. `shared`: another instance needs it as well, so what is there by
 * that name is left as it is. 1: it had to be put there, 0: it was. Or -errno with a sentence for
 * people; -EAFNOSUPPORT: this host does not have its family, or has it switched off.
 */
int return_item_ensure(struct return_item *item, struct netlink *netlink, bool shared,
		       char problem[static RETURN_PROBLEM_SIZE]);

/*
 * Takes it away if it carries our tag. 1: it did; 0: it did not, or was not there; or -errno with a
 * sentence.
 */
int return_item_remove(struct return_item *item, struct netlink *netlink,
		       char problem[static RETURN_PROBLEM_SIZE]);

#endif
