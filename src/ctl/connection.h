/* SPDX-License-Identifier: MIT */
/* The connection to a daemon's control socket: lines out, lines in. */
#ifndef MMPROXY_CTL_CONNECTION_H
#define MMPROXY_CTL_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

/* Room for a line that says what went wrong; a path has at most 107 bytes, and may be escaped. */
#define CONNECTION_WRONG_SIZE 768

struct connection {
	const char *path; /* the caller's; lives as long as the connection */
	int fd;
	char *buffer; /* what was received; lines up to `taken` are the caller's already */
	size_t taken;
	size_t used;
	size_t room;
	char wrong[CONNECTION_WRONG_SIZE]; /* after a failure: one line, where, what, what to do */
};

/* Returns 0, or -1 with `wrong` filled. Either way connection_close() is due. */
int connection_open(struct connection *connection, const char *path);
void connection_close(struct connection *connection);

/* Sends a request and its newline. Returns 0, or -1 with `wrong` filled. */
int connection_send(struct connection *connection, const char *request);

/*
 * Reads once what has arrived; blocks where nothing has. Returns 1; 0 when the daemon has closed
 * the connection; -1 with `wrong` filled. Lines taken before are gone.
 */
int connection_receive(struct connection *connection);

/* The next whole line that was received, without its newline; NULL: there is none yet. */
char *connection_take_line(struct connection *connection);

/*
 * Waits for a line. Returns it; NULL with `wrong` filled when none came within so many seconds,
 * when the connection failed, or when the daemon closed it: then *ended is true.
 */
char *connection_wait_line(struct connection *connection, double seconds, bool *ended);

/*
 * Waits until the process at the other end has ended. Returns false when it still runs after so
 * many seconds; true, too, where the system cannot tell (peer is -1).
 */
bool connection_wait_peer(int peer, double seconds);

/* A descriptor for connection_wait_peer(), which the caller closes; -1: the system has none. */
int connection_open_peer(const struct connection *connection);

#endif
