/* SPDX-License-Identifier: MIT */
/*
 * What of this host was changed for the programs, so that it can be put back: a pinned map beside
 * the layouts' folders, the same in all of them. A daemon without rights writes to it, too, when
 * an interface comes: so what root acts on is held to what load may have changed.
 */
#ifndef MMPROXY_OFFLOAD_REMEMBERED_H
#define MMPROXY_OFFLOAD_REMEMBERED_H

#include <stdint.h>

#include "offload/programs.h"

/* Numbers are of the pinned map: they never change. */
enum remembered_kind {
	REMEMBERED_QDISC =
		1, /* index: of the interface that had no clsact before; name: its name */
	REMEMBERED_SETTING = 2, /* index: enum loopback_setting; former, set: its values */
	REMEMBERED_MODE = 3,    /* index: 0; former, set: of the BPF file system's root folder */
};

struct remembered {
	uint32_t kind;
	uint32_t index;
	int32_t former;
	int32_t set;
	char name[16];
};

/* Where the map of a directory is: opened, or with `owner` made. A descriptor or -errno. */
int remembered_open(const char *directory);
int remembered_make(const char *directory, const struct owner *owner);

/*
 * 0 or -errno. Of a setting and a mode, what was remembered first is what was there before: it
 * stays. Interfaces that have gone make room.
 */
int remembered_add(int map, const struct remembered *what);

/* Calls `each` with every one. 0 or -errno. */
int remembered_each(int map, void (*each)(const struct remembered *what, void *context),
		    void *context);

/* The pin. 0 or -errno. */
int remembered_remove(const char *directory);

#endif
