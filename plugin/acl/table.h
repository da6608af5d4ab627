/* SPDX-License-Identifier: MIT */
/*
 * Prefixes, and who listed them: filled on one thread, then asked from any. A question has the most
 * specific prefix as its answer.
 */
#ifndef ACL_TABLE_H
#define ACL_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "prefix.h"

struct acl_entry {
	struct acl_prefix prefix;
	uint16_t source; /* which list it stands in, by the number that the caller gave */
	uint32_t line;   /* of that list's file, from 1; 0 when it is no file */
	uint32_t next;   /* the table's own */
};

struct acl_table;

/* NULL with errno set: ENOMEM, or what getrandom() has to say. */
struct acl_table *acl_table_create(void);
void acl_table_destroy(struct acl_table *table); /* takes NULL */

/*
 * Returns 0, with the entry in *entry for the caller to fill in source and line; 1 when the prefix
 * is in the table already, with that entry; or -ENOMEM. The entry stays where it is until the next
 * call.
 */
int acl_table_add(struct acl_table *table, const struct acl_prefix *prefix,
		  struct acl_entry **entry);

/*
 * The most specific prefix that holds this address, which is given as a prefix of its full length;
 * NULL when none does.
 */
const struct acl_entry *acl_table_find(const struct acl_table *table,
				       const struct acl_prefix *address);

size_t acl_table_count(const struct acl_table *table);

#endif
