/* SPDX-License-Identifier: MIT */
/* One number a file. */
#include "doctor/interface_setting.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FOLDER "/proc/sys/net/ipv4/conf"

int interface_setting_read(const char *interface, const char *name)
{
	char path[sizeof(FOLDER) + 320];
	FILE *file;
	int value = -ENOENT;

	/* A dot in a name is a slash to sysctl(8) alone; a slash cannot be in one. */
	if (strchr(interface, '/') != NULL)
		return -ENOENT;
	snprintf(path, sizeof(path), FOLDER "/%.255s/%.60s", interface, name);
	file = fopen(path, "re");
	if (file == NULL)
		return -ENOENT;
	if (fscanf(file, "%d", &value) != 1)
		value = -ENOENT;
	fclose(file);
	return value;
}

bool interface_setting_is_on_somewhere(const char *name)
{
	DIR *folder = opendir(FOLDER);
	const struct dirent *entry;
	bool on = false;

	if (folder == NULL)
		return false;
	while (!on && (entry = readdir(folder)) != NULL) {
		/* `default` is for interfaces to come. */
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, "default") != 0 &&
		    strcmp(entry->d_name, "lo") != 0)
			on = interface_setting_read(entry->d_name, name) > 0;
	}
	closedir(folder);
	return on;
}
