/* SPDX-License-Identifier: MIT */
/*
 * A disk may fill up in the middle of a line, and a process may be killed there. The first is taken
 * back, the second is ended before the next line. A file that was removed is created again: an
 * instance whose sessions outlive two rotations would write to nowhere.
 */
#include "log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The reader may be of the file's group, and nobody else: these are the addresses of people. */
#define LOG_FILE_MODE 0640

/*
 * Instances may share a file: the entries of two listeners, or an old instance and the one of a
 * reload. By a hash of the path, so that nothing has to be kept of paths; those that fall together
 * take turns.
 */
#define LOCK_COUNT 16
static pthread_mutex_t locks[LOCK_COUNT] = {[0 ... LOCK_COUNT - 1] = PTHREAD_MUTEX_INITIALIZER};

static pthread_mutex_t *lock_of(const char *path)
{
	uint32_t hash = 2166136261U; /* FNV-1a */

	for (; *path != '\0'; path++)
		hash = (hash ^ (uint8_t)*path) * 16777619U;
	return &locks[hash % LOCK_COUNT];
}

/* -ENOTSUP: it is there, and nothing that keeps lines. */
static int open_regular(const char *path)
{
	/* Without O_NONBLOCK a FIFO would hold us up until somebody reads it. */
	int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
		      LOG_FILE_MODE);
	struct stat status;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
		return fd;
	close(fd);
	return -ENOTSUP;
}

/* The folder of an absolute path. */
static void folder_of(const char *path, char *folder, size_t size)
{
	const char *slash = strrchr(path, '/');
	size_t length = slash == NULL || slash == path ? 1 : (size_t)(slash - path);

	snprintf(folder, size, "%.*s", (int)length, path);
}

static int explain(int error, const char *path, char why[static LOG_FILE_WHY_SIZE])
{
	char folder[LOG_FILE_WHY_SIZE / 4];
	unsigned user = (unsigned)geteuid();

	folder_of(path, folder, sizeof(folder));
	if (error == -ENOENT || error == -ENOTDIR)
		snprintf(why, LOG_FILE_WHY_SIZE,
			 "there is no folder %s; create it, and let it belong to the user that "
			 "mmproxy runs as",
			 folder);
	else if (error == -EACCES || error == -EPERM)
		snprintf(why, LOG_FILE_WHY_SIZE,
			 "user %u may not read and write %.128s; let it and its folder belong to "
			 "that user (chown %u %s)",
			 user, path, user, folder);
	else if (error == -EISDIR)
		snprintf(why, LOG_FILE_WHY_SIZE,
			 "%.128s is a folder; name a file in it, such as %.128s/access.log", path,
			 path);
	else if (error == -ENOTSUP || error == -ENXIO)
		snprintf(why, LOG_FILE_WHY_SIZE,
			 "%.128s is a device, a pipe or a socket; name a regular file", path);
	else if (error == -EROFS)
		snprintf(why, LOG_FILE_WHY_SIZE,
			 "%s cannot be written to here; in a systemd unit it has to be named in "
			 "LogsDirectory= or ReadWritePaths=",
			 folder);
	else
		snprintf(why, LOG_FILE_WHY_SIZE, "cannot open %.128s: %s; name another file", path,
			 strerror(-error));
	return error;
}

int log_file_check(const char *path, char why[static LOG_FILE_WHY_SIZE])
{
	char folder[4096];
	struct stat status;

	if (path[strlen(path) - 1] == '/')
		return explain(-EISDIR, path, why);
	if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
		return explain(S_ISDIR(status.st_mode) ? -EISDIR : -ENOTSUP, path, why);
	folder_of(path, folder, sizeof(folder));
	if (stat(folder, &status) < 0)
		return explain(-errno, path, why);
	return S_ISDIR(status.st_mode) ? 0 : explain(-ENOTDIR, path, why);
}

int log_file_open(struct log_file *file, const char *path, char why[static LOG_FILE_WHY_SIZE])
{
	int fd = open_regular(path);

	if (fd < 0)
		return explain(fd, path, why);
	*file = (struct log_file){.path = strdup(path), .fd = fd, .lock = lock_of(path)};
	if (file->path != NULL)
		return 0;
	close(fd);
	return explain(-ENOMEM, path, why);
}

void log_file_close(struct log_file *file)
{
	close(file->fd);
	free(file->path);
}

/* Returns how many bytes were written before *error, a negative errno, or all. */
static size_t write_all(int fd, const char *bytes, size_t length, int *error)
{
	size_t written = 0;

	*error = 0;
	while (written < length) {
		ssize_t count = write(fd, bytes + written, length - written);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0) {
			*error = count < 0 ? -errno : -EIO;
			break;
		}
		written += (size_t)count;
	}
	return written;
}

/* The file's size, once it is there and ends with a line end. Or -errno. */
static off_t prepare(struct log_file *file)
{
	struct stat status;
	char last = '\n';
	int error;

	if (fstat(file->fd, &status) < 0)
		return -errno;
	if (status.st_nlink == 0) {
		int fd = open_regular(file->path);

		if (fd < 0)
			return fd;
		close(file->fd);
		file->fd = fd;
		if (fstat(fd, &status) < 0)
			return -errno;
	}
	if (status.st_size > 0 && pread(file->fd, &last, 1, status.st_size - 1) < 0)
		return -errno;
	if (last == '\n')
		return status.st_size;
	return write_all(file->fd, "\n", 1, &error) == 1 ? status.st_size + 1 : error;
}

/* Takes back the beginning of a line, unless somebody else has written behind it. */
static bool take_back(int fd, off_t end, size_t piece)
{
	struct stat status;

	if (piece == 0)
		return true;
	return fstat(fd, &status) == 0 && status.st_size == end &&
	       ftruncate(fd, end - (off_t)piece) == 0;
}

static size_t whole_lines_length(const char *bytes, size_t length)
{
	while (length > 0 && bytes[length - 1] != '\n')
		length--;
	return length;
}

static uint64_t count_lines(const char *bytes, size_t length)
{
	uint64_t lines = 0;

	for (size_t i = 0; i < length; i++)
		lines += bytes[i] == '\n';
	return lines;
}

static int append_locked(struct log_file *file, const char *bytes, size_t length, uint64_t *lines)
{
	off_t begin = prepare(file);
	size_t written, whole;
	int error;

	*lines = 0;
	if (begin < 0)
		return (int)begin;
	written = write_all(file->fd, bytes, length, &error);
	whole = whole_lines_length(bytes, written);
	/* Should that fail, the next batch begins a new line. */
	if (error < 0)
		(void)take_back(file->fd, begin + (off_t)written, written - whole);
	*lines = count_lines(bytes, whole);
	return error;
}

int log_file_append(struct log_file *file, const char *bytes, size_t length, uint64_t *lines)
{
	int error;

	pthread_mutex_lock(file->lock);
	error = append_locked(file, bytes, length, lines);
	pthread_mutex_unlock(file->lock);
	return error;
}
