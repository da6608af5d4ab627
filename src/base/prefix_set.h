/* SPDX-License-Identifier: MIT */
/*
 * A set of address prefixes: filled once, sealed, then asked from any thread.
 * Sealing sorts and merges, so that a question costs one binary search whatever the overlaps.
 */
#ifndef MMPROXY_BASE_PREFIX_SET_H
#define MMPROXY_BASE_PREFIX_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

struct prefix {
	struct address address; /* host bits are zero, the port is 0 */
	uint8_t length;         /* 0 to 32 or 0 to 128 */
};

/*
 * Parses "192.0.2.0/24", "2001:db8::/32", or an address alone (its full length). Host bits are
 * cleared. A prefix of IPv4-mapped addresses (::ffff:0:0/96 and longer) becomes an IPv4 prefix; a
 * shorter one is out of range.
 * Returns 0; -EINVAL when the text is no prefix; -ERANGE when only the length is out of range.
 */
int prefix_parse(const char *text, struct prefix *prefix);

/* The port is ignored; ADDRESS_NONE is in no prefix. */
bool prefix_contains(const struct prefix *prefix, const struct address *address);

struct prefix_set;

struct prefix_set *prefix_set_create(void);      /* NULL when out of memory */
void prefix_set_destroy(struct prefix_set *set); /* takes NULL */

/* Before the seal. Returns 0 or -ENOMEM. */
int prefix_set_add(struct prefix_set *set, const struct prefix *prefix);
void prefix_set_seal(struct prefix_set *set);

/* After the seal. The port is ignored; ADDRESS_NONE is in no set. A NULL set holds nothing. */
bool prefix_set_contains(const struct prefix_set *set, const struct address *address);

/* After the seal: does one prefix, or several that touch or overlap, hold the whole family? */
bool prefix_set_is_everybody(const struct prefix_set *set, enum address_family family);

size_t prefix_set_count(const struct prefix_set *set); /* prefixes added, before merging */

#endif
