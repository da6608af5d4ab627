/* SPDX-License-Identifier: MIT */
/*
 * What the service manager is told, where there is libsystemd. Not by sd_notify(): that waits while
 * the manager's socket is full, for ever if need be, and with the main thread wait signals,
 * reloads, the control socket and the end of a drain.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "os/service_manager.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/log.h"

/* Bytes of all lines together, of which the status is the longest. */
#define TOLD_MAX 512

static char kept[TOLD_MAX]; /* what it has not been told yet; empty: nothing */

#ifdef HAVE_LIBSYSTEMD

#include <systemd/sd-daemon.h>

bool service_manager_supported(void)
{
	return true;
}

bool service_manager_listens(void)
{
	return getenv("NOTIFY_SOCKET") != NULL;
}

/* Returns the address's length; 0: it is of another kind than a Unix socket, such as "vsock:". */
static socklen_t find_socket(struct sockaddr_un *address)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length = path != NULL ? strlen(path) : 0;

	if (length < 2 || length >= sizeof(address->sun_path) || (path[0] != '/' && path[0] != '@'))
		return 0;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, path, length);
	if (path[0] == '@') /* no file: the name begins with a NUL, and ends without */
		address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (path[0] == '/'));
}

static int send_lines(const char *lines)
{
	struct sockaddr_un address;
	socklen_t length = find_socket(&address);
	int fd, error = 0;

	if (length == 0)
		return sd_notify(0, lines);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, lines, strlen(lines), MSG_DONTWAIT | MSG_NOSIGNAL,
		   (const struct sockaddr *)&address, length) < 0)
		error = -errno;
	close(fd);
	return error;
}

static int send_or_warn(const char *lines)
{
	static bool failed;
	int error = send_lines(lines);

	if (error < 0 && !failed)
		log_warning("daemon", "the service manager cannot be notified",
			    LOG_ERRNO("error", error));
	failed = error < 0;
	return error;
}

uint64_t service_manager_watchdog(void)
{
	uint64_t microseconds = 0;

	return sd_watchdog_enabled(0, &microseconds) > 0 ? microseconds / 1000 : 0;
}

#else

bool service_manager_supported(void)
{
	return false;
}

bool service_manager_listens(void)
{
	if (getenv("NOTIFY_SOCKET") != NULL)
		log_warning("daemon",
			    "the service manager waits for notices and gets none: this program was "
			    "built without libsystemd");
	return false;
}

static int send_or_warn(const char *lines)
{
	(void)lines;
	return 0;
}

uint64_t service_manager_watchdog(void)
{
	return 0;
}

#endif

/* Returns whether nothing is left to be told. */
static bool send_kept(void)
{
	if (kept[0] != '\0' && send_or_warn(kept) == 0)
		kept[0] = '\0';
	return kept[0] == '\0';
}

void service_manager_tell(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(kept, sizeof(kept), format, arguments);
	va_end(arguments);
	send_kept();
}

void service_manager_retry(void)
{
	send_kept();
}

bool service_manager_repeat(const char *format, ...)
{
	char lines[TOLD_MAX];
	va_list arguments;

	if (!send_kept())
		return false;
	va_start(arguments, format);
	vsnprintf(lines, sizeof(lines), format, arguments);
	va_end(arguments);
	return send_or_warn(lines) == 0;
}
