/* SPDX-License-Identifier: MIT */
/* The lists of the configuration and of the files that it names, put together. */
#ifndef ACL_RULES_H
#define ACL_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include <mmproxy/plugin.h>

#include "prefix.h"
#include "table.h"

/* A list: what a setting holds, or a file. */
struct acl_source {
	char *name; /* the setting, or the file without its folder */
	bool allow;
};

struct acl_rules {
	struct acl_table *table; /* entries' sources count in `sources` */
	struct acl_source *sources;
	size_t source_count;
};

/*
 * Reads allow, allow_files, deny and deny_files. Every mistake is reported to the host. Returns 0;
 * -EINVAL after mistakes, or -ENOMEM; then `rules` holds nothing.
 */
int acl_rules_read(struct acl_rules *rules, const struct mmproxy_host *host,
		   const struct mmproxy_config *config);
void acl_rules_finish(struct acl_rules *rules);

/* What a list says of a client, by the most specific prefix; NULL when none holds him. */
const struct acl_entry *acl_rules_find(const struct acl_rules *rules,
				       const struct mmproxy_address *client);

/* Whether any list has a prefix to allow, or to deny. */
bool acl_rules_has(const struct acl_rules *rules, bool allow);

/* The longest phrase that acl_rules_explain() writes, its NUL included. */
#define ACL_RULES_WHY_SIZE 121

/* Writes which prefix it is and where it stands, "192.0.2.0/24 in bad.txt:7". Returns `text`. */
const char *acl_rules_explain(const struct acl_rules *rules, const struct acl_entry *entry,
			      char text[static ACL_RULES_WHY_SIZE]);

#endif
