/* SPDX-License-Identifier: MIT */
/*
 * A plain main for fuzz targets: runs each file named on the command line, or each file of a named
 * folder, through the target once.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fuzz.h"

#define INPUT_SIZE_MAX (1U << 20)

static unsigned replayed;
static bool done;

/* A target that ends the process ends all of those that were to come, and must not look well. */
static void judge_exit(void)
{
	if (done)
		return;
	fprintf(stderr, "input %u ended the process\n", replayed + 1);
	abort();
}

static void replay_file(const char *path)
{
	FILE *file = fopen(path, "rbe");
	uint8_t *bytes = malloc(INPUT_SIZE_MAX);
	size_t size;

	if (file == NULL || bytes == NULL) {
		done = true;
		perror(path);
		exit(EXIT_FAILURE);
	}
	size = fread(bytes, 1, INPUT_SIZE_MAX, file);
	fclose(file);
	LLVMFuzzerTestOneInput(bytes, size);
	free(bytes);
	replayed++;
}

static void replay(const char *path)
{
	struct dirent **entries;
	struct stat status;
	int count;

	if (stat(path, &status) == 0 && !S_ISDIR(status.st_mode)) {
		replay_file(path);
		return;
	}
	count = scandir(path, &entries, NULL, alphasort);
	if (count < 0) {
		done = true;
		perror(path);
		exit(EXIT_FAILURE);
	}
	for (int i = 0; i < count; i++) {
		char file[PATH_MAX];

		if (entries[i]->d_name[0] != '.') {
			snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
			replay_file(file);
		}
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	atexit(judge_exit);
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	done = true;
	printf("%u inputs replayed\n", replayed);
	/* A corpus that is not found would pass in silence. */
	return replayed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
