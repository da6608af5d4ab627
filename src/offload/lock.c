/* SPDX-License-Identifier: MIT */
#include "offload/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int lock_take(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), error;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

pid_t lock_holder(const char *directory)
{
	FILE *locks = fopen("/proc/locks", "re");
	unsigned long inode;
	unsigned major, minor;
	pid_t holder = 0;
	struct stat status;
	char line[256];
	int pid;

	if (locks == NULL)
		return 0;
	if (stat(directory, &status) < 0)
		status.st_ino = 0;
	/* "1: FLOCK  ADVISORY  WRITE 30643 00:28:155360422 0 EOF" */
	while (status.st_ino != 0 && holder == 0 && fgets(line, sizeof(line), locks) != NULL) {
		if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%lu", &pid, &major, &minor, &inode) ==
			    4 &&
		    pid > 0 && inode == status.st_ino && major == major(status.st_dev) &&
		    minor == minor(status.st_dev))
			holder = pid;
	}
	fclose(locks);
	return holder;
}
