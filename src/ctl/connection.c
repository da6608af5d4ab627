/* SPDX-License-Identifier: MIT */
/* The connection to a daemon's control socket. */
#include "ctl/connection.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl/clock.h"
#include "ctl/format.h"
#include "ctl/memory.h"

/* Bytes. The longest answer, 10,000 sessions, has about 4 MiB; what is larger is not from mmproxy.
 */
#define CONNECTION_ANSWER_MAX (64U << 20)

/* Seconds to get in line, and to have a request taken: the daemon does nothing else meanwhile. */
#define CONNECTION_PATIENCE 10

static int fail(struct connection *connection, const char *what)
{
	char path[512];

	format_printable(path, sizeof(path), connection->path);
	snprintf(connection->wrong, sizeof(connection->wrong), "%s: %s", path, what);
	return -1;
}

static int fail_connect(struct connection *connection, int error)
{
	struct stat status;
	char what[128];

	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return fail(connection,
			    "there is no control socket here; is mmproxy running? See `systemctl "
			    "status mmproxy`, or name the socket of its setting `control` with "
			    "--socket PATH");
	case ECONNREFUSED:
		/* The kernel says the same of what is there and no socket. */
		if (stat(connection->path, &status) == 0 && !S_ISSOCK(status.st_mode))
			return fail(connection,
				    "this is no socket; --socket PATH says where mmproxy's setting "
				    "`control` puts it");
		return fail(connection,
			    "nobody answers here; is mmproxy running? See `systemctl status "
			    "mmproxy`, or name the socket of its setting `control` with --socket "
			    "PATH");
	case EACCES:
	case EPERM:
		return fail(connection,
			    "no right to connect; be root, or in the group that the setting "
			    "`control` names, or give another --socket PATH");
	case EAGAIN:
		return fail(connection, "mmproxy takes no connection; it is busy, or stopped");
	case EPROTOTYPE:
		return fail(connection,
			    "this socket is of another kind; --socket PATH says where mmproxy's "
			    "setting `control` puts its own");
	default:
		snprintf(what, sizeof(what), "cannot connect: %s", strerror(error));
		return fail(connection, what);
	}
}

int connection_open(struct connection *connection, const char *path)
{
	const struct timeval patience = {.tv_sec = CONNECTION_PATIENCE};
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memset(connection, 0, sizeof(*connection));
	connection->path = path;
	connection->fd = -1;
	if (path[0] == '\0' || strlen(path) >= sizeof(address.sun_path))
		return fail(connection, "no path of a socket; one has 1 to 107 characters");
	memcpy(address.sun_path, path, strlen(path) + 1);
	connection->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->fd < 0)
		return fail_connect(connection, errno);
	setsockopt(connection->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return fail_connect(connection, errno);
	return 0;
}

void connection_close(struct connection *connection)
{
	if (connection->fd >= 0)
		close(connection->fd);
	connection->fd = -1;
	free(connection->buffer);
	connection->buffer = NULL;
}

int connection_send(struct connection *connection, const char *request)
{
	char line[1024 + 2];
	int length = snprintf(line, sizeof(line), "%s\n", request);

	if (length < 0 || (size_t)length >= sizeof(line))
		return fail(connection, "the request is longer than the 1024 bytes that mmproxy "
					"takes");
	for (int sent = 0; sent < length;) {
		ssize_t taken =
			send(connection->fd, line + sent, (size_t)(length - sent), MSG_NOSIGNAL);

		if (taken >= 0)
			sent += (int)taken;
		else if (errno == EPIPE || errno == ECONNRESET)
			return 0; /* it may have said why; the reader will see */
		else if (errno != EINTR)
			return fail(connection, "mmproxy takes no request; it is busy, or stopped");
	}
	return 0;
}

int connection_receive(struct connection *connection)
{
	ssize_t received;

	if (connection->taken > 0) {
		connection->used -= connection->taken;
		memmove(connection->buffer, connection->buffer + connection->taken,
			connection->used);
		connection->taken = 0;
	}
	if (connection->used == connection->room) {
		if (connection->room >= CONNECTION_ANSWER_MAX)
			return fail(connection, "the answer is too long; this is not mmproxy");
		connection->room = connection->room == 0 ? 16384 : connection->room * 2;
		connection->buffer = memory_resize(connection->buffer, connection->room, 1);
	}
	do {
		received = recv(connection->fd, connection->buffer + connection->used,
				connection->room - connection->used, 0);
	} while (received < 0 && errno == EINTR);
	if (received > 0) {
		connection->used += (size_t)received;
		return 1;
	}
	/* A daemon that ends with a request unread resets the connection. */
	if (received == 0 || errno == ECONNRESET) {
		fail(connection, "mmproxy has ended, or closed the connection");
		return 0;
	}
	return fail(connection, strerror(errno));
}

char *connection_take_line(struct connection *connection)
{
	char *begin, *end;

	if (connection->taken == connection->used)
		return NULL;
	begin = connection->buffer + connection->taken;
	end = memchr(begin, '\n', connection->used - connection->taken);
	if (end == NULL)
		return NULL;
	*end = '\0';
	connection->taken = (size_t)(end + 1 - connection->buffer);
	return begin;
}

char *connection_wait_line(struct connection *connection, double seconds, bool *ended)
{
	double deadline = clock_now() + seconds;
	char *line, what[64];

	*ended = false;
	while ((line = connection_take_line(connection)) == NULL) {
		struct pollfd readable = {.fd = connection->fd, .events = POLLIN};
		double left = deadline - clock_now();
		/* Once more behind the deadline: this process may have been stopped. */
		int ready = poll(&readable, 1, left > 0 ? (int)ceil(left * 1000) : 0);

		if (ready < 0 && errno != EINTR) {
			fail(connection, strerror(errno));
			return NULL;
		}
		if (ready == 0) {
			snprintf(what, sizeof(what), "mmproxy did not answer within %g s", seconds);
			fail(connection, what);
			return NULL;
		}
		if (ready > 0) {
			int received = connection_receive(connection);

			*ended = received == 0;
			if (received <= 0)
				return NULL;
		}
	}
	return line;
}

int connection_open_peer(const struct connection *connection)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	/* The one who called listen(): mmproxy, whoever it was then. 0: in another PID namespace.
	 */
	if (getsockopt(connection->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.pid <= 0)
		return -1;
	return (int)syscall(SYS_pidfd_open, peer.pid, 0);
}

bool connection_wait_peer(int peer, double seconds)
{
	double deadline = clock_now() + seconds;

	while (peer >= 0) {
		struct pollfd gone = {.fd = peer, .events = POLLIN};
		double left = deadline - clock_now();
		int ready = poll(&gone, 1, left > 0 ? (int)ceil(left * 1000) : 0);

		if (ready > 0 || (ready < 0 && errno != EINTR))
			return true;
		if (ready == 0)
			return false;
	}
	return true;
}
