/* SPDX-License-Identifier: MIT */
/* mmproxyctl listeners: a row each, and further rows for further addresses. */
#include <inttypes.h>

#include "ctl/answer.h"
#include "ctl/show.h"
#include "ctl/table.h"

static const struct table_column columns[] = {
	{"LISTENER", TABLE_LEFT}, {"PROTOCOL", TABLE_LEFT}, {"STATE", TABLE_LEFT},
	{"LISTENS", TABLE_LEFT},  {"FORWARDS", TABLE_LEFT}, {"SESSIONS", TABLE_RIGHT},
	{"MOST", TABLE_RIGHT},    {"SO FAR", TABLE_RIGHT},
};

static void add_limit(struct table *table, uint64_t limit)
{
	if (limit == 0)
		table_add(table, "-");
	else
		table_add(table, "%" PRIu64, limit);
}

/* The two upstreams in the order IPv4, IPv6; "" behind the last that is set. */
static const char *forward(const json_t *listener, size_t i)
{
	const char *ipv4 = answer_text(listener, "forward_ipv4");
	const char *ipv6 = answer_text(listener, "forward_ipv6");

	if (i == 0)
		return ipv4[0] != '\0' ? ipv4 : ipv6;
	return i == 1 && ipv4[0] != '\0' ? ipv6 : "";
}

static void add_addresses(struct table *table, const json_t *listener, size_t i)
{
	const json_t *endpoint = json_array_get(answer_array(listener, "listen"), i);

	/* A socket that the service manager has opened, and keeps. */
	table_add(table, "%s%s", answer_text(endpoint, "address"),
		  json_is_true(json_object_get(endpoint, "passed")) ? " (passed)" : "");
	table_add(table, "%s", forward(listener, i));
}

static void add_listener(struct table *table, const json_t *listener)
{
	size_t endpoints = json_array_size(answer_array(listener, "listen"));
	const char *framing = answer_text(listener, "framing");

	table_begin_row(table, LINE_PLAIN);
	table_add(table, "%s", answer_text(listener, "name"));
	table_add(table, "%s%s%s", answer_text(listener, "protocol"),
		  framing[0] != '\0' ? ", " : "", framing);
	table_add(table, "%s", answer_text(listener, "state"));
	add_addresses(table, listener, 0);
	table_add(table, "%" PRIu64, answer_count(listener, "sessions"));
	add_limit(table, answer_count(listener, "max_sessions"));
	table_add(table, "%" PRIu64, answer_count(listener, "sessions_total"));
	for (size_t i = 1; i < endpoints || forward(listener, i)[0] != '\0'; i++) {
		table_begin_row(table, LINE_PLAIN);
		table_add(table, "%s", "");
		table_add(table, "%s", "");
		table_add(table, "%s", "");
		add_addresses(table, listener, i);
	}
}

static void print_listeners(const json_t *result, const struct options *options)
{
	const json_t *listener;
	struct table table;
	size_t i;

	(void)options;
	table_init(&table, columns, sizeof(columns) / sizeof(columns[0]));
	json_array_foreach(answer_array(result, "listeners"), i, listener)
		add_listener(&table, listener);
	table_print(&table);
	table_finish(&table);
}

int show_listeners(const struct options *options)
{
	return answer_show(options, "listeners", print_listeners);
}
