/* SPDX-License-Identifier: MIT */
#include "offload/layouts.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "offload/layout.h"
#include "offload/programs.h"

static const char prefix[] = "layout-";

void layouts_folder(char folder[static PATH_MAX], const char *directory)
{
	snprintf(folder, PATH_MAX, "%s/%s%d", directory, prefix, OFFLOAD_LAYOUT);
}

void layouts_loading_folder(char folder[static PATH_MAX], const char *directory)
{
	snprintf(folder, PATH_MAX, "%s/loading", directory);
}

bool layout_is_ours(const struct layout *layout)
{
	return layout->number == OFFLOAD_LAYOUT;
}

static bool read_number(const char *name, unsigned *number)
{
	size_t length = sizeof(prefix) - 1;
	char *end;

	if (strncmp(name, prefix, length) != 0 || name[length] < '0' || name[length] > '9')
		return false;
	*number = (unsigned)strtoul(name + length, &end, 10);
	return *end == '\0';
}

int layouts_each(const char *directory, void (*each)(const struct layout *layout, void *context),
		 void *context)
{
	DIR *folder = opendir(directory);
	const struct dirent *entry;
	struct layout layout;

	if (folder == NULL)
		return -errno;
	while ((entry = readdir(folder)) != NULL) {
		layout = (struct layout){0};
		if (!read_number(entry->d_name, &layout.number))
			continue;
		snprintf(layout.folder, sizeof(layout.folder), "%s/%s%u", directory, prefix,
			 layout.number);
		layout.error = programs_count_live_in(layout.folder, &layout.live);
		each(&layout, context);
	}
	closedir(folder);
	return 0;
}
