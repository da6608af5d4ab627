/* SPDX-License-Identifier: MIT */
/* Where everything stands in the plugin interface, as numbers: layout.c, compiled against each
 * version of the header. */
#ifndef TESTS_PLUGINS_LAYOUT_H
#define TESTS_PLUGINS_LAYOUT_H

struct layout_entry {
	const char *name; /* of a member or a constant; NULL ends the table */
	long long offset; /* or the constant's value */
	long long size;   /* of the member; 0 for a constant */
};

extern const struct layout_entry layout_1_0[];
extern const struct layout_entry layout_now[];

#endif
