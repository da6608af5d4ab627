/* SPDX-License-Identifier: MIT */
/*
 * The control socket, as the rest of the daemon sees it. doc/control.md describes the protocol.
 * Built without jansson there is none, and all of this does nothing.
 */
#ifndef MMPROXY_DAEMON_CONTROL_H
#define MMPROXY_DAEMON_CONTROL_H

#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stddef.h>

struct server;

#ifdef HAVE_JANSSON

/*
 * A stage of the start that needs its privileges, and returns what startup_run() does: 0 also when
 * there is no control socket and nobody has asked for one; a warning says so then.
 */
int control_open(struct server *server);

/* Descriptors that its connections may take, beside what is open after control_open(). */
unsigned control_count_descriptors(const struct server *server);

/* The path of its file, which is removed at the end; NULL: there is none. */
const char *control_file(const struct server *server);

/* A stage: connections are accepted from now on. 0, or -1 after an error line. */
int control_watch(struct server *server);

/* Every worker has the newest generation. */
void control_reloaded(struct server *server);

/* A worker has ended, as they do while mmproxy drains. */
void control_worker_ended(struct server *server);

/* The main loop has ended: every connection is closed, and the socket's file removed. */
void control_close(struct server *server);
/* Frees all of it. No call to a worker is under way any more. */
void control_finish(struct server *server);

#else

static inline int control_open(struct server *server)
{
	(void)server;
	return 0;
}

static inline unsigned control_count_descriptors(const struct server *server)
{
	(void)server;
	return 0;
}

static inline const char *control_file(const struct server *server)
{
	(void)server;
	return NULL;
}

static inline int control_watch(struct server *server)
{
	(void)server;
	return 0;
}

static inline void control_reloaded(struct server *server)
{
	(void)server;
}

static inline void control_worker_ended(struct server *server)
{
	(void)server;
}

static inline void control_close(struct server *server)
{
	(void)server;
}

static inline void control_finish(struct server *server)
{
	(void)server;
}

#endif

#endif
