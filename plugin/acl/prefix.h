/* SPDX-License-Identifier: MIT */
/* Address prefixes, as people write them and as the table keeps them. */
#ifndef ACL_PREFIX_H
#define ACL_PREFIX_H

#include <stdbool.h>
#include <stdint.h>

struct acl_prefix {
	uint8_t ip[16]; /* network order, no host bits; IPv4 has the first four bytes */
	bool ipv6;
	uint8_t length; /* 0 to 32 or 0 to 128 */
};

/* The longest prefix, "/128" and the NUL. */
#define ACL_PREFIX_TEXT_SIZE 50

/* Room for a remark about a prefix, its NUL included. */
#define ACL_PREFIX_REMARK_SIZE 160

/*
 * Parses "192.0.2.0/24", "2001:db8::/32", or an address alone (its full length). Host bits are
 * cleared. A prefix of IPv4-mapped addresses (::ffff:0:0/96 and longer) becomes an IPv4 prefix,
 * since mmproxy hands such clients out as IPv4. Returns NULL when the text is good, and otherwise
 * what is wrong and what would be right.
 */
const char *acl_prefix_parse(const char *text, struct acl_prefix *prefix);

/*
 * What is worth a remark about a good prefix: it was written with host bits, which are not used.
 * Returns NULL when there is nothing to say, and otherwise `room`.
 */
const char *acl_prefix_remark(const char *text, const struct acl_prefix *prefix,
			      char room[static ACL_PREFIX_REMARK_SIZE]);

/* Writes it with its length, "192.0.2.1/32". Returns `text`. */
const char *acl_prefix_format(const struct acl_prefix *prefix,
			      char text[static ACL_PREFIX_TEXT_SIZE]);

/* Makes it `length` long, which is at most what it is: the bits behind are cleared. */
void acl_prefix_shorten(struct acl_prefix *prefix, unsigned length);

#endif
