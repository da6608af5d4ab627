/* SPDX-License-Identifier: MIT */
/* A plugin's shared object: found, judged, loaded, and held against the interface. */
#ifndef MMPROXY_HOST_MODULE_H
#define MMPROXY_HOST_MODULE_H

#include <mmproxy/plugin.h>
#include <stddef.h>

struct loaded_file;

struct plugin_module {
	void *handle;
	struct loaded_file *file;    /* shared by all modules of the same file */
	char *path;                  /* the file that was loaded, free of links */
	struct mmproxy_plugin hooks; /* what the plugin says of itself; unknown parts are zero */
};

/* Room for a sentence with a path in it. */
#define PLUGIN_MODULE_WHY_SIZE 512

/*
 * Loads the file at `path`, a relative one from the plugin folder. Returns 0; or -errno and says in
 * `why` what is wrong and what would be right, and then there is nothing to unload. Main thread
 * only, as is unloading.
 */
int plugin_module_load(struct plugin_module *module, const char *path,
		       char why[static PLUGIN_MODULE_WHY_SIZE]);
void plugin_module_unload(struct plugin_module *module);

/* Where the file at `path` is looked for; "" is the plugin folder itself. Cut when too long. */
void plugin_module_find(const char *path, char *whole, size_t size);

#endif
