/* SPDX-License-Identifier: MIT */
/*
 * What this process may open and call from its start on, as far as its configuration says. Stages
 * of the start: each returns what startup_run() does.
 */
#ifndef MMPROXY_DAEMON_LOCKDOWN_H
#define MMPROXY_DAEMON_LOCKDOWN_H

struct server;

/*
 * Files: to be called before there is a second thread, and before a plugin has run. A kernel
 * without Landlock is no reason not to start.
 */
int lockdown_files(struct server *server);

/* System calls, of all threads. A kernel or a build without filters is no reason not to start. */
int lockdown_system_calls(struct server *server);

/* That what the two have done is so. */
int lockdown_verify(struct server *server);

#endif
