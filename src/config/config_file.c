/* SPDX-License-Identifier: MIT */
/*
 * A libconfig file becomes a struct config: the file as a whole, the settings at its top and in
 * `log`. Listeners are read in config_listener.c, the ways to ask a running mmproxy in
 * config_service.c, the return path in config_routing.c, plain values in config_value.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/report.h"
#include "config/config_loader.h"

/* 0 is "one a CPU", which config_begin() has counted already. */
static void read_workers(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field)
{
	uint32_t workers = 0;

	config_read_uint32(loader, setting, known, &workers);
	if (workers > 0) {
		*(unsigned *)field = workers;
		loader->config->workers_given = true;
	}
}

static void read_scheduling(struct config_loader *loader, config_setting_t *setting,
			    const struct setting *known, void *field)
{
	int choice = config_get_choice(loader, setting, known);

	if (choice >= 0)
		*(enum scheduling *)field = (enum scheduling)choice;
}

static void read_log_level(struct config_loader *loader, config_setting_t *setting,
			   const struct setting *known, void *field)
{
	int choice = config_get_choice(loader, setting, known);

	if (choice >= 0)
		*(enum log_level *)field = (enum log_level)choice;
}

static void read_log_format(struct config_loader *loader, config_setting_t *setting,
			    const struct setting *known, void *field)
{
	int choice = config_get_choice(loader, setting, known);

	if (choice < 0)
		return;
	if (log_format_supported((enum log_format)choice))
		*(enum log_format *)field = (enum log_format)choice;
	else
		config_mistake(loader, setting,
			       "\"%s\" needs jansson, which this program was built without; write "
			       "\"text\"",
			       config_setting_get_string(setting));
}

static void read_log_target(struct config_loader *loader, config_setting_t *setting,
			    const struct setting *known, void *field)
{
	int choice = config_get_choice(loader, setting, known);

	if (choice >= 0)
		*(enum log_target *)field = (enum log_target)choice;
}

static const struct config_rule log_rules[SETTING_COUNT] = {
	[SETTING_log_level] = {read_log_level, offsetof(struct log_options, level)},
	[SETTING_log_format] = {read_log_format, offsetof(struct log_options, format)},
	[SETTING_log_target] = {read_log_target, offsetof(struct log_options, target)},
};

static void read_log(struct config_loader *loader, config_setting_t *setting,
		     const struct setting *known, void *field)
{
	const struct log_options *options = field;

	(void)known;
	if (!config_setting_is_group(setting)) {
		config_mistake(loader, setting, "wrong type; write log = { level = \"info\"; }");
		return;
	}
	config_read_group(loader, setting, SETTING_SCOPE_log, log_rules, field);
	if (options->target == LOG_TARGET_JOURNAL &&
	    config_setting_get_member(setting, "format") != NULL)
		config_remark(loader, config_setting_get_member(setting, "format"),
			      "it has no effect with target = \"journal\", which has a field for "
			      "each; remove it");
}

static const struct config_rule top_rules[SETTING_COUNT] = {
	[SETTING_top_workers] = {read_workers, offsetof(struct config, workers)},
	[SETTING_top_scheduling] = {read_scheduling, offsetof(struct config, scheduling)},
	[SETTING_top_user] = {config_read_text, offsetof(struct config, user)},
	[SETTING_top_group] = {config_read_text, offsetof(struct config, group)},
	[SETTING_top_seccomp] = {config_read_seccomp, offsetof(struct config, seccomp)},
	[SETTING_top_landlock] = {config_read_landlock, offsetof(struct config, landlock)},
	[SETTING_top_drain_timeout] = {config_read_seconds, offsetof(struct config, drain_timeout)},
	[SETTING_top_offload] = {config_read_offload, offsetof(struct config, offload)},
	[SETTING_top_offload_directory] = {config_read_offload_directory,
					   offsetof(struct config, offload_directory)},
	[SETTING_top_offload_at_exit] = {config_read_offload_at_exit,
					 offsetof(struct config, offload_at_exit)},
	[SETTING_top_log] = {read_log, offsetof(struct config, log)},
	[SETTING_top_control] = {config_read_control, offsetof(struct config, control)},
	[SETTING_top_metrics] = {config_read_metrics, 0},
	[SETTING_top_routing] = {config_read_routing, 0},
	[SETTING_top_plugins] = {config_read_plugins, offsetof(struct config, plugins)},
	[SETTING_top_listeners] = {config_read_listeners, 0},
};

