/* SPDX-License-Identifier: MIT */
/* The tree of a plugin's settings: made, freed, and searched for what nobody asked for. */
#include "host/plugin_config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/report.h"
#include "os/landlock.h"

static void setting_destroy(struct mmproxy_config *setting)
{
	for (size_t i = 0; i < setting->count; i++)
		setting_destroy(setting->children[i]);
	free(setting->children);
	if (setting->type == PLUGIN_CONFIG_TEXT)
		free(setting->text);
	free(setting->resolved);
	free(setting->where);
	free(setting->name);
	free(setting);
}

static struct mmproxy_config *setting_create(struct plugin_config_root *root, const char *name,
					     const char *where, enum plugin_config_type type)
{
	struct mmproxy_config *setting = calloc(1, sizeof(*setting));

	if (setting == NULL)
		return NULL;
	setting->root = root;
	setting->type = type;
	setting->where = strdup(where);
	if (name != NULL)
		setting->name = strdup(name);
	if (setting->where != NULL && (name == NULL || setting->name != NULL))
		return setting;
	setting_destroy(setting);
	return NULL;
}

struct mmproxy_config *plugin_config_create(const char *where, const char *folder)
{
	struct plugin_config_root *root = calloc(1, sizeof(*root));
	struct mmproxy_config *tree = NULL;

	if (root == NULL)
		return NULL;
	root->folder = strdup(folder);
	if (root->folder != NULL)
		tree = setting_create(root, NULL, where, PLUGIN_CONFIG_GROUP);
	if (tree == NULL) {
		free(root->folder);
		free(root);
	}
	return tree;
}

void plugin_config_destroy(struct mmproxy_config *tree)
{
	struct plugin_config_root *root;

	if (tree == NULL)
		return;
	root = tree->root;
	setting_destroy(tree);
	free(root->folder);
	free(root);
}

struct mmproxy_config *plugin_config_add(struct mmproxy_config *parent, const char *name,
					 const char *where, enum plugin_config_type type)
{
	struct mmproxy_config **children =
		reallocarray(parent->children, parent->count + 1, sizeof(struct mmproxy_config *));
	struct mmproxy_config *setting;

	if (children == NULL)
		return NULL;
	parent->children = children;
	setting = setting_create(parent->root, name, where, type);
	if (setting != NULL)
		children[parent->count++] = setting;
	return setting;
}

static void forget_asked(struct mmproxy_config *setting)
{
	setting->asked = setting->is_path = false;
	for (size_t i = 0; i < setting->count; i++)
		forget_asked(setting->children[i]);
}

void plugin_config_begin(struct mmproxy_config *tree, struct report *mistakes,
			 struct report *warnings)
{
	forget_asked(tree);
	tree->root->mistakes = mistakes;
	tree->root->warnings = warnings;
}

/* A list is asked for as a whole; what its groups hold is asked for one by one. */
static void warn_of_unasked(const struct mmproxy_config *parent, struct report *warnings)
{
	for (size_t i = 0; i < parent->count; i++) {
		const struct mmproxy_config *child = parent->children[i];

		if (child->name != NULL && !child->asked)
			report_add(warnings,
				   "%s: the plugin has no such setting; correct its name, or "
				   "remove it",
				   child->where);
		else
			warn_of_unasked(child, warnings);
	}
}

/* A socket is connected to, which Landlock lets pass. */
static bool is_socket(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISSOCK(status.st_mode);
}

void plugin_config_name_outside(const struct mmproxy_config *tree)
{
	for (size_t i = 0; i < tree->count; i++)
		plugin_config_name_outside(tree->children[i]);
	if (tree->type == PLUGIN_CONFIG_TEXT && tree->is_path) {
		const char *path = tree->resolved != NULL ? tree->resolved : tree->text;

		if (landlock_is_outside(path) && !is_socket(path))
			report_add(tree->root->mistakes, "%s: \"%.200s\": %s", tree->where, path,
				   LANDLOCK_OUTSIDE);
	}
}

void plugin_config_end(struct mmproxy_config *tree, bool complete)
{
	if (complete)
		warn_of_unasked(tree, tree->root->warnings);
	tree->root->mistakes = tree->root->warnings = NULL;
}
