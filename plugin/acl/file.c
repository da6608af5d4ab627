/* SPDX-License-Identifier: MIT */
/*
 * Reading a list file in one go, before anything looks at it. Whoever writes a new list should
 * rename it into place; one that is written over while it is read is seen as a mixture, as any
 * reader would see it.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes. Nobody writes such a line; a file that holds one is not the file that was meant. */
#define FILE_LINE_MAX 65536

/* Bytes read at once, at first. */
#define FILE_ROOM_LEAST 65536

/* Returns NULL, or why this is nothing to read. */
static const char *judge_kind(int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return strerror(errno);
	if (S_ISDIR(status.st_mode))
		return "it is a directory; name a file";
	if (!S_ISREG(status.st_mode))
		return "it is not a regular file; name one";
	return NULL;
}

/* One byte more than the limit is enough to know; one is left for the NUL. */
static int read_all(int fd, size_t limit, char **bytes, size_t *length)
{
	size_t room = 0;

	for (;;) {
		ssize_t got;

		if (*length + 1 >= room) {
			char *larger;

			room = room > 0 ? room * 2 : FILE_ROOM_LEAST;
			larger = realloc(*bytes, room);
			if (larger == NULL)
				return -ENOMEM;
			*bytes = larger;
		}
		got = read(fd, *bytes + *length, room - *length - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		*length += (size_t)got;
		if (*length > limit)
			return -EFBIG;
	}
	(*bytes)[*length] = '\0';
	return 0;
}

int acl_file_read(const char *path, size_t limit, char **bytes, size_t *length, const char **why)
{
	/* O_NONBLOCK: a FIFO that nobody writes to must not hold the main thread up. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int result;

	*bytes = NULL;
	*length = 0;
	if (fd < 0) {
		result = -errno;
		*why = strerror(-result);
		return result;
	}
	*why = judge_kind(fd);
	result = -EINVAL;
	if (*why == NULL) {
		result = read_all(fd, limit, bytes, length);
		*why = result == -EFBIG ? "it is far too large for a list" : strerror(-result);
	}
	close(fd);
	if (result < 0) {
		free(*bytes);
		*bytes = NULL;
	}
	return result;
}

unsigned acl_file_fault(const char *bytes, size_t length, const char **why)
{
	const char *end = bytes + length;
	unsigned line = 1;

	for (const char *start = bytes; start < end; line++) {
		const char *stop = memchr(start, '\n', (size_t)(end - start));
		size_t line_length = (size_t)((stop != NULL ? stop : end) - start);

		if (memchr(start, '\0', line_length) != NULL) {
			*why = "a NUL byte; this is not a text file";
			return line;
		}
		if (line_length > FILE_LINE_MAX) {
			*why = "the line is longer than 65536 bytes; break it";
			return line;
		}
		start += line_length + 1;
	}
	return 0;
}
