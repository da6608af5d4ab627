/* SPDX-License-Identifier: MIT */
/*
 * The service manager, which is systemd or what speaks like it: sd_notify(3),
 * sd_watchdog_enabled(3). Without one, or built without libsystemd, nothing here does anything.
 */
#ifndef MMPROXY_OS_SERVICE_MANAGER_H
#define MMPROXY_OS_SERVICE_MANAGER_H

#include <stdbool.h>
#include <stdint.h>

/* Whether this program was built with libsystemd. */
bool service_manager_supported(void);

/*
 * Whether somebody wants to be told anything. Logs a warning when somebody does and this program
 * cannot; to be called once.
 */
bool service_manager_listens(void);

/*
 * Tells it these lines, "READY=1\nSTATUS=..." and the like. When its socket is full, as it is while
 * it is stuck itself, they are kept for the next call of any of these; later ones replace them.
 * The first failure is logged.
 */
void service_manager_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same for what is told again and again, and not kept. Returns whether it has been told. */
bool service_manager_repeat(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Tells what was kept, if anything. To be called now and then: nobody says that there is room. */
void service_manager_retry(void);

/* Milliseconds within which it has to hear WATCHDOG=1 each time; 0: it need not. */
uint64_t service_manager_watchdog(void);

#endif
