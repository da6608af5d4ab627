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
 * Makes the directory, root's and readable for the owner's group, with the file system mounted
 * where the directory is below BPF_FOLDER_MOUNT. One that is there has to pass bpf_folder_check().
 * 0, or -errno with a line in the report.
 */
int bpf_folder_make(const char *directory, const struct owner *owner, struct report *report);

/*
 * May root work there? Only in a folder of a BPF file system that, with all above it in there, is
 * root's and no link, so that nobody else can put a link in its place or into it. 0; -ENOENT
 * without a line where there is none; or -errno with a line in the report.
 */
int bpf_folder_check(const char *directory, struct report *report);

/* Makes a folder root's, and lets the group list it and pass. 0 or -errno. */
int bpf_folder_open_to_group(const char *path, gid_t group);

/* A descriptor of the folder to read it; not that of one behind a link. Or -errno. */
int bpf_folder_open(const char *path);

/*
 * systemd lets nobody but root into the file system; who has pins in it has to get there.
 * The right to pass through (not to list) is given to all, and remembered. 0, or -errno with a
 * line.
 */
int bpf_folder_open_way(const char *directory, int remembered, struct report *report);

/*
 * Takes it back, unless somebody has changed the mode since or another directory of ours is there,
 * which is then told in `notes`. Whatever else was remembered is not believed. 0 or -errno.
 */
int bpf_folder_close_way(const char *directory, const struct remembered *what,
			 struct report *notes);

/* Is there a BPF file system at the path, or would it be in one? */
int bpf_folder_is_in_bpf(const char *path);

#endif
