/* SPDX-License-Identifier: MIT */
/*
 * Why an upstream's answers do not come back: worked out from what the kernel was found to have.
 * Pure: the asking is return_check.c's.
 */
#ifndef MMPROXY_ROUTING_RETURN_EXPLAIN_H
#define MMPROXY_ROUTING_RETURN_EXPLAIN_H

#include "routing/kernel_routes.h"
#include "routing/kernel_rules.h"
#include "routing/return_check.h"

/* What was found for the family of one path. */
struct return_facts {
	struct kernel_rules rules;
	struct kernel_tables locals; /* tables with `local default dev lo` */
	int lookup_error;            /* 0, or -errno: how the lookup of an answer ended */
	struct kernel_lookup lookup; /* when it is 0: where the answer goes, or would go */
	bool elsewhere;              /* the answer comes in by an interface */
	bool filtered; /* it was refused where it came in, for its source: the rules may stand */
	char interface[IFNAMSIZ]; /* by which the answer leaves; "": none, or not known */
};

/* Fills in the verdict, all of it but `no_family`. */
void return_explain(const struct return_plan *plan, const struct return_path *path,
		    const struct return_facts *facts, struct return_verdict *verdict);

#endif
