/* SPDX-License-Identifier: MIT */
/*
 * By the kernel's own calls, as there is no library for them. Its interface has grown; what a
 * kernel does not know is left out, so that the same program runs on each from 5.13 on.
 */
#include "os/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/report.h"

/* Newer than the headers of Debian 12. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (UINT64_C(1) << 13) /* version 2 */
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (UINT64_C(1) << 14) /* version 3 */
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (UINT64_C(1) << 15) /* version 5 */
#endif

#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

/* Of a file itself. The rest is about what a folder holds, and the kernel refuses it for files. */
#define OF_FILES                                                                                   \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |                               \
	 LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)

/* Neither devices nor symbolic links are anything that a plugin keeps. */
#define WRITING                                                                                    \
	(READING | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE |                   \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |                               \
	 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                             \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                          \
	 LANDLOCK_ACCESS_FS_REFER)

/* A place that may be read, by what the kernel knows it by. */
struct place {
	dev_t device;
	ino_t inode;
};

/* Of this process, for landlock_is_outside(): written before there are threads. */
static struct place *readable;
static size_t readable_count;
static bool enforced;

static uint64_t rights_of_version(int abi)
{
	/* Version 1 has all up to MAKE_SYM. */
	uint64_t rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

	if (abi >= 2)
		rights |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		rights |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (abi >= 5)
		rights |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
	return rights;
}

int landlock_begin(struct landlock *landlock)
{
	struct landlock_ruleset_attr attributes = {0};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	*landlock = (struct landlock){.fd = -1};
	if (abi < 0)
		return -errno;
	landlock->abi = (int)abi;
	landlock->handled = rights_of_version(landlock->abi);
	attributes.handled_access_fs = landlock->handled;
	landlock->fd = (int)syscall(SYS_landlock_create_ruleset, &attributes,
				    sizeof(attributes.handled_access_fs), 0);
	return landlock->fd < 0 ? -errno : 0;
}

static bool is_readable(const struct stat *status)
{
	for (size_t i = 0; i < readable_count; i++) {
		if (readable[i].device == status->st_dev && readable[i].inode == status->st_ino)
			return true;
	}
	return false;
}

static int remember(const struct stat *status)
{
	struct place *places;

	if (is_readable(status))
		return 0;
	places = reallocarray(readable, readable_count + 1, sizeof(*places));
	if (places == NULL)
		return -ENOMEM;
	readable = places;
	places[readable_count++] = (struct place){status->st_dev, status->st_ino};
	return 0;
}

static int allow_open(struct landlock *landlock, int fd, enum landlock_access access)
{
	struct landlock_path_beneath_attr rule = {.parent_fd = fd};
	struct stat status;

	switch (access) {
	case LANDLOCK_ACCESS_READ:
		rule.allowed_access = READING;
		break;
	case LANDLOCK_ACCESS_WRITE:
		rule.allowed_access = WRITING;
		break;
	case LANDLOCK_ACCESS_REMOVE:
		rule.allowed_access = LANDLOCK_ACCESS_FS_REMOVE_FILE;
		break;
	case LANDLOCK_ACCESS_EXECUTE:
		rule.allowed_access = READING | LANDLOCK_ACCESS_FS_EXECUTE;
		break;
	}
	if (fstat(fd, &status) < 0)
		return -errno;
	rule.allowed_access &= landlock->handled;
	if (!S_ISDIR(status.st_mode))
		rule.allowed_access &= OF_FILES;
	if (syscall(SYS_landlock_add_rule, landlock->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return -errno;
	return access != LANDLOCK_ACCESS_REMOVE ? remember(&status) : 0;
}

int landlock_allow(struct landlock *landlock, const char *path, enum landlock_access access)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	int error;

	error = fd < 0 ? -errno : allow_open(landlock, fd, access);
	if (fd >= 0)
		close(fd);
	if (report_is_failure(error))
		landlock->failed = error;
	return error;
}

unsigned landlock_places(void)
{
	return (unsigned)readable_count;
}

int landlock_enforce(struct landlock *landlock)
{
	if (landlock->failed < 0)
		return landlock->failed;
	if (syscall(SYS_landlock_restrict_self, landlock->fd, 0) < 0)
		return -errno;
	enforced = true;
	return 0;
}

int landlock_verify(void)
{
	int fd;

	if (!landlock_is_outside("/"))
		return 0;
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	close(fd);
	return -EPERM;
}

void landlock_finish(struct landlock *landlock)
{
	if (landlock->fd >= 0)
		close(landlock->fd);
	landlock->fd = -1;
	if (enforced)
		return;
	free(readable);
	readable = NULL;
	readable_count = 0;
}

/* Free of links, as the kernel walks it. Of a file that is not there, its folder. NULL: neither. */
static char *find_place(const char *path)
{
	char *place = realpath(path, NULL), *folder, *slash;

	if (place != NULL || errno != ENOENT)
		return place;
	folder = strdup(path);
	if (folder == NULL)
		return NULL;
	slash = strrchr(folder, '/');
	if (slash == NULL) {
		free(folder);
		return realpath(".", NULL);
	}
	slash[slash == folder] = '\0'; /* "/" stays "/" */
	place = realpath(folder, NULL);
	free(folder);
	return place;
}

bool landlock_is_outside(const char *path)
{
	char *place = enforced ? find_place(path) : NULL;
	bool outside = place != NULL;
	struct stat status;

	/* Upwards, as the rules of all folders above a file count. */
	while (outside) {
		char *slash = strrchr(place, '/');

		outside = stat(place, &status) < 0 || !is_readable(&status);
		if (slash[1] == '\0')
			break; /* that was "/" */
		slash[slash == place] = '\0';
	}
	free(place);
	return outside;
}
