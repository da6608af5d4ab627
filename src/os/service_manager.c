/* SPDX-License-Identifier: MIT */
/* What the service manager is told goes through libsystemd, where there is one. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "os/service_manager.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/log.h"

/* Bytes of all lines together, of which the status is the longest. */
#define TOLD_MAX 512

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

static void tell(const char *lines)
{
	static bool failed;
	int error = sd_notify(0, lines);

	if (error < 0 && !failed)
		log_warning("daemon", "the service manager cannot be told",
			    LOG_ERRNO("error", error));
	failed = error < 0;
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

static void tell(const char *lines)
{
	(void)lines;
}

uint64_t service_manager_watchdog(void)
{
	return 0;
}

#endif

void service_manager_tell(const char *format, ...)
{
	char lines[TOLD_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(lines, sizeof(lines), format, arguments);
	va_end(arguments);
	tell(lines);
}
