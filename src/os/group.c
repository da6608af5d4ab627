/* SPDX-License-Identifier: MIT */
#include "os/group.h"

#include <errno.h>
#include <grp.h>
#include <stddef.h>

int group_find(const char *name, gid_t *gid)
{
	const struct group *entry;

	errno = 0;
	entry = getgrnam(name);
	if (entry == NULL)
		return errno == 0 || errno == ESRCH ? -ENOENT : -errno;
	*gid = entry->gr_gid;
	return 0;
}
