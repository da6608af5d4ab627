/* SPDX-License-Identifier: MIT */
/*
 * From rules, tables and a lookup that went wrong to the rule and the route that are at fault. The
 * kernel asks its rules in their order; the first whose table has a route to the client decides.
 */
#include "routing/return_explain.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* No rule of that kind. */
#define NO_RULE SIZE_MAX

struct explanation {
	const struct return_plan *plan;
	const struct return_path *path;
	const struct return_facts *facts;
	struct address client;
	struct return_verdict *verdict;
};

__attribute__((format(printf, 2, 3))) static void say(char evidence[static RETURN_EVIDENCE_SIZE],
						      const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(evidence, RETURN_EVIDENCE_SIZE, format, arguments);
	va_end(arguments);
}

static const struct kernel_rule *rule_at(const struct explanation *explanation, size_t place)
{
	return &explanation->facts->rules.rules[place];
}

static bool has_local_default(const struct explanation *explanation, uint32_t table)
{
	const struct kernel_tables *locals = &explanation->facts->locals;

	for (size_t i = 0; i < locals->count; i++) {
		if (locals->tables[i] == table)
			return true;
	}
	return false;
}

static bool applies(const struct explanation *explanation, const struct kernel_rule *rule)
{
	return kernel_rule_matches(rule, &explanation->client, &explanation->path->upstream,
				   explanation->path->mark);
}

/* Is it there for answers such as these, and not for all traffic, or all of an address? */
static bool is_aimed(const struct explanation *explanation, const struct kernel_rule *rule)
{
	if (rule->table == 0 || rule->inverted || rule->narrow || !applies(explanation, rule))
		return false;
	if (rule->mask != 0)
		return true;
	return return_path_is_loopback(&explanation->path->upstream) &&
	       (rule->from.length > 0 || rule->iif[0] != '\0');
}

/* The rule that would bring the answers back if it were asked; NO_RULE. */
static size_t find_serving(const struct explanation *explanation)
{
	for (size_t i = 0; i < explanation->facts->rules.count; i++) {
		const struct kernel_rule *rule = rule_at(explanation, i);

		if (!rule->narrow && applies(explanation, rule) &&
		    has_local_default(explanation, rule->table))
			return i;
	}
	return NO_RULE;
}

/* The rule that is there for the answers, wherever it leads; the plan's own before any other. */
static size_t find_aimed(const struct explanation *explanation)
{
	const struct return_rule *wanted = &explanation->plan->rules[explanation->path->rule];
	size_t found = NO_RULE;

	for (size_t i = 0; i < explanation->facts->rules.count; i++) {
		const struct kernel_rule *rule = rule_at(explanation, i);

		if (kernel_rule_is(rule, wanted))
			return i;
		if (found == NO_RULE && is_aimed(explanation, rule))
			found = i;
	}
	return found;
}

/* What the lookup met instead of a route, as the rule's action says it. */
static uint8_t refusal_of(int error)
{
	switch (-error) {
	case EACCES:
		return FR_ACT_PROHIBIT;
	case EINVAL:
		return FR_ACT_BLACKHOLE;
	case ENETUNREACH:
		return FR_ACT_UNREACHABLE;
	}
	return FR_ACT_UNSPEC;
}

/* The rule whose table, or whose refusal, the lookup ended with; NO_RULE. */
static size_t find_deciding(const struct explanation *explanation)
{
	const struct return_facts *facts = explanation->facts;

	for (size_t i = 0; i < facts->rules.count; i++) {
		const struct kernel_rule *rule = rule_at(explanation, i);

		if (!applies(explanation, rule))
			continue;
		if (facts->lookup_error < 0
			    ? rule->action == refusal_of(facts->lookup_error)
			    : rule->table != 0 && rule->table == facts->lookup.table)
			return i;
	}
	return NO_RULE;
}

/* Room for the parts of a sentence. */
#define TABLE_SIZE 20
#define WAY_SIZE   (IFNAMSIZ + 4)
#define FATE_SIZE  80

static const char *name_table(uint32_t table, char text[static TABLE_SIZE])
{
	if (table == RT_TABLE_MAIN)
		return "the main table";
	snprintf(text, TABLE_SIZE, "table %" PRIu32, table);
	return text;
}

/* " by eth0", or "" where no interface is known. */
static const char *name_way(const struct explanation *explanation, char text[static WAY_SIZE])
{
	text[0] = '\0';
	if (explanation->facts->interface[0] != '\0')
		snprintf(text, WAY_SIZE, " by %s", explanation->facts->interface);
	return text;
}

/* How an answer fares now. */
static const char *name_fate(const struct explanation *explanation, char text[static FATE_SIZE])
{
	char table[TABLE_SIZE], way[WAY_SIZE];

	if (explanation->facts->lookup_error < 0)
		return "an answer finds no route and is dropped";
	snprintf(text, FATE_SIZE, "%s sends an answer out%s",
		 name_table(explanation->facts->lookup.table, table), name_way(explanation, way));
	return text;
}

