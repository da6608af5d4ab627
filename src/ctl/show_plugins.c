/* SPDX-License-Identifier: MIT */
/* mmproxyctl plugins: the entries of the configuration, and what they have counted. */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/answer.h"
#include "ctl/format.h"
#include "ctl/show.h"
#include "ctl/table.h"

static const struct table_column plugin_columns[] = {
	{"ENTRY", TABLE_LEFT},    {"PLUGIN", TABLE_LEFT},   {"VERSION", TABLE_LEFT},
	{"ON ERROR", TABLE_LEFT}, {"TIMEOUT", TABLE_RIGHT}, {"LISTENERS", TABLE_LEFT},
	{"PATH", TABLE_LEFT},
};

static const struct table_column counter_columns[] = {
	{"ENTRY", TABLE_LEFT},
	{"COUNTER", TABLE_LEFT},
	{"VALUE", TABLE_RIGHT},
};

static void add_listeners(struct table *table, const json_t *listeners)
{
	char text[256] = "";
	size_t used = 0, i;
	const json_t *name;

	json_array_foreach(listeners, i, name)
	{
		int length = snprintf(text + used, sizeof(text) - used, "%s%s", i > 0 ? ", " : "",
				      json_is_string(name) ? json_string_value(name) : "?");

		used += (size_t)length;
		if (used >= sizeof(text))
			break;
	}
	table_add(table, "%s", text);
}

static void add_plugin(struct table *table, const json_t *plugin)
{
	char timeout[FORMAT_SIZE];

	table_begin_row(table, LINE_PLAIN);
	table_add(table, "%s", answer_text(plugin, "entry"));
	table_add(table, "%s", answer_text(plugin, "name"));
	table_add(table, "%s", answer_text(plugin, "version"));
	table_add(table, "%s", answer_text(plugin, "on_error"));
	table_add(table, "%s", format_duration(answer_number(plugin, "timeout"), timeout));
	add_listeners(table, answer_array(plugin, "listeners"));
	table_add(table, "%s", answer_text(plugin, "path"));
}

static void add_counters(struct table *table, const json_t *plugin)
{
	json_t *value;
	const char *name;

	json_object_foreach(json_object_get(plugin, "counters"), name, value)
	{
		if (json_integer_value(value) == 0)
			continue;
		table_begin_row(table, LINE_PLAIN);
		table_add(table, "%s", answer_text(plugin, "entry"));
		table_add(table, "%s", name);
		table_add(table, "%lld", (long long)json_integer_value(value));
	}
}

static void print_plugins(const json_t *result, const struct options *options)
{
	const json_t *plugins = answer_array(result, "plugins"), *plugin;
	struct table entries, counters;
	size_t i;

	(void)options;
	if (json_array_size(plugins) == 0) {
		puts("there are no plugins");
		return;
	}
	table_init(&entries, plugin_columns, sizeof(plugin_columns) / sizeof(plugin_columns[0]));
	table_init(&counters, counter_columns,
		   sizeof(counter_columns) / sizeof(counter_columns[0]));
	json_array_foreach(plugins, i, plugin)
	{
		add_plugin(&entries, plugin);
		add_counters(&counters, plugin);
	}
	table_print(&entries);
	if (counters.row_count > 0) {
		putchar('\n');
		table_print(&counters);
	}
	table_finish(&entries);
	table_finish(&counters);
}

int show_plugins(const struct options *options)
{
	return answer_show(options, "plugins", print_plugins);
}
