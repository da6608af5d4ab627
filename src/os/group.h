/* SPDX-License-Identifier: MIT */
/* The number of a group: that there is none is not the same as that nobody can tell. */
#ifndef MMPROXY_OS_GROUP_H
#define MMPROXY_OS_GROUP_H

#include <sys/types.h>

/*
 * Returns 0; -ENOENT when there is no group of that name; another -errno when the system's lists
 * cannot be read now. Not for several threads at once, see getgrnam(3).
 */
int group_find(const char *name, gid_t *gid);

#endif
