/* SPDX-License-Identifier: MIT */
#include "offload/setting.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATH_SIZE 96

int kernel_setting(const char *name)
{
	char path[PATH_SIZE], text[16] = "";
	int file;

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return 0;
	if (read(file, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(file);
	return atoi(text);
}
