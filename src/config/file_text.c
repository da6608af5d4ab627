/* SPDX-License-Identifier: MIT */
/*
 * Reading a small file in one go. It is read into memory before anything looks at it, so that a
 * file which changes meanwhile is seen either as it was or as it is.
 */
#include "config/file_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/landlock.h"
#include "os/log.h"

/* Bytes. Nobody writes such a line; a file that holds one is not the file that was meant. */
#define FILE_TEXT_LINE_MAX 65536

/* O_NONBLOCK: a FIFO that nobody writes to must not stop a reload before it can be refused. */
static int open_regular(const char *path, struct stat *status, const char **why)
{
	int error;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0) {
		error = errno;
		*why = error == EACCES && landlock_is_outside(path) ? LANDLOCK_OUTSIDE
								    : log_error_text(-error);
		return -error;
	}
	if (fstat(fd, status) < 0) {
		error = errno;
		*why = log_error_text(-error);
	} else if (S_ISDIR(status->st_mode)) {
		error = EISDIR;
		*why = "it is a directory; name a file";
	} else if (!S_ISREG(status->st_mode)) {
		error = EINVAL;
		*why = "it is not a regular file; name one";
	} else {
		return fd;
	}
	close(fd);
	return -error;
}

/* Reads to the end, which need not be where fstat() saw it: files of /proc have no size. */
static int read_all(int fd, size_t limit, struct file_text *text)
{
	size_t capacity = 0;

	for (;;) {
		ssize_t got;

		if (text->length + 1 >= capacity) {
			char *bytes;

			capacity = capacity > 0 ? capacity * 2 : 8192;
			bytes = realloc(text->bytes, capacity);
			if (bytes == NULL)
				return -ENOMEM;
			text->bytes = bytes;
		}
		got = read(fd, text->bytes + text->length, capacity - text->length - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		text->length += (size_t)got;
		if (text->length > limit)
			return -EFBIG;
	}
	text->bytes[text->length] = '\0';
	return 0;
}

int file_text_read(const char *path, size_t limit, struct file_text *text, const char **why)
{
	struct stat status = {0};
	int fd, result;

	memset(text, 0, sizeof(*text));
	fd = open_regular(path, &status, why);
	if (fd < 0)
		return fd;
	text->device = status.st_dev;
	text->inode = status.st_ino;
	result = read_all(fd, limit, text);
	close(fd);
	if (result < 0) {
		*why = result == -EFBIG ? "it is far too large for such a file"
					: log_error_text(result);
		free(text->bytes);
		text->bytes = NULL;
	}
	return result;
}

unsigned file_text_fault(const struct file_text *text, const char **why)
{
	const char *end = text->bytes + text->length;
	unsigned line = 1;

	for (const char *start = text->bytes; start < end; line++) {
		const char *stop = memchr(start, '\n', (size_t)(end - start));
		size_t length = (size_t)((stop != NULL ? stop : end) - start);

		if (memchr(start, '\0', length) != NULL) {
			*why = "a NUL byte; this is not a text file";
			return line;
		}
		if (length > FILE_TEXT_LINE_MAX) {
			*why = "the line is longer than 65536 bytes; break it";
			return line;
		}
		start += length + 1;
	}
	return 0;
}
