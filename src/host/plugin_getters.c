/* SPDX-License-Identifier: MIT */
/*
 * Reading a plugin's settings on its behalf, with the same strictness and the same wording as the
 * daemon reads its own.
 */
#include "host/plugin_getters.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/report.h"
#include "host/plugin_config.h"

static const char *type_name(enum plugin_config_type type)
{
	switch (type) {
	case PLUGIN_CONFIG_GROUP:
		return "a group { }";
	case PLUGIN_CONFIG_LIST:
		return "a list";
	case PLUGIN_CONFIG_TEXT:
		return "a text";
	case PLUGIN_CONFIG_INTEGER:
		return "a whole number";
	case PLUGIN_CONFIG_FLOAT:
		return "a number with a point";
	case PLUGIN_CONFIG_BOOLEAN:
		return "true or false";
	}
	return "nothing";
}

static void mistake(const struct mmproxy_config *setting, const char *text)
{
	if (setting->root->mistakes != NULL)
		report_add(setting->root->mistakes, "%s: %s", setting->where, text);
}

static int mistake_type(const struct mmproxy_config *setting, const char *wanted)
{
	char text[128];

	snprintf(text, sizeof(text), "wrong type, this is %s; write %s", type_name(setting->type),
		 wanted);
	mistake(setting, text);
	return -EINVAL;
}

/* The setting of this name, noted as asked for; NULL when it is not there. */
static struct mmproxy_config *find(const struct mmproxy_config *config, const char *key)
{
	for (size_t i = 0; i < config->count; i++) {
		struct mmproxy_config *child = config->children[i];

		if (child->name != NULL && strcmp(child->name, key) == 0) {
			child->asked = true;
			return child;
		}
	}
	return NULL;
}

int plugin_get_text(const struct mmproxy_config *config, const char *key, const char **value)
{
	const struct mmproxy_config *setting = find(config, key);

	if (setting == NULL)
		return 0;
	if (setting->type != PLUGIN_CONFIG_TEXT)
		return mistake_type(setting, "a text in double quotes");
	*value = setting->text;
	return 1;
}

int plugin_get_int(const struct mmproxy_config *config, const char *key, int64_t least,
		   int64_t most, int64_t *value)
{
	const struct mmproxy_config *setting = find(config, key);
	char text[128];

	if (setting == NULL)
		return 0;
	if (setting->type != PLUGIN_CONFIG_INTEGER)
		return mistake_type(setting, "a whole number");
	if (setting->integer < least || setting->integer > most) {
		snprintf(text, sizeof(text),
			 "%" PRId64 " is out of range; write %" PRId64 " to %" PRId64,
			 setting->integer, least, most);
		mistake(setting, text);
		return -EINVAL;
	}
	*value = setting->integer;
	return 1;
}

int plugin_get_float(const struct mmproxy_config *config, const char *key, double least,
		     double most, double *value)
{
	const struct mmproxy_config *setting = find(config, key);
	char text[128];
	double number;

	if (setting == NULL)
		return 0;
	if (setting->type == PLUGIN_CONFIG_INTEGER)
		number = (double)setting->integer;
	else if (setting->type == PLUGIN_CONFIG_FLOAT)
		number = setting->real;
	else
		return mistake_type(setting, "a number");
	/* So written that NaN is out of range. */
	if (!(number >= least && number <= most)) {
		snprintf(text, sizeof(text), "%g is out of range; write %g to %g", number, least,
			 most);
		mistake(setting, text);
		return -EINVAL;
	}
	*value = number;
	return 1;
}

int plugin_get_bool(const struct mmproxy_config *config, const char *key, int *value)
{
	const struct mmproxy_config *setting = find(config, key);

	if (setting == NULL)
		return 0;
	if (setting->type != PLUGIN_CONFIG_BOOLEAN)
		return mistake_type(setting, "true or false");
	*value = setting->boolean;
	return 1;
}

int plugin_get_count(const struct mmproxy_config *config, const char *key)
{
	const struct mmproxy_config *setting = find(config, key);

	if (setting == NULL)
		return 0;
	return setting->type == PLUGIN_CONFIG_LIST ? (int)setting->count : 1;
}

/* One of a setting's values: the setting itself, or an element of the list that it is. */
static struct mmproxy_config *find_item(const struct mmproxy_config *config, const char *key,
					unsigned index)
{
	struct mmproxy_config *setting = find(config, key);

	if (setting == NULL)
		return NULL;
	if (setting->type != PLUGIN_CONFIG_LIST)
		return index == 0 ? setting : NULL;
	return index < setting->count ? setting->children[index] : NULL;
}

int plugin_get_item(const struct mmproxy_config *config, const char *key, unsigned index,
		    const char **value)
{
	const struct mmproxy_config *item = find_item(config, key, index);

	if (item == NULL)
		return 0;
	if (item->type != PLUGIN_CONFIG_TEXT)
		return mistake_type(item, "a text in double quotes");
	*value = item->text;
	return 1;
}

int plugin_get_path(const struct mmproxy_config *config, const char *key, unsigned index,
		    const char **value)
{
	struct mmproxy_config *item = find_item(config, key, index);
	const char *text = "";
	int found = plugin_get_item(config, key, index, &text);

	if (found <= 0)
		return found;
	if (text[0] == '\0') {
		mistake(item, "it is empty; write a path, or leave the setting out");
		return -EINVAL;
	}
	item->is_path = true;
	if (text[0] == '/') {
		*value = text;
		return 1;
	}
	if (item->resolved == NULL &&
	    asprintf(&item->resolved, "%s%s", item->root->folder, text) < 0) {
		item->resolved = NULL; /* asprintf leaves it undefined */
		mistake(item, "out of memory");
		return -ENOMEM;
	}
	*value = item->resolved;
	return 1;
}

const struct mmproxy_config *plugin_get_group(const struct mmproxy_config *config, const char *key,
					      unsigned index)
{
	const struct mmproxy_config *item = find_item(config, key, index);

	if (item == NULL)
		return NULL;
	if (item->type == PLUGIN_CONFIG_GROUP)
		return item;
	mistake_type(item, "a group { }");
	return NULL;
}

/* Where a plugin's own finding belongs: the setting, or its group when there is no such setting. */
static void report_at(const struct mmproxy_config *config, const char *key, const char *message,
		      struct report *report)
{
	const struct mmproxy_config *setting = key != NULL ? find(config, key) : NULL;

	if (report == NULL)
		return;
	if (setting != NULL || key == NULL)
		report_add(report, "%s: %s", setting != NULL ? setting->where : config->where,
			   message);
	else
		report_add(report, "%s.%s: %s", config->where, key, message);
}

void plugin_report_mistake(const struct mmproxy_config *config, const char *key,
			   const char *message)
{
	report_at(config, key, message, config->root->mistakes);
}

void plugin_report_warning(const struct mmproxy_config *config, const char *key,
			   const char *message)
{
	report_at(config, key, message, config->root->warnings);
}
