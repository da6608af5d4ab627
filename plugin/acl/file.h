/* SPDX-License-Identifier: MIT */
/* A list file, read as a whole. */
#ifndef ACL_FILE_H
#define ACL_FILE_H

#include <stddef.h>

/*
 * Reads a regular file of at most `limit` bytes. Anything else (a directory, a FIFO, a device) is
 * refused, so that reading can neither hang nor go on for ever. *bytes ends with a NUL behind
 * *length, and is the caller's to free. Returns 0; otherwise -errno, and *why is a phrase that
 * reads well behind the file's name, good until the next call.
 */
int acl_file_read(const char *path, size_t limit, char **bytes, size_t *length, const char **why);

/*
 * The first fault that makes it no list at all: a NUL byte or a line past 64 KiB. Returns its line,
 * counted from 1, and the phrase in *why; 0 when there is none.
 */
unsigned acl_file_fault(const char *bytes, size_t length, const char **why);

#endif
