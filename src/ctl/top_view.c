/* SPDX-License-Identifier: MIT */
/* The lines of `top`. */
#include "ctl/top_view.h"

#include <inttypes.h>
#include <stdio.h>

#include "ctl/answer.h"
#include "ctl/format.h"
#include "ctl/table.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Clients without a screen: a block must not be endless. */
#define PLAIN_CLIENTS 20

/* Causes that are looked at: more than there are. */
#define CAUSES_MAX 128

struct comparison {
	const struct top_sample *before;
	const struct top_sample *after;
};

static const struct table_column listener_columns[] = {
	{"LISTENER", TABLE_LEFT},  {"PROTOCOL", TABLE_LEFT}, {"STATE", TABLE_LEFT},
	{"SESSIONS", TABLE_RIGHT}, {"MOST", TABLE_RIGHT},    {"SO FAR", TABLE_RIGHT},
	{"NEW/s", TABLE_RIGHT},
};

static const struct table_column client_columns[] = {
	{"CLIENT", TABLE_LEFT}, {"SESSIONS", TABLE_RIGHT},      {"FROM CLIENT", TABLE_RIGHT},
	{"NOW", TABLE_RIGHT},   {"FROM UPSTREAM", TABLE_RIGHT}, {"NOW", TABLE_RIGHT},
};

static const struct table_column cause_columns[] = {
	{"REFUSED, FAILED, DROPPED", TABLE_LEFT},
	{"SO FAR", TABLE_RIGHT},
	{"NOW/s", TABLE_RIGHT},
};

static void add_title(const struct top_sample *sample, struct lines *lines)
{
	const json_t *status = sample->parts[TOP_STATUS], *worker;
	const json_t *workers = answer_array(status, "workers");
	size_t alive = 0, i;
	char up[FORMAT_SIZE];

	json_array_foreach (workers, i, worker) {
		alive += json_is_true(json_object_get(worker, "alive")) ? 1 : 0;
	}
	lines_add(lines, LINE_TITLE,
		  "mmproxy %s  %s  up %s  generation %" PRIu64 "  %zu of %zu workers alive",
		  answer_text(status, "version"), answer_text(status, "state"),
		  format_duration(answer_number(status, "uptime"), up),
		  answer_count(status, "generation"), alive, json_array_size(workers));
}

/* Two rates beside each other, each below the one of the line above. */
static void add_pair(struct lines *lines, const char *label, const char *figure, const char *one,
		     const char *one_rate, const char *other, const char *other_rate)
{
	lines_add(lines, LINE_PLAIN, "%-10s %-16s %-12s %11s   %-14s %11s", label, figure, one,
		  one_rate, other, other_rate);
}

static const char *counter_rate(const struct comparison *comparison, const char *name,
				char text[static FORMAT_SIZE])
{
	char rate[FORMAT_SIZE];

	format_rate(top_counter_rate(comparison->before, comparison->after, name), rate);
	snprintf(text, FORMAT_SIZE, "%.24s/s", rate);
	return text;
}

static const char *byte_rate(const struct comparison *comparison, const char *name,
			     char text[static FORMAT_SIZE])
{
	return format_byte_rate(top_counter_rate(comparison->before, comparison->after, name),
				text);
}

static void add_totals(const struct comparison *comparison, struct lines *lines)
{
	const json_t *status = comparison->after->parts[TOP_STATUS];
	char one[FORMAT_SIZE], other[FORMAT_SIZE], sessions[64];

	snprintf(sessions, sizeof(sessions), "%" PRIu64 " of %" PRIu64,
		 answer_count(status, "sessions"), answer_count(status, "max_sessions"));
	add_pair(lines, "sessions", sessions, "accepted",
		 counter_rate(comparison, "sessions_accepted", one), "relayed",
		 counter_rate(comparison, "sessions_relayed", other));
	add_pair(lines, "bytes", "", "from clients",
		 byte_rate(comparison, "bytes_from_client", one), "from upstreams",
		 byte_rate(comparison, "bytes_from_upstream", other));
	add_pair(lines, "datagrams", "", "from clients",
		 counter_rate(comparison, "datagrams_from_client", one), "from upstreams",
		 counter_rate(comparison, "datagrams_from_upstream", other));
}

static void fill_listeners(const struct comparison *comparison, struct table *table)
{
	const json_t *listener;
	char rate[FORMAT_SIZE];
	size_t i;

	json_array_foreach (answer_array(comparison->after->parts[TOP_LISTENERS], "listeners"), i,
			    listener) {
		const char *name = answer_text(listener, "name");
		double begun = top_element_rate(comparison->before, comparison->after,
						TOP_LISTENERS, "name", name, "sessions_total");

		table_begin_row(table, LINE_PLAIN);
		table_add(table, "%s", name);
		table_add(table, "%s", answer_text(listener, "protocol"));
		table_add(table, "%s", answer_text(listener, "state"));
		table_add(table, "%" PRIu64, answer_count(listener, "sessions"));
		table_add(table, "%" PRIu64, answer_count(listener, "max_sessions"));
		table_add(table, "%" PRIu64, answer_count(listener, "sessions_total"));
		table_add(table, "%s", format_rate(begun, rate));
	}
}

