/* SPDX-License-Identifier: MIT */
/*
 * The lists of plugins, at the top and in a listener, and the group that each plugin gets for
 * itself: copied out of libconfig's tree, unread, since only the plugin knows what may stand there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_loader.h"
#include "host/plugin_config.h"

/* Characters. A name stands in log lines, and in the names of counters. */
#define PLUGIN_NAME_MAX 32

static void read_name(struct config_loader *loader, config_setting_t *setting,
		      const struct setting *known, void *field)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
	const char *text = config_get_text(loader, setting);
	size_t length;

	if (text == NULL)
		return;
	length = strlen(text);
	if (length == 0 || length > PLUGIN_NAME_MAX || strspn(text, allowed) < length)
		config_mistake(loader, setting, "\"%.80s\" is no name for a plugin; write %s", text,
			       known->range);
	else
		config_read_text(loader, setting, known, field);
}

static void read_on_error(struct config_loader *loader, config_setting_t *setting,
			  const struct setting *known, void *field)
{
	int choice = config_get_choice(loader, setting, known);

	if (choice >= 0)
		*(enum plugin_on_error *)field = (enum plugin_on_error)choice;
}

static struct mmproxy_config *add_copy(struct config_loader *loader, struct mmproxy_config *parent,
				       const config_setting_t *setting,
				       enum plugin_config_type type)
{
	struct mmproxy_config *copy;
	char *where = config_where(loader, setting);

	copy = where != NULL ? plugin_config_add(parent, config_setting_name(setting), where, type)
			     : NULL;
	if (copy == NULL)
		config_out_of_memory(loader, setting);
	free(where);
	return copy;
}

static void copy_text(struct config_loader *loader, struct mmproxy_config *parent,
		      const config_setting_t *setting)
{
	struct mmproxy_config *copy = add_copy(loader, parent, setting, PLUGIN_CONFIG_TEXT);

	if (copy == NULL)
		return;
	copy->text = strdup(config_setting_get_string(setting));
	if (copy->text == NULL)
		config_out_of_memory(loader, setting);
}

static void copy_integer(struct config_loader *loader, struct mmproxy_config *parent,
			 const config_setting_t *setting)
{
	struct mmproxy_config *copy = add_copy(loader, parent, setting, PLUGIN_CONFIG_INTEGER);
	long long value;

	if (copy != NULL && config_get_integer(loader, setting, &value))
		copy->integer = value;
}

static void copy_children(struct config_loader *loader, struct mmproxy_config *copy,
			  const config_setting_t *setting);

static void copy_setting(struct config_loader *loader, struct mmproxy_config *parent,
			 const config_setting_t *setting)
{
	struct mmproxy_config *copy;

	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_STRING:
		copy_text(loader, parent, setting);
		break;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		copy_integer(loader, parent, setting);
		break;
	case CONFIG_TYPE_FLOAT:
		copy = add_copy(loader, parent, setting, PLUGIN_CONFIG_FLOAT);
		if (copy != NULL)
			copy->real = config_setting_get_float(setting);
		break;
	case CONFIG_TYPE_BOOL:
		copy = add_copy(loader, parent, setting, PLUGIN_CONFIG_BOOLEAN);
		if (copy != NULL)
			copy->boolean = config_setting_get_bool(setting) != 0;
		break;
	case CONFIG_TYPE_GROUP:
		copy = add_copy(loader, parent, setting, PLUGIN_CONFIG_GROUP);
		if (copy != NULL)
			copy_children(loader, copy, setting);
		break;
	default: /* an array or a list */
		copy = add_copy(loader, parent, setting, PLUGIN_CONFIG_LIST);
		if (copy != NULL)
			copy_children(loader, copy, setting);
		break;
	}
}

static void copy_children(struct config_loader *loader, struct mmproxy_config *copy,
			  const config_setting_t *setting)
{
	int length = config_setting_length(setting);

	for (int i = 0; i < length; i++)
		copy_setting(loader, copy, config_setting_get_elem(setting, (unsigned)i));
}

/* The field is the entry's tree, which has nothing in it yet. */
static void read_config(struct config_loader *loader, config_setting_t *setting,
			const struct setting *known, void *field)
{
	struct mmproxy_config *tree = *(struct mmproxy_config **)field;
	char *where = config_where(loader, setting);

	(void)known;
	if (!config_setting_is_group(setting)) {
		config_mistake(loader, setting,
			       "wrong type; write a group, config = { name = ...; }");
	} else if (where == NULL) {
		config_out_of_memory(loader, setting);
	} else {
		/* Its own place, rather than the entry's. */
		free(tree->where);
		tree->where = where;
		copy_children(loader, tree, setting);
		return;
	}
	free(where);
}

