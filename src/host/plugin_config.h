/* SPDX-License-Identifier: MIT */
/*
 * The group of settings that a plugin gets: a tree of its own, so that neither libconfig nor its
 * tree's life reaches a plugin. The loader of the configuration builds it; the plugin reads it
 * through the getters (host_functions.c), which note what was asked for.
 */
#ifndef MMPROXY_HOST_PLUGIN_CONFIG_H
#define MMPROXY_HOST_PLUGIN_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct report;

enum plugin_config_type {
	PLUGIN_CONFIG_GROUP,
	PLUGIN_CONFIG_LIST, /* ( ) or [ ] */
	PLUGIN_CONFIG_TEXT,
	PLUGIN_CONFIG_INTEGER,
	PLUGIN_CONFIG_FLOAT,
	PLUGIN_CONFIG_BOOLEAN,
};

/* What the whole tree shares. The reports are set while a hook may read it. */
struct plugin_config_root {
	char *folder; /* of the configuration file, with its slash; relative paths start there */
	struct report *mistakes;
	struct report *warnings;
};

/* The public header's opaque type: a setting. A plugin only ever gets groups. */
struct mmproxy_config {
	struct plugin_config_root *root;
	struct mmproxy_config **children; /* of a group or list, in the file's order */
	size_t count;                     /* of them */
	char *name;                       /* NULL in a list */
	char *where;                      /* "file:line: plugins[0].config.key" */
	enum plugin_config_type type;
	bool asked;   /* a getter has asked for it */
	bool is_path; /* and has taken the text for a path */
	union {
		char *text;
		int64_t integer;
		double real;
		bool boolean;
	};
	char *resolved; /* the text as a path, once that was asked for; NULL: as it stands */
};

/*
 * A tree with nothing in its group yet. `where` and `folder` are copied. NULL when out of memory.
 */
struct mmproxy_config *plugin_config_create(const char *where, const char *folder);
void plugin_config_destroy(struct mmproxy_config *tree); /* takes NULL */

/* A setting at the end of a group or list; its value is the caller's to fill in. NULL: no memory.
 */
struct mmproxy_config *plugin_config_add(struct mmproxy_config *parent, const char *name,
					 const char *where, enum plugin_config_type type);

/* A hook may read the tree from now on: nothing has been asked for yet. */
void plugin_config_begin(struct mmproxy_config *tree, struct report *mistakes,
			 struct report *warnings);

/*
 * Where settings named files that this process may not open since its start, one line each among
 * the mistakes: what the plugin has to say of them is that permission was denied.
 */
void plugin_config_name_outside(const struct mmproxy_config *tree);

/* No longer. Says of each setting that nobody asked for that it has no effect, if `complete`. */
void plugin_config_end(struct mmproxy_config *tree, bool complete);

#endif
