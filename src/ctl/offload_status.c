/* SPDX-License-Identifier: MIT */
#include "ctl/offload_status.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "ctl/answer.h"
#include "ctl/format.h"
#include "ctl/lines.h"
#include "ctl/memory.h"
#include "ctl/options.h"
#include "ctl/table.h"
#include "offload/filters.h"
#include "offload/interfaces.h"
#include "offload/layouts.h"
#include "offload/lock.h"
#include "offload/loopback.h"
#include "offload/programs.h"

#define LABEL "%-14s"

struct found {
	const char *directory;
	struct layout *layouts;
	size_t layout_count;
	const struct layout *ours; /* NULL: not loaded */
	pid_t holder;
	struct interfaces interfaces;
	bool *filtered; /* for each of them */
	struct loopback_lack lacks[LOOPBACK_SETTING_COUNT];
	int lack_count;
};

static void add_layout(const struct layout *layout, void *context)
{
	struct found *found = context;

	found->layouts =
		memory_resize(found->layouts, found->layout_count + 1, sizeof(*found->layouts));
	found->layouts[found->layout_count++] = *layout;
}

static void find_ours(struct found *found)
{
	for (size_t i = 0; i < found->layout_count; i++) {
		if (layout_is_ours(&found->layouts[i]))
			found->ours = &found->layouts[i];
	}
}

/* Those that have gone since they were listed are left out. */
static int look_for_filters(struct found *found, uint32_t handle)
{
	struct interfaces *interfaces = &found->interfaces;
	size_t kept = 0;

	for (size_t i = 0; i < interfaces->count; i++) {
		int64_t number = filters_find(interfaces->list[i].index, handle);

		if (number == -ENODEV)
			continue;
		if (number < 0 && number != -ENOENT)
			return (int)number;
		interfaces->list[kept] = interfaces->list[i];
		found->filtered[kept++] = number >= 0;
	}
	interfaces->count = kept;
	return 0;
}

static int look_at_interfaces(struct found *found)
{
	char folder[PATH_MAX];
	int error = interfaces_read(&found->interfaces);

	if (error < 0)
		return error;
	layouts_folder(folder, found->directory);
	found->filtered = memory_resize(NULL, found->interfaces.count + 1, sizeof(bool));
	return look_for_filters(found, filters_handle(folder));
}

static int look(struct found *found, const struct config *config)
{
	struct loopback_needs needs = {0};
	int error;

	programs_keep_library_silent();
	error = layouts_each(found->directory, add_layout, found);
	if (error < 0 && error != -ENOENT)
		return error;
	find_ours(found);
	found->holder = lock_holder(found->directory);
	config_wants_offload(config, &needs);
	found->lack_count = loopback_look(&needs, found->lacks);
	error = look_at_interfaces(found);
	return error < 0 || found->lack_count >= 0 ? error : found->lack_count;
}

static bool lacks_filter(const struct found *found, size_t i)
{
	return interface_takes_filter(&found->interfaces.list[i]) && !found->filtered[i];
}

static bool is_sound(const struct found *found)
{
	bool sound = found->ours != NULL && found->ours->error == 0 && found->lack_count == 0;

	for (size_t i = 0; i < found->interfaces.count; i++)
		sound = sound && !lacks_filter(found, i);
	return sound;
}

static json_t *layouts_json(const struct found *found)
{
	json_t *list = json_array();

	for (size_t i = 0; i < found->layout_count; i++) {
		const struct layout *layout = &found->layouts[i];

		json_array_append_new(
			list, json_pack("{s:i, s:b, s:o}", "layout", (int)layout->number, "own",
					layout_is_ours(layout), "live",
					layout->error == 0 ? json_integer((json_int_t)layout->live)
							   : json_null()));
	}
	return list;
}

/* Almost any byte may stand in it. */
static json_t *name_json(const char *name)
{
	char text[4 * IF_NAMESIZE + 1];

	format_printable(text, sizeof(text), name);
	return json_string(text);
}

