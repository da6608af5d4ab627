/* SPDX-License-Identifier: MIT */
/*
 * Landlock: from some moment on this process opens only what lies beneath the places that were
 * named before, whatever the permissions of other files are. It cannot be taken back or widened.
 *
 * Files only. Ports are left alone, as any client's port must be bindable; so are Unix sockets,
 * whose connections Landlock does not judge by path.
 */
#ifndef MMPROXY_OS_LANDLOCK_H
#define MMPROXY_OS_LANDLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum landlock_access {
	LANDLOCK_ACCESS_READ,    /* files and folders */
	LANDLOCK_ACCESS_WRITE,   /* these, and make, change, rename and remove them */
	LANDLOCK_ACCESS_REMOVE,  /* remove files, and nothing else */
	LANDLOCK_ACCESS_EXECUTE, /* read, and start programs */
};

/* Rules that are being gathered. */
struct landlock {
	int fd;
	int failed; /* 0, or the -errno of a rule for which memory or descriptors had run out */
	int abi;    /* the kernel's version of the interface, 1 or more */
	uint64_t handled; /* what is forbidden unless a rule allows it: LANDLOCK_ACCESS_FS_* */
};

/* Returns 0; or -errno, -ENOSYS or -EOPNOTSUPP where the kernel has no Landlock or not in use. */
int landlock_begin(struct landlock *landlock);
/*
 * A folder with all beneath it, or a file. Returns 0, or -errno: -ENOENT, -EACCES and the like when
 * this process cannot reach it anyway; -ENOMEM, -EMFILE and the like keep landlock_enforce() from
 * closing what should be open.
 */
int landlock_allow(struct landlock *landlock, const char *path, enum landlock_access access);
/* How many places may be read, or written to, so far. */
unsigned landlock_places(void);
/*
 * From here on, for the calling thread and those that it starts. Returns 0 or -errno. No_new_privs
 * has to be set.
 */
int landlock_enforce(struct landlock *landlock);
/* Is a folder that no rule opens really closed? Returns 0, or -EPERM when it is not. */
int landlock_verify(void);
/* To be called in any case, also after landlock_enforce(). */
void landlock_finish(struct landlock *landlock);

/*
 * Is the file, or the one that could be made there, outside of what may be read? False as long as
 * nothing is enforced.
 */
bool landlock_is_outside(const char *path);

/* What to say behind the name of such a file. */
#define LANDLOCK_OUTSIDE                                                                           \
	"it is outside of what Landlock lets this process open since its start; restart mmproxy, " \
	"and name its folder in landlock.paths if reloads are to reach it"

#endif