static const struct config_rule plugin_rules[SETTING_COUNT] = {
	[SETTING_plugin_name] = {read_name, offsetof(struct plugin_entry, name)},
	[SETTING_plugin_path] = {config_read_text, offsetof(struct plugin_entry, path)},
	[SETTING_plugin_on_error] = {read_on_error, offsetof(struct plugin_entry, on_error)},
	[SETTING_plugin_timeout] = {config_read_seconds, offsetof(struct plugin_entry, timeout)},
	[SETTING_plugin_config] = {read_config, offsetof(struct plugin_entry, config)},
};

/* A counter's name has '_' where its entry's has '-'. */
static bool count_as_one(const char *name, const char *other)
{
	for (; *name != '\0'; name++, other++) {
		if ((*name == '-' ? '_' : *name) != (*other == '-' ? '_' : *other))
			return false;
	}
	return *other == '\0';
}

/*
 * Entries of several lists may have one name, and count together. Says whether the name is a
 * mistake beside those of `others`.
 */
static bool clashes(struct config_loader *loader, const config_setting_t *written,
		    const struct plugin_list *list, const struct plugin_list *others)
{
	const struct plugin_entry *entry = &list->entries[list->count - 1];

	for (size_t i = 0; i < others->count; i++) {
		const struct plugin_entry *other = &others->entries[i];
		bool same;

		if (other == entry || other->name == NULL ||
		    !count_as_one(other->name, entry->name))
			continue;
		same = strcmp(other->name, entry->name) == 0;
		if (same && others == list)
			config_mistake(loader, written,
				       "\"%s\" is the name of the plugin at %s already; write "
				       "another, and the file's name as path",
				       entry->name, other->where);
		else if (!same)
			config_mistake(loader, written,
				       "\"%s\" and \"%s\", the plugin at %s, would have the same "
				       "counters, as '-' is '_' there; write another name",
				       entry->name, other->name, other->where);
		else
			continue;
		return true;
	}
	return false;
}

static void check_name(struct config_loader *loader, const config_setting_t *group,
		       const struct plugin_list *list)
{
	const config_setting_t *written = config_setting_get_member(group, "name");
	const struct config *config = loader->config;

	if (!config_group_has(group, SETTING_SCOPE_plugin, "name"))
		config_mistake_missing(loader, group, "name",
				       "write one for the log, such as name = \"acl\"");
	if (list->entries[list->count - 1].name == NULL ||
	    clashes(loader, written, list, &config->plugins))
		return;
	for (size_t i = 0; i < config->listener_count; i++) {
		if (clashes(loader, written, list, &config->listeners[i].plugins))
			return;
	}
}

static struct plugin_entry *add_entry(struct config_loader *loader, const config_setting_t *group,
				      struct plugin_list *list)
{
	struct plugin_entry *entries =
		reallocarray(list->entries, list->count + 1, sizeof(*entries));
	struct plugin_entry *entry;
	char *where;

	if (entries == NULL)
		return NULL;
	list->entries = entries;
	entry = &entries[list->count++];
	*entry = (struct plugin_entry){
		.where = config_where(loader, group),
		.on_error = PLUGIN_ON_ERROR_DENY,
		.timeout = 1000,
	};
	if (entry->where == NULL)
		return NULL;
	if (asprintf(&where, "%s.config", entry->where) < 0)
		return NULL;
	entry->config = plugin_config_create(where, loader->scan->folder);
	free(where);
	return entry->config != NULL ? entry : NULL;
}

static void read_entry(struct config_loader *loader, config_setting_t *group,
		       struct plugin_list *list)
{
	struct plugin_entry *entry;

	if (!config_setting_is_group(group)) {
		config_mistake(loader, group, "wrong type; write a group { name = ...; }");
		return;
	}
	entry = add_entry(loader, group, list);
	if (entry == NULL) {
		config_out_of_memory(loader, group);
		return;
	}
	config_read_group(loader, group, SETTING_SCOPE_plugin, plugin_rules, entry);
	check_name(loader, group, list);
}

void config_read_plugins(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field)
{
	struct plugin_list *list = field;
	int length;

	(void)known;
	if (!config_setting_is_list(setting)) {
		config_mistake(loader, setting,
			       "wrong type; write a list of groups, plugins = ( { ... } );");
		return;
	}
	list->given = true;
	length = config_setting_length(setting);
	for (int i = 0; i < length; i++)
		read_entry(loader, config_setting_get_elem(setting, (unsigned)i), list);
}
