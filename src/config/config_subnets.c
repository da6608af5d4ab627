/* SPDX-License-Identifier: MIT */
/*
 * A listener's lists of prefixes: which balancers may connect, and which clients pass although the
 * source policy refuses them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_address.h"
#include "config/config_loader.h"

static struct prefix_set *need_set(struct config_loader *loader, config_setting_t *setting,
				   struct prefix_set **set)
{
	if (*set == NULL)
		*set = prefix_set_create();
	if (*set == NULL)
		config_out_of_memory(loader, setting);
	return *set;
}

static void add_prefix(struct config_loader *loader, config_setting_t *element, const char *text,
		       struct prefix_set **where,
		       const char *(*remark_on)(const char *text, const struct prefix *prefix,
						char room[static CONFIG_PREFIX_REMARK_SIZE]))
{
	struct prefix_set *set = need_set(loader, element, where);
	char room[CONFIG_PREFIX_REMARK_SIZE];
	struct prefix prefix;
	const char *wrong = config_parse_prefix(text, &prefix), *remark;

	if (wrong != NULL) {
		config_mistake(loader, element, "\"%.80s\": %s", text, wrong);
		return;
	}
	if (set != NULL && prefix_set_add(set, &prefix) < 0)
		config_out_of_memory(loader, element);
	remark = remark_on(text, &prefix, room);
	if (remark != NULL)
		config_remark(loader, element, "\"%.80s\": %s", text, remark);
}

static void add_subnet(struct config_loader *loader, config_setting_t *element, const char *text,
		       void *context)
{
	add_prefix(loader, element, text, context, config_prefix_remark);
}

static void add_permit(struct config_loader *loader, config_setting_t *element, const char *text,
		       void *context)
{
	add_prefix(loader, element, text, context, config_permit_remark);
}

static bool says_any(const config_setting_t *setting)
{
	return setting != NULL && config_setting_type(setting) == CONFIG_TYPE_STRING &&
	       strcmp(config_setting_get_string(setting), "any") == 0;
}

void config_read_subnets(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field)
{
	(void)known;
	if (says_any(setting))
		return;
	if (config_setting_type(setting) == CONFIG_TYPE_STRING)
		config_mistake(
			loader, setting,
			"\"%.80s\" stands alone; write a list such as [ \"192.0.2.0/24\" ], or "
			"\"any\" to take any balancer",
			config_setting_get_string(setting));
	else
		config_each_text(loader, setting, add_subnet, field);
}

static void add_prefix_file(struct config_loader *loader, config_setting_t *element,
			    const char *text, void *context)
{
	struct config_place place =
		config_scan_place(loader->scan, config_setting_source_line(element));
	struct prefix_set *set = need_set(loader, element, context);
	char *path = config_scan_resolve(loader->scan, text);
	char setting[128], named_by[512];

	if (set == NULL || path == NULL || text_list_add(&loader->config->files, path) < 0) {
		config_out_of_memory(loader, element);
	} else {
		config_path(element, setting, sizeof(setting));
		snprintf(named_by, sizeof(named_by), "%.350s:%u: %s", place.file, place.line,
			 setting);
		if (config_read_prefix_file(path, named_by, set, loader->report,
					    &loader->config->remarks) < 0)
			loader->failed = true;
	}
	free(path);
}

void config_read_subnets_files(struct config_loader *loader, config_setting_t *setting,
			       const struct setting *known, void *field)
{
	(void)known;
	config_each_text(loader, setting, add_prefix_file, field);
}

void config_read_permit_sources(struct config_loader *loader, config_setting_t *setting,
				const struct setting *known, void *field)
{
	(void)known;
	config_each_text(loader, setting, add_permit, field);
}

/* Whoever means "anybody may connect" has to say so; a list that came out empty does not. */
void config_check_subnets(struct config_loader *loader, const config_setting_t *group)
{
	const config_setting_t *subnets = config_setting_get_member(group, "subnets");
	const config_setting_t *files = config_setting_get_member(group, "subnets_files");
	int entries = 0;

	if (subnets == NULL && files == NULL) {
		if (config_group_has(group, SETTING_SCOPE_listener, "subnets") ||
		    config_group_has(group, SETTING_SCOPE_listener, "subnets_files"))
			return;
		config_mistake_missing(loader, group, "subnets",
				       "list the balancers' prefixes, or say subnets = \"any\" to "
				       "take any balancer");
		return;
	}
	if (says_any(subnets)) {
		if (files != NULL)
			config_mistake(
				loader, files,
				"it has no effect beside subnets = \"any\"; remove one of the "
				"two");
		return;
	}
	if (subnets != NULL && config_setting_is_aggregate(subnets))
		entries += config_setting_length(subnets);
	else if (subnets != NULL)
		return; /* not a list at all, which has been said */
	if (files != NULL && config_setting_is_aggregate(files))
		entries += config_setting_length(files);
	else if (files != NULL)
		return;
	if (entries == 0)
		config_mistake(
			loader, subnets != NULL ? subnets : files,
			"it holds no prefix, so nobody could connect; list the balancers, or "
			"say subnets = \"any\" to take any balancer");
}