static double client_rate(const struct comparison *comparison, const char *client,
			  const char *figure)
{
	return top_element_rate(comparison->before, comparison->after, TOP_CLIENTS, "client",
				client, figure);
}

static void fill_clients(const struct comparison *comparison, struct table *table)
{
	const json_t *client;
	char text[FORMAT_SIZE];
	size_t i;

	json_array_foreach (answer_array(comparison->after->parts[TOP_CLIENTS], "clients"), i,
			    client) {
		const char *address = answer_text(client, "client");
		double up = client_rate(comparison, address, "bytes_from_client");
		double down = client_rate(comparison, address, "bytes_from_upstream");

		table_begin_row(table, up == 0 && down == 0 ? LINE_QUIET : LINE_PLAIN);
		table_add(table, "%s", address);
		table_add(table, "%" PRIu64, answer_count(client, "sessions"));
		table_add(table, "%s",
			  format_bytes(answer_count(client, "bytes_from_client"), text));
		table_add(table, "%s", format_byte_rate(up, text));
		table_add(table, "%s",
			  format_bytes(answer_count(client, "bytes_from_upstream"), text));
		table_add(table, "%s", format_byte_rate(down, text));
	}
}

static void fill_causes(const struct comparison *comparison, struct table *table)
{
	struct top_cause causes[CAUSES_MAX];
	size_t count = top_sample_causes(comparison->before, comparison->after, causes, CAUSES_MAX);
	char rate[FORMAT_SIZE];

	for (size_t i = 0; i < count; i++) {
		table_begin_row(table, causes[i].rate > 0 ? LINE_ALERT : LINE_QUIET);
		table_add(table, "%s", causes[i].name);
		table_add(table, "%" PRIu64, causes[i].total);
		table_add(table, "%s", format_rate(causes[i].rate, rate));
	}
}

void top_view_divide(size_t room, const size_t wanted[static 3], size_t granted[static 3])
{
	bool given = true;

	granted[0] = granted[1] = granted[2] = 0;
	/* Row by row in turn, so that no table starves beside a long one. */
	while (room > 0 && given) {
		given = false;
		for (size_t i = 0; i < 3 && room > 0; i++) {
			if (granted[i] == wanted[i])
				continue;
			granted[i]++;
			room--;
			given = true;
		}
	}
}

/* A blank line, the heading, and the rows; what has no room is told of in the last. */
static void add_table(const struct table *table, size_t rows, struct lines *lines)
{
	if (table->row_count == 0 || rows == 0)
		return;
	lines_add(lines, LINE_PLAIN, "%s", "");
	if (rows >= table->row_count) {
		table_render(table, 0, lines);
		return;
	}
	if (rows > 1)
		table_render(table, rows - 1, lines);
	lines_add(lines, LINE_QUIET, "and %zu more", table->row_count - (rows > 1 ? rows - 1 : 0));
}

/* Fewer lines than a table's blank line, heading and one row are of no use to it. */
static void grant_rows(const struct table tables[static 3], size_t height, size_t used,
		       size_t granted[static 3])
{
	size_t wanted[3], room = height > used ? height - used : 0;

	for (size_t i = 0; i < 3; i++) {
		wanted[i] = room >= 3 ? tables[i].row_count : 0;
		if (wanted[i] > 0)
			room -= 2;
	}
	top_view_divide(room, wanted, granted);
}

void top_view(const struct top_sample *before, const struct top_sample *after, size_t height,
	      struct lines *lines)
{
	const struct comparison comparison = {before, after};
	size_t granted[3], first = lines->count;
	struct table tables[3];

	table_init(&tables[0], listener_columns, COUNT_OF(listener_columns));
	table_init(&tables[1], client_columns, COUNT_OF(client_columns));
	table_init(&tables[2], cause_columns, COUNT_OF(cause_columns));
	fill_listeners(&comparison, &tables[0]);
	fill_clients(&comparison, &tables[1]);
	fill_causes(&comparison, &tables[2]);
	add_title(after, lines);
	add_totals(&comparison, lines);
	if (height > 0) {
		grant_rows(tables, height, lines->count - first, granted);
	} else {
		for (size_t i = 0; i < 3; i++)
			granted[i] = tables[i].row_count;
		if (granted[1] > PLAIN_CLIENTS)
			granted[1] = PLAIN_CLIENTS;
	}
	for (size_t i = 0; i < 3; i++) {
		add_table(&tables[i], granted[i], lines);
		table_finish(&tables[i]);
	}
}
