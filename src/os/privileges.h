/* SPDX-License-Identifier: MIT */
/*
 * From whatever the process was started with down to CAP_NET_ADMIN alone, which the transparent
 * dial needs, and the proof that it is so. Call both before the first thread is started.
 */
#ifndef MMPROXY_OS_PRIVILEGES_H
#define MMPROXY_OS_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

/* Is CAP_NET_ADMIN there to be kept? 1, 0, or -errno: not to know is not the same as not to hold.
 */
int privileges_hold_net_admin(void);

struct privileges_identity {
	uid_t uid;
	gid_t gid;
};

/*
 * Who this process will be after privileges_drop() with the same names. Returns 0; after an
 * error line in the log, -EINVAL when there is none of that name or it is root, else -1.
 */
int privileges_find_identity(const char *user, const char *group,
			     struct privileges_identity *identity);

/*
 * Empties the bounding and ambient sets, locks the securebits, changes to `user` and `group` (NULL:
 * the user's own) when started as root, keeps CAP_NET_ADMIN alone, sets no_new_privs.
 * Returns as privileges_find_identity() does.
 */
int privileges_drop(const char *user, const char *group);

/* Reads /proc/self/status again. Returns 0, or -1 after an error line that names the difference. */
int privileges_verify(void);

#endif
