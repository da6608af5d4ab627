/* SPDX-License-Identifier: MIT */
/* mmproxyctl sessions and clients: who is connected, since when, and how much they moved. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "ctl/answer.h"
#include "ctl/format.h"
#include "ctl/options.h"
#include "ctl/show.h"
#include "ctl/table.h"

/* What matters most stands left: a terminal that is too narrow cuts the rest. */
static const struct table_column session_columns[] = {
	{"ID", TABLE_RIGHT},         {"LISTENER", TABLE_LEFT},     {"STATE", TABLE_LEFT},
	{"CLIENT", TABLE_LEFT},      {"UPSTREAM", TABLE_LEFT},     {"AGE", TABLE_RIGHT},
	{"IDLE", TABLE_RIGHT},       {"FROM CLIENT", TABLE_RIGHT}, {"FROM UPSTREAM", TABLE_RIGHT},
	{"PROTOCOL", TABLE_LEFT},    {"HEADER", TABLE_LEFT},       {"BALANCER", TABLE_LEFT},
	{"DESTINATION", TABLE_LEFT},
};

static const struct table_column client_columns[] = {
	{"CLIENT", TABLE_LEFT},
	{"SESSIONS", TABLE_RIGHT},
	{"FROM CLIENT", TABLE_RIGHT},
	{"FROM UPSTREAM", TABLE_RIGHT},
};

static void add_bytes(struct table *table, const json_t *object, const char *key)
{
	char text[FORMAT_SIZE];

	table_add(table, "%s", format_bytes(answer_count(object, key), text));
}

static void add_duration(struct table *table, const json_t *object, const char *key)
{
	char text[FORMAT_SIZE];

	table_add(table, "%s", format_duration(answer_number(object, key), text));
}

static void add_session(struct table *table, const json_t *session)
{
	table_begin_row(table, LINE_PLAIN);
	table_add(table, "%" PRIu64, answer_count(session, "id"));
	table_add(table, "%s", answer_text(session, "listener"));
	table_add(table, "%s", answer_text(session, "state"));
	table_add(table, "%s", answer_text(session, "client"));
	table_add(table, "%s", answer_text(session, "upstream"));
	add_duration(table, session, "age");
	add_duration(table, session, "idle");
	add_bytes(table, session, "bytes_from_client");
	add_bytes(table, session, "bytes_from_upstream");
	table_add(table, "%s", answer_text(session, "protocol"));
	table_add(table, "%s", answer_text(session, "header"));
	table_add(table, "%s", answer_text(session, "balancer"));
	table_add(table, "%s", answer_text(session, "destination"));
}

static void print_sessions(const json_t *result, const struct options *options)
{
	const json_t *sessions = answer_array(result, "sessions"), *session;
	uint64_t matched = answer_count(result, "matched");
	size_t shown = json_array_size(sessions), i;
	struct table table;

	(void)options;
	if (shown == 0) {
		puts("no session matches");
		return;
	}
	table_init(&table, session_columns, sizeof(session_columns) / sizeof(session_columns[0]));
	json_array_foreach (sessions, i, session) {
		add_session(&table, session);
	}
	table_print(&table);
	table_finish(&table);
	if (matched > shown)
		printf("%zu of %" PRIu64 " sessions; --limit N, up to 10000, shows more\n", shown,
		       matched);
}

int show_sessions(const struct options *options)
{
	char client[300] = "", listener[300] = "", older[64] = "", limit[32] = "";
	char request[1024];

	if (options->client != NULL)
		snprintf(client, sizeof(client), " client=%s", options->client);
	if (options->listener != NULL)
		snprintf(listener, sizeof(listener), " listener=%s", options->listener);
	if (options->older > 0)
		snprintf(older, sizeof(older), " older=%.0f", ceil(options->older));
	if (options->limit > 0)
		snprintf(limit, sizeof(limit), " limit=%u", options->limit);
	snprintf(request, sizeof(request), "sessions%s%s%s%s", client, listener, older, limit);
	return answer_show(options, request, print_sessions);
}

static void print_clients(const json_t *result, const struct options *options)
{
	const json_t *clients = answer_array(result, "clients"), *client;
	struct table table;
	size_t i;

	(void)options;
	if (json_array_size(clients) == 0) {
		puts("no client has a session");
		return;
	}
	table_init(&table, client_columns, sizeof(client_columns) / sizeof(client_columns[0]));
	json_array_foreach (clients, i, client) {
		table_begin_row(&table, LINE_PLAIN);
		table_add(&table, "%s", answer_text(client, "client"));
		table_add(&table, "%" PRIu64, answer_count(client, "sessions"));
		add_bytes(&table, client, "bytes_from_client");
		add_bytes(&table, client, "bytes_from_upstream");
	}
	table_print(&table);
	table_finish(&table);
}

int show_clients(const struct options *options)
{
	char request[64] = "clients";

	if (options->limit > 0)
		snprintf(request, sizeof(request), "clients limit=%u", options->limit);
	return answer_show(options, request, print_clients);
}
