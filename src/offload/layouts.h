/* SPDX-License-Identifier: MIT */
/*
 * A directory's layouts: a folder each, layout-NUMBER, so that a new version loads its programs
 * beside those of the old one, which go on with their sessions.
 */
#ifndef MMPROXY_OFFLOAD_LAYOUTS_H
#define MMPROXY_OFFLOAD_LAYOUTS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct layout {
	unsigned number;
	char folder[PATH_MAX];
	int error;     /* 0, or why its sessions cannot be counted */
	uint64_t live; /* sessions and flows that it carries */
};

/* The folder of this version's. */
void layouts_folder(char folder[static PATH_MAX], const char *directory);

/* Of a layout's programs that are being loaded. */
void layouts_loading_folder(char folder[static PATH_MAX], const char *directory);

/* Calls `each` for every one that is there. 0 or -errno: -ENOENT when there is no directory. */
int layouts_each(const char *directory, void (*each)(const struct layout *layout, void *context),
		 void *context);

/* Is it this version's? */
bool layout_is_ours(const struct layout *layout);

#endif
