/* SPDX-License-Identifier: MIT */
/* mmproxyctl routing show: the return path that a file needs, and whether it is there. */
#include "ctl/routing.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/report.h"
#include "config/config.h"
#include "ctl/answer.h"
#include "ctl/format.h"
#include "ctl/memory.h"
#include "ctl/options.h"
#include "ctl/routing_items.h"
#include "routing/nft.h"
#include "routing/return_mark.h"

/* Only root may ask nftables. */
static enum routing_state find_mark_table(uint32_t mark)
{
	char *listing;

	if (!nft_supported() || geteuid() != 0)
		return ROUTING_STATE_UNKNOWN;
	listing = nft_mark_list(mark);
	if (listing == NULL)
		return errno == ENOENT ? ROUTING_STATE_MISSING : ROUTING_STATE_UNKNOWN;
	free(listing);
	return ROUTING_STATE_THERE;
}

/* The tables alone, for `nft -f -`; what is there by their names is replaced. */
static void print_rulesets(const struct return_plan *plan)
{
	char text[RETURN_MARK_RULESET_SIZE], name[RETURN_MARK_TABLE_SIZE];

	for (size_t i = 0; i < plan->mark_count; i++) {
		return_mark_table(plan->marks[i], name);
		printf("table inet %s\ndelete table inet %s\n%s", name, name,
		       return_mark_ruleset(plan->marks[i], text));
	}
	if (plan->mark_count == 0)
		answer_complain(
			"routing: no listener of this file has an upstream that needs a table of "
			"nftables");
}

static const char *const kind_names[] = {
	[ROUTING_KIND_RULE] = "rule",
	[ROUTING_KIND_ROUTE] = "route",
	[ROUTING_KIND_MARK] = "mark",
	[ROUTING_KIND_SETTING] = "setting",
};

static const char *const state_names[] = {
	[ROUTING_STATE_THERE] = "there",
	[ROUTING_STATE_MISSING] = "missing",
	[ROUTING_STATE_UNKNOWN] = "unknown",
};

/* Room for evidence that is made printable: an interface's name may hold almost any byte. */
#define PRINTABLE_SIZE (4 * (size_t)RETURN_EVIDENCE_SIZE)

static void print_json(const struct routing_items *items, const struct routing_settings *settings)
{
	char text[PRINTABLE_SIZE];
	json_t *list = json_array(), *whole;

	for (size_t i = 0; i < items->count; i++) {
		const struct routing_item *item = &items->items[i];

		format_printable(text, sizeof(text), item->evidence);
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "kind",
						      kind_names[item->kind], "needs", item->what,
						      "state", state_names[item->state], "evidence",
						      text));
	}
	whole = json_pack("{s:b, s:s, s:I, s:s, s:o}", "ok", routing_items_missing(items) == 0,
			  "mode", routing_mode_name(settings->mode), "table",
			  (json_int_t)settings->table, "method",
			  routing_method_name(settings->method), "items", list);
	answer_print_json(whole);
	json_decref(whole);
}

static const char *state_mark(enum routing_state state, bool unicode)
{
	switch (state) {
	case ROUTING_STATE_THERE:
		return unicode ? "\xe2\x9c\x93" : "+"; /* a check mark */
	case ROUTING_STATE_MISSING:
		return unicode ? "\xe2\x9c\x97" : "X"; /* a cross */
	case ROUTING_STATE_UNKNOWN:
		break;
	}
	return "-";
}

static const char *advice_for(enum routing_mode mode)
{
	switch (mode) {
	case ROUTING_MODE_MANAGE:
		return "mmproxy adds it while it runs";
	case ROUTING_MODE_CHECK:
	case ROUTING_MODE_OFF:
		break;
	}
	return "add it as root, or write routing = { mode = \"manage\"; }";
}

static void print_text(const struct routing_items *items, const struct routing_settings *settings)
{
	size_t missing = routing_items_missing(items);
	char text[PRINTABLE_SIZE];
	bool unicode;

	setlocale(LC_CTYPE, "");
	unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	for (size_t i = 0; i < items->count; i++) {
		const struct routing_item *item = &items->items[i];

		printf("%s %s\n", state_mark(item->state, unicode), item->what);
		format_printable(text, sizeof(text), item->evidence);
		if (text[0] != '\0')
			printf("    %s\n", text);
	}
	if (missing > 0)
		printf("%zu missing: %s\n", missing, advice_for(settings->mode));
}

/* Prints them. Is anything missing? */
static bool show_items(const struct options *options, const struct routing_settings *settings,
		       const struct return_plan *plan, const struct routing_findings *findings)
{
	struct routing_items items = {0};
	bool missing;

	routing_items_make(&items, plan, settings->table, findings);
	if (options->json)
		print_json(&items, settings);
	else
		print_text(&items, settings);
	missing = routing_items_missing(&items) > 0;
	routing_items_finish(&items);
	return missing;
}

static bool show(const struct options *options, const struct routing_settings *settings,
		 const struct return_plan *plan)
{
	struct return_verdict *verdicts = memory_resize(NULL, plan->path_count, sizeof(*verdicts));
	enum routing_state *tables = memory_resize(NULL, plan->mark_count, sizeof(*tables));
	int error = return_check_all(plan, verdicts);
	bool missing;

	if (error == -EOPNOTSUPP)
		answer_complain("routing: what is in place is not known: this program was built "
				"without libmnl");
	else if (error < 0)
		answer_complain(
			"routing: what is in place is not known: the kernel cannot be asked: %s",
			strerror(-error));
	for (size_t i = 0; i < plan->mark_count; i++)
		tables[i] = find_mark_table(plan->marks[i]);
	missing = show_items(options, settings, plan,
			     &(struct routing_findings){
				     .verdicts = error == 0 ? verdicts : NULL,
				     .mark_tables = tables,
				     .mark_accept = return_mark_is_accepted(),
				     .config = options->config,
			     });
	free(verdicts);
	free(tables);
	return missing;
}

static int run(const struct options *options, const struct config *config)
{
	struct return_plan plan;
	int status = EXIT_SUCCESS;

	return_plan_init(&plan);
	if (config_plan_returns(config, &plan) < 0) {
		answer_complain("out of memory");
		status = EXIT_FAILURE;
	} else if (options->nft) {
		print_rulesets(&plan);
	} else if (show(options, &config->routing, &plan)) {
		status = EXIT_FAILURE;
	}
	return_plan_finish(&plan);
	return status;
}

int routing_run(const struct options *options)
{
	struct config config;
	struct report report;
	int status = COMMAND_MISTAKE;

	if (strcmp(options->argument, "show") != 0) {
		answer_complain("routing: \"%.80s\" is not known; write mmproxyctl routing show",
				options->argument);
		return COMMAND_MISTAKE;
	}
	report_init(&report);
	if (config_load_file(options->config, &config, &report) == 0) {
		status = run(options, &config);
		config_finish(&config);
	}
	for (size_t i = 0; i < report.count; i++)
		fprintf(stderr, "%s\n", report.lines[i]);
	report_finish(&report);
	return status;
}
