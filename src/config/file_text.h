/* SPDX-License-Identifier: MIT */
/* Whole text files, as the configuration and the allow lists read them. */
#ifndef MMPROXY_CONFIG_FILE_TEXT_H
#define MMPROXY_CONFIG_FILE_TEXT_H

#include <stddef.h>
#include <sys/types.h>

struct file_text {
	char *bytes; /* NUL-terminated behind `length`; to be freed by the caller */
	size_t length;
	dev_t device;
	ino_t inode; /* with `device`: the same file under whatever name */
};

/*
 * Reads a regular file of at most `limit` bytes. Anything else (a directory, a FIFO, a device) is
 * refused, so that reading can neither hang nor go on forever. Returns 0; otherwise -errno, and
 * *why is a phrase that reads well behind the file's name.
 */
int file_text_read(const char *path, size_t limit, struct file_text *text, const char **why);

/*
 * The first fault that makes a file no text at all: a NUL byte or a line past 64 KiB. Returns its
 * line, counted from 1, and the phrase in *why; 0 when there is none.
 */
unsigned file_text_fault(const struct file_text *text, const char **why);

#endif