static void read_tree(struct config_loader *loader, const config_t *tree)
{
	config_setting_t *root = config_root_setting(tree);

	config_read_group(loader, root, SETTING_SCOPE_top, top_rules, loader->config);
	if (!config_group_has(root, SETTING_SCOPE_top, "listeners"))
		config_mistake_missing(loader, root, "listeners",
				       "write at least one, listeners = ( { ... } );");
	config_check_endpoints(loader);
	config_settle_routing(loader, root);
	config_settle_offload(loader->config);
}

/*
 * What config_scan.c lets pass and libconfig does not: a name that its group has already, and an
 * array whose values are of more than one type.
 */
static void report_parse_error(const struct config_scan *scan, const config_t *tree,
			       struct report *report)
{
	unsigned line = (unsigned)config_error_line(tree);
	struct config_place place = config_scan_place(scan, line);
	const char *text = config_error_text(tree) != NULL ? config_error_text(tree) : "no reason";
	const char *name = "";
	int length = (int)config_scan_name(scan, line, &name);

	if (strstr(text, "duplicate") != NULL)
		report_add(report, "%s:%u: %.*s: it is set twice in the same group; keep one",
			   place.file, place.line, length, name);
	else if (strstr(text, "element type") != NULL)
		report_add(
			report,
			"%s:%u: %.*s: an array [ ] holds values of one type only; write them all "
			"alike",
			place.file, place.line, length, name);
	else
		report_add(report, "%s:%u: %.*s: libconfig says: %s", place.file, place.line,
			   length, name, text);
}

/*
 * libconfig has no answer to a missing allocation: it ends the process, and with it all sessions of
 * one that reloads. So what it may need is asked for first: a setting takes some 300 bytes and can
 * be written in five; the rest is what its reader starts with.
 */
#define TREE_BYTES_A_BYTE 64
#define TREE_BYTES_FIRST  65536

static bool has_memory_for(const struct config_scan *scan)
{
	/* Volatile, or the compiler would take it for granted. */
	void *volatile memory = malloc(strlen(scan->text) * TREE_BYTES_A_BYTE + TREE_BYTES_FIRST);

	free(memory);
	return memory != NULL;
}

static int load_text(const struct config_scan *scan, struct config *config, struct report *report)
{
	struct config_loader loader = {.scan = scan, .config = config, .report = report};
	config_t tree;

	config_init(&tree);
	if (config_read_string(&tree, scan->text) == CONFIG_TRUE) {
		read_tree(&loader, &tree);
	} else {
		report_parse_error(scan, &tree, report);
		loader.failed = true;
	}
	for (size_t i = 0; i < scan->file_count; i++) {
		if (text_list_add(&config->files, scan->files[i]) < 0 && !loader.failed)
			config_out_of_memory(&loader, config_root_setting(&tree));
	}
	config_destroy(&tree);
	free(loader.origins);
	return loader.failed ? -EINVAL : 0;
}

int config_load_file(const char *path, struct config *config, struct report *report)
{
	struct config_scan scan;
	int result;

	if (config_begin(config) < 0) {
		report_add_failure(report, "%s: out of memory", path);
		return -EINVAL;
	}
	result = config_scan_file(path, &scan, report);
	if (result == 0 && !has_memory_for(&scan)) {
		report_add_failure(report, "%s: out of memory", path);
		result = -EINVAL;
	}
	if (result == 0)
		result = load_text(&scan, config, report);
	config_scan_finish(&scan);
	if (result < 0)
		config_finish(config);
	return result;
}
