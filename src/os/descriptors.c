/* SPDX-License-Identifier: MIT */
/* RLIMIT_NOFILE, and a count of what is open. */
#include "os/descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

void descriptors_fill_standard_streams(void)
{
	int fd;

	/* open() takes the lowest free number. */
	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

unsigned descriptors_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur < INT_MAX ? (unsigned)limit.rlim_cur : INT_MAX;
}

unsigned descriptors_open(void)
{
	struct stat seen;
	unsigned count = 0;
	DIR *folder;

	/* Since Linux 6.2: no need to look at each of what may be a great many. */
	if (stat("/proc/self/fd", &seen) == 0 && seen.st_size > 0)
		return (unsigned)seen.st_size;
	folder = opendir("/proc/self/fd");
	/* Standard streams and a few of our own: a fair guess where /proc is not mounted. */
	if (folder == NULL)
		return 16;
	for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count - 1; /* the folder itself */
}
