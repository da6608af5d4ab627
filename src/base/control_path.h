/* SPDX-License-Identifier: MIT */
/* Where the control socket is when nobody says: mmproxy and mmproxyctl have to agree. */
#ifndef MMPROXY_BASE_CONTROL_PATH_H
#define MMPROXY_BASE_CONTROL_PATH_H

#include <stddef.h>
#include <string.h>

/* Where no service manager has made a folder, and the file in either. */
#define CONTROL_FOLDER "/run/mmproxy"
#define CONTROL_FILE   "control.sock"

/* Bytes: what a Unix socket's address has room for, without the NUL; see unix(7). */
#define CONTROL_PATH_MAX 107

/*
 * `folders` is what $RUNTIME_DIRECTORY says, or NULL. The folder that systemd has made for the
 * service, of several the first: `*length` characters. NULL: it has made none.
 */
static inline const char *control_given_folder(const char *folders, int *length)
{
	if (folders == NULL || folders[0] != '/')
		return NULL;
	*length = (int)strcspn(folders, ":");
	return folders;
}

#endif
