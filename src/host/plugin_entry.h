/* SPDX-License-Identifier: MIT */
/* What the configuration says of plugins: entries, in lists. Immutable once loaded. */
#ifndef MMPROXY_HOST_PLUGIN_ENTRY_H
#define MMPROXY_HOST_PLUGIN_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mmproxy_config;

/* What becomes of a session whose verdict a plugin failed to give. */
enum plugin_on_error {
	PLUGIN_ON_ERROR_DENY,
	PLUGIN_ON_ERROR_PASS,
};

struct plugin_entry {
	char *name;
	char *path;  /* as written; NULL: the name with ".so" */
	char *where; /* "file:line: plugins[0]" */
	enum plugin_on_error on_error;
	uint32_t timeout;              /* of a deferred verdict, milliseconds */
	struct mmproxy_config *config; /* an empty group when there is none */
};

struct plugin_list {
	struct plugin_entry *entries;
	size_t count;
	bool given; /* an empty list that was written is none; one that was not, is the top one */
};

#endif