static json_t *interfaces_json(const struct found *found)
{
	json_t *list = json_array();

	for (size_t i = 0; i < found->interfaces.count; i++) {
		const struct interface *interface = &found->interfaces.list[i];

		json_array_append_new(
			list,
			json_pack("{s:o, s:b, s:o}", "name", name_json(interface->name), "filter",
				  found->filtered[i], "why",
				  found->filtered[i]
					  ? json_null()
					  : json_string(interface_kind_reason(interface->kind))));
	}
	return list;
}

static json_t *settings_json(const struct found *found)
{
	json_t *list = json_array();

	for (int i = 0; i < found->lack_count; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:i}", "name",
						loopback_setting_name(found->lacks[i].setting),
						"should_be", found->lacks[i].should_be));
	return list;
}

static void print_json(const struct found *found)
{
	json_t *whole = json_pack(
		"{s:b, s:s, s:b, s:o, s:o, s:o, s:o}", "ok", is_sound(found), "directory",
		found->directory, "loaded", found->ours != NULL, "layouts", layouts_json(found),
		"pid", found->holder > 0 ? json_integer(found->holder) : json_null(), "interfaces",
		interfaces_json(found), "missing_settings", settings_json(found));

	answer_print_json(whole);
	json_decref(whole);
}

static void add_layout_line(struct lines *lines, const struct layout *layout, const char *label)
{
	const char *whose = layout_is_ours(layout) ? "" : " (of another version)";

	if (layout->error < 0)
		lines_add(lines, LINE_PLAIN, LABEL "%u%s: its sessions cannot be counted: %s",
			  label, layout->number, whose, strerror(-layout->error));
	else
		lines_add(lines, LINE_PLAIN, LABEL "%u%s: %" PRIu64 " session%s in the kernel",
			  label, layout->number, whose, layout->live, layout->live == 1 ? "" : "s");
}

static void print_summary(const struct found *found)
{
	struct lines lines = {0};

	lines_add(&lines, LINE_PLAIN, LABEL "%s", "directory", found->directory);
	lines_add(&lines, LINE_PLAIN, LABEL "%s", "loaded", found->ours != NULL ? "yes" : "no");
	for (size_t i = 0; i < found->layout_count; i++)
		add_layout_line(&lines, &found->layouts[i], i == 0 ? "layout" : "");
	if (found->holder > 0)
		lines_add(&lines, LINE_PLAIN, LABEL "process %d", "used by", (int)found->holder);
	for (int i = 0; i < found->lack_count; i++)
		lines_add(&lines, LINE_PLAIN, LABEL "%s=%d", i == 0 ? "missing" : "",
			  loopback_setting_name(found->lacks[i].setting),
			  found->lacks[i].should_be);
	lines_print(&lines, lines_terminal_width(), stdout);
	lines_finish(&lines);
}

static void print_interfaces(const struct found *found)
{
	static const struct table_column columns[] = {
		{"INTERFACE", TABLE_LEFT}, {"FILTER", TABLE_LEFT}, {"WHY", TABLE_LEFT}};
	struct table table;

	table_init(&table, columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < found->interfaces.count; i++) {
		const struct interface *interface = &found->interfaces.list[i];

		table_begin_row(&table, LINE_PLAIN);
		table_add(&table, "%s", interface->name);
		table_add(&table, "%s", found->filtered[i] ? "yes" : "no");
		table_add(&table, "%s",
			  found->filtered[i] ? "" : interface_kind_reason(interface->kind));
	}
	table_print(&table);
	table_finish(&table);
}

int offload_status(const struct options *options, const struct config *config)
{
	struct found found = {.directory = config->offload_directory};
	int error = look(&found, config), status = EXIT_FAILURE;

	if (error < 0) {
		answer_complain("offload: %s cannot be looked at: %s%s", found.directory,
				strerror(-error),
				error == -EACCES ? "; root may, and the daemon's user" : "");
	} else {
		if (options->json) {
			print_json(&found);
		} else {
			print_summary(&found);
			print_interfaces(&found);
		}
		status = is_sound(&found) ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	free(found.layouts);
	free(found.filtered);
	interfaces_finish(&found.interfaces);
	return status;
}
