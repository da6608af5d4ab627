/* SPDX-License-Identifier: MIT */
/* The directory of the pins, in a BPF file system that may have to be mounted and opened first. */
#ifndef MMPROXY_OFFLOAD_BPF_FOLDER_H
#define MMPROXY_OFFLOAD_BPF_FOLDER_H

#include "offload/programs.h"

struct remembered;
struct report;

/* Where it is mounted by the service manager, and by us where it is not. */
#define BPF_FOLDER_MOUNT "/sys/fs/bpf"

/*
 * Makes the directory, for this owner, with the file system mounted where the directory is below
 * BPF_FOLDER_MOUNT. 0, or -errno with a line in the report.
 */
int bpf_folder_make(const char *directory, const struct owner *owner, struct report *report);

/*
 * systemd lets nobody but root into the file system; who owns a directory in it has to get there.
 * The right to pass through (not to list) is given to all, and remembered. 0, or -errno with a
 * line.
 */
int bpf_folder_open_way(const char *directory, int remembered, struct report *report);

/*
 * Takes it back, unless somebody has changed the mode since or another directory of ours is there,
 * which is then told in `notes`. 0 or -errno.
 */
int bpf_folder_close_way(const char *directory, const struct remembered *what,
			 struct report *notes);

/* Is there a BPF file system at the path, or would it be in one? */
int bpf_folder_is_in_bpf(const char *path);

#endif
