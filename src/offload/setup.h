/* SPDX-License-Identifier: MIT */
/*
 * The offload on this host as a whole: loaded, put at the interfaces, and cleared so that nothing
 * is left of it. Root's work, by `mmproxyctl offload` or by a daemon that is started as root.
 */
#ifndef MMPROXY_OFFLOAD_SETUP_H
#define MMPROXY_OFFLOAD_SETUP_H

#include <stdint.h>

#include "offload/interfaces.h"
#include "offload/loopback_needs.h"
#include "offload/programs.h"

struct report;

struct setup {
	const char *directory;
	struct owner owner; /* of the pins: who the daemon runs as */
	struct loopback_needs needs;
};

/*
 * Loads the programs if this version's are not there yet, pins them, puts them at the interfaces
 * that have them not, sets what lo needs, and removes layouts of other versions that carry nothing
 * any more. May be called again at any time. 0, with what is worth knowing in `notes`; or -errno
 * with a line each in `failures`: what could be done, was.
 */
int setup_load(const struct setup *setup, struct report *notes, struct report *failures);

struct setup_cleared {
	unsigned layouts;
	unsigned interfaces; /* that had a filter */
	uint64_t live;       /* sessions and flows that were cut */
};

/*
 * Takes everything away, of all layouts. 0, with nothing left; -EBUSY, with nothing done, while a
 * daemon has the directory; or -errno with lines in `failures`. What is left for the sake of
 * another instance is told in `notes`.
 */
int setup_clear(const char *directory, struct setup_cleared *cleared, struct report *notes,
		struct report *failures);

/*
 * The filters and the pins of one layout. *interfaces, unless NULL, is raised by those that had
 * one. 0 or -errno of the last step that failed.
 */
int setup_remove_layout(const char *layout_folder, unsigned *interfaces);

/* What takes the programs to the interfaces; also without privileges but CAP_NET_ADMIN. */
struct setup_filter {
	int program;
	int remembered; /* the map; -1: none, and what is changed stays changed */
	uint32_t handle;
};

/*
 * Calls `told` with each interface and what came of it: 1 for one that has it now, 0 for one that
 * had it, or -errno: -EOPNOTSUPP where it does not belong (interface_takes_filter()). Returns 0 or
 * -errno of the list.
 */
int setup_attach(const struct setup_filter *filter,
		 void (*told)(const struct interface *interface, int result, void *context),
		 void *context);

#endif