/* The rule is there, and would do, but for the one before it. False: nothing stands before it. */
static bool explain_order(const struct explanation *explanation, size_t place)
{
	size_t deciding = find_deciding(explanation);
	char fate[FATE_SIZE];

	if (deciding == NO_RULE || deciding >= place)
		return false;
	explanation->verdict->rule = RETURN_RULE_TOO_LATE;
	say(explanation->verdict->rule_evidence,
	    "rule %" PRIu32 " decides before rule %" PRIu32 ": %s",
	    rule_at(explanation, deciding)->priority, rule_at(explanation, place)->priority,
	    rule_at(explanation, deciding)->table == 0 ? "it refuses the answers"
						       : name_fate(explanation, fate));
	return true;
}

/* Another table that has what this one lacks is what was meant. */
static void explain_route(const struct explanation *explanation, uint32_t table)
{
	const struct kernel_tables *locals = &explanation->facts->locals;

	explanation->verdict->route = RETURN_ROUTE_MISSING;
	if (locals->count > 0)
		say(explanation->verdict->route_evidence,
		    "table %" PRIu32 " has no local default; table %" PRIu32 " has one", table,
		    locals->tables[0]);
	else
		say(explanation->verdict->route_evidence, "table %" PRIu32 " has no local default",
		    table);
}

static void explain_missing(const struct explanation *explanation, uint32_t table)
{
	char fate[FATE_SIZE];

	explanation->verdict->rule = RETURN_RULE_MISSING;
	say(explanation->verdict->rule_evidence, "no rule applies: %s",
	    name_fate(explanation, fate));
	if (!has_local_default(explanation, table))
		explain_route(explanation, table);
}

/* A rule is there for the answers, and its table does not bring them back. */
static void explain_aimed(const struct explanation *explanation, size_t place, uint32_t wanted)
{
	const struct kernel_rule *rule = rule_at(explanation, place);

	if (rule->table != wanted && has_local_default(explanation, wanted)) {
		explanation->verdict->rule = RETURN_RULE_WRONG_TABLE;
		say(explanation->verdict->rule_evidence,
		    "rule %" PRIu32 " looks in table %" PRIu32
		    ", which has no local default; table %" PRIu32 " has one",
		    rule->priority, rule->table, wanted);
		return;
	}
	explanation->verdict->table = rule->table;
	explain_route(explanation, rule->table);
	explain_order(explanation, place);
}

/* The plan has a rule, and the lookup is not sound. */
static void explain_rule(const struct explanation *explanation)
{
	uint32_t wanted = explanation->plan->rules[explanation->path->rule].table;
	size_t serving = find_serving(explanation), aimed = find_aimed(explanation);
	char fate[FATE_SIZE];

	explanation->verdict->table = wanted;
	if (serving == NO_RULE && aimed == NO_RULE) {
		explain_missing(explanation, wanted);
		return;
	}
	if (serving == NO_RULE) {
		explain_aimed(explanation, aimed, wanted);
		return;
	}
	explanation->verdict->table = rule_at(explanation, serving)->table;
	if (explain_order(explanation, serving))
		return;
	/* A route that refuses, in a table that is asked before; which one is not known here. */
	explanation->verdict->rule = RETURN_RULE_TOO_LATE;
	say(explanation->verdict->rule_evidence,
	    "rule %" PRIu32 " stands, and something before it decides: %s",
	    rule_at(explanation, serving)->priority, name_fate(explanation, fate));
}

static void explain_no_mark(const struct explanation *explanation)
{
	char upstream[ADDRESS_TEXT_SIZE], fate[FATE_SIZE];

	explanation->verdict->rule = RETURN_RULE_NO_MARK;
	say(explanation->verdict->rule_evidence,
	    "%s is not on loopback, and no mark tells its answers: %s",
	    address_format_ip(&explanation->path->upstream, upstream),
	    name_fate(explanation, fate));
}

/* The rules would bring it back; that it is refused on the way is not theirs. */
static bool is_only_filtered(const struct explanation *explanation)
{
	size_t serving, deciding;

	if (!explanation->facts->filtered)
		return false;
	serving = find_serving(explanation);
	deciding = find_deciding(explanation);
	if (serving == NO_RULE || (deciding != NO_RULE && deciding < serving))
		return false;
	explanation->verdict->table = rule_at(explanation, serving)->table;
	return true;
}

void return_explain(const struct return_plan *plan, const struct return_path *path,
		    const struct return_facts *facts, struct return_verdict *verdict)
{
	struct explanation explanation = {
		plan,    path,
		facts,   return_check_client((enum address_family)path->upstream.family),
		verdict,
	};

	*verdict = (struct return_verdict){
		.sound = facts->lookup_error == 0 && facts->lookup.type == RTN_LOCAL,
		.elsewhere = facts->elsewhere,
	};
	if (verdict->sound)
		verdict->table = facts->lookup.table;
	else if (is_only_filtered(&explanation))
		verdict->sound = true;
	else if (path->rule == RETURN_PATH_NO_RULE)
		explain_no_mark(&explanation);
	else
		explain_rule(&explanation);
}

struct address return_check_client(enum address_family family)
{
	static const uint8_t ipv4[4] = {203, 0, 113, 251};
	static const uint8_t ipv6[16] = {0x20, 0x01, 0x0d, 0xb8, 0xff, 0xfb, [15] = 0xfb};

	return family == ADDRESS_IPV6 ? address_from_ipv6(ipv6, 0) : address_from_ipv4(ipv4, 0);
}
