/* SPDX-License-Identifier: MIT */
/* See scratch.h. A failure here is a failure of the machine, so it ends the test program. */
#include "scratch.h"

#include <err.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

int scratch_begin(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/mmproxy-unit-XXXXXX");
	return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *position)
{
	(void)status;
	(void)type;
	(void)position;
	return remove(path);
}

int scratch_end(void **state)
{
	(void)state;
	return nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_path(const char *name)
{
	static char paths[8][512];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

const char *scratch_write_bytes(const char *name, const void *bytes, size_t length)
{
	const char *path = scratch_path(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, bytes, length) != (ssize_t)length)
		err(1, "%s", path);
	close(fd);
	return path;
}

const char *scratch_write(const char *name, const char *text)
{
	return scratch_write_bytes(name, text, strlen(text));
}

void scratch_make_folder(const char *name)
{
	if (mkdir(scratch_path(name), 0755) < 0)
		err(1, "%s", name);
}
