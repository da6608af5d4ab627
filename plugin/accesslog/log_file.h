/* SPDX-License-Identifier: MIT */
/*
 * The file that lines are appended to: whole lines or none of them, whoever else in this process
 * writes to the same file.
 */
#ifndef ACCESSLOG_LOG_FILE_H
#define ACCESSLOG_LOG_FILE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_FILE_WHY_SIZE 512

struct log_file {
	char *path;
	int fd;
	pthread_mutex_t *lock; /* shared with every log_file of the same path */
};

/*
 * Could `path` (absolute) be opened, as far as one can tell without doing so? Returns 0, or -errno
 * and, in `why`, what is wrong and what would be right.
 */
int log_file_check(const char *path, char why[static LOG_FILE_WHY_SIZE]);

/* Opens or creates it. As log_file_check(). */
int log_file_open(struct log_file *file, const char *path, char why[static LOG_FILE_WHY_SIZE]);

/*
 * Appends lines, each with its line end. May block. Returns 0, or the -errno that ended it; *lines
 * is how many there are now in the file, from the first on.
 */
int log_file_append(struct log_file *file, const char *bytes, size_t length, uint64_t *lines);

void log_file_close(struct log_file *file);

#endif
