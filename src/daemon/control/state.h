/* SPDX-License-Identifier: MIT */
/*
 * What the control socket's files share. All of it is the main thread's, but for what
 * gather.c does in the workers.
 *
 *   control.c     the socket: opened, watched, closed
 *   connection.c  one client: lines in, lines out, bounds
 *   request.c     what a line says
 *   commands.c    what is answered at once, and the table of all commands
 *   gather.c      asking the workers
 *   sessions.c    the commands that do
 */
#ifndef MMPROXY_DAEMON_CONTROL_STATE_H
#define MMPROXY_DAEMON_CONTROL_STATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/siphash.h"
#include "base/timer_wheel.h"
#include "daemon/control/request.h"
#include "os/loop.h"

struct control_gather;
struct report;
struct server;

struct control {
	struct server *server;
	char *path;
	dev_t device; /* of the socket's file, and its inode: another one is left alone */
	ino_t inode;
	uint64_t opened; /* milliseconds, the loop's clock: about when mmproxy was started */
	int fd;          /* -1: closed */
	uid_t owner;     /* who mmproxy becomes */
	gid_t group;     /* whose members may do everything */
	bool has_group;
	struct loop_source source;
	struct timer retry; /* of accepting, when descriptors were short */
	struct list connections;
	unsigned connection_count;
	unsigned connection_limit;
	size_t unsent;             /* bytes that wait for clients to take them */
	struct siphash_key secret; /* for tables with clients' addresses */

	/* gather.c */
	struct list gathers; /* that somebody waits for */
	struct list waiting; /* walks that are still to begin */
	struct control_gather *walk;
	struct timer rest; /* until the next walk may begin */
	struct control_worker {
		unsigned calls;   /* under way */
		unsigned overdue; /* of them, those that nobody waits for any more */
	} * workers;
};

/* One client. */
struct control_connection {
	struct list link; /* control->connections */
	struct control *control;
	struct loop_source source;
	struct loop_task turn;  /* the next request; after closing: the release of this memory */
	struct timer timer;     /* the end of patience with a client that is idle or slow */
	struct timer progress;  /* of a drain: the next line */
	unsigned lines_skipped; /* of it, in a row, because the client does not read */
	int fd;
	uid_t uid;
	pid_t pid;
	bool may_change;
	bool closed;
	bool ended;                    /* the client says no more */
	bool skipping;                 /* the rest of a line that is too long */
	bool busy;                     /* a request's answer is still to come */
	struct control_gather *gather; /* from there; or NULL */
	size_t in_length;
	char in[CONTROL_LINE_MAX + 1];
	char *out; /* NULL: nothing waits to be sent */
	size_t out_length;
	size_t out_sent;
};

/* connection.c */

/* Once, before there are threads: an answer that memory was out for is none. */
void control_watch_memory(void);

/* Takes the descriptor over. */
void control_connection_open(struct control *control, int fd);
void control_connection_close(struct control_connection *connection);

/*
 * Each answers the request that is being dealt with, and the connection goes on to the next.
 * `result` is taken over; NULL: memory was out.
 */
void control_reply(struct control_connection *connection, json_t *result);
void control_refuse(struct control_connection *connection, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* With lines behind the error. */
void control_refuse_with(struct control_connection *connection, const char *error,
			 const struct report *lines);

/* From now on there is a line a second about the drain, until the end. */
void control_stream_progress(struct control_connection *connection);

/* commands.c */

/* Answers at once, or later with connection->busy set. */
void control_run(struct control_connection *connection, const struct control_request *request);

/* Text from a file or a plugin, which need not be UTF-8, as a JSON string. */
json_t *control_text(const char *text);
json_t *control_address(const struct address *address); /* null for ADDRESS_NONE */
json_t *control_seconds(uint64_t milliseconds);
void control_set_number(json_t *object, const char *name, uint64_t number);
json_t *control_lines(const struct report *lines);
const char *control_log_level(void); /* the one in force */

/* sessions.c */

void control_run_status(struct control_connection *connection,
			const struct control_request *request);
void control_run_sessions(struct control_connection *connection,
			  const struct control_request *request);
void control_run_clients(struct control_connection *connection,
			 const struct control_request *request);
void control_run_kill(struct control_connection *connection, const struct control_request *request);
void control_run_reload(struct control_connection *connection,
			const struct control_request *request);

#endif
