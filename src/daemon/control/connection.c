/* SPDX-License-Identifier: MIT */
/*
 * One client of the control socket. It has one request at a time dealt with, and one a round of the
 * loop; while its answer is not made, or not taken, nothing more is read from it. So what it can
 * make mmproxy hold is one line and one answer.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/report.h"
#include "daemon/control/gather.h"
#include "daemon/control/state.h"
#include "daemon/server_state.h"
#include "os/log.h"

/* Milliseconds that a client may take for its next request, or for taking an answer. */
#define PATIENCE 60000

/* Bytes of answers that wait for slow clients, all together. Any more are given up. */
#define UNSENT_MAX (32 << 20)

/* Milliseconds between two lines about a drain, and how many in a row may find no room. */
#define PROGRESS_INTERVAL 1000
#define SKIPPED_MAX       60

/* Supplementary groups of a client that are looked at; the kernel has 65,536 at most. */
#define GROUPS_MAX 65536

static void connection_ready(struct loop_source *source, uint32_t events);
static void turn_run(struct loop_task *task);
static void progress_expired(struct timer *timer);

static struct loop *loop_of(const struct control_connection *connection)
{
	return &connection->control->server->loop;
}

static bool unsent(const struct control_connection *connection)
{
	return connection->out != NULL;
}

static void discard_out(struct control_connection *connection)
{
	connection->control->unsent -= connection->out_length;
	free(connection->out);
	connection->out = NULL;
	connection->out_length = connection->out_sent = 0;
}

void control_connection_close(struct control_connection *connection)
{
	if (connection->closed)
		return;
	connection->closed = true;
	if (connection->gather != NULL)
		control_gather_abandon(connection->gather);
	discard_out(connection);
	timer_drop(&connection->timer);
	timer_drop(&connection->progress);
	connection->source.ready = loop_ignore;
	close(connection->fd);
	list_remove(&connection->link);
	connection->control->connection_count--;
	/* This round's events may still name it. */
	loop_defer(loop_of(connection), &connection->turn);
}

static void patience_expired(struct timer *timer)
{
	control_connection_close(container_of(timer, struct control_connection, timer));
}

static bool is_member(int fd, gid_t group)
{
	socklen_t size = GROUPS_MAX * sizeof(gid_t);
	gid_t *groups = malloc(size);
	bool found = false;

	if (groups == NULL || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		size = 0;
	for (size_t i = 0; i < size / sizeof(gid_t) && !found; i++)
		found = groups[i] == group;
	free(groups);
	return found;
}

/* What the client was when it connected, whatever it has become since. */
static void judge_peer(struct control_connection *connection)
{
	const struct control *control = connection->control;
	struct ucred peer = {.uid = (uid_t)-1, .gid = (gid_t)-1};
	socklen_t size = sizeof(peer);

	if (getsockopt(connection->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return;
	connection->uid = peer.uid;
	connection->pid = peer.pid;
	connection->may_change =
		peer.uid == 0 || peer.uid == control->owner ||
		(control->has_group &&
		 (peer.gid == control->group || is_member(connection->fd, control->group)));
}

void control_connection_open(struct control *control, int fd)
{
	struct control_connection *connection = calloc(1, sizeof(*connection));

	if (connection == NULL) {
		close(fd);
		return;
	}
	connection->control = control;
	connection->fd = fd;
	connection->source.ready = connection_ready;
	loop_task_init(&connection->turn, turn_run);
	timer_init(&connection->timer, patience_expired);
	timer_init(&connection->progress, progress_expired);
	judge_peer(connection);
	list_append(&control->connections, &connection->link);
	control->connection_count++;
	if (loop_watch(loop_of(connection), fd, EPOLLIN, &connection->source) < 0)
		control_connection_close(connection);
	else
		loop_timer_set(loop_of(connection), &connection->timer, PATIENCE);
}

/* Events that matter as things stand. A client that is gone for good is reported in any case. */
static void watch(struct control_connection *connection)
{
	uint32_t events = 0;

	if (unsent(connection))
		events = EPOLLOUT;
	else if (!connection->busy && !connection->ended)
		events = EPOLLIN;
	if (loop_rewatch(loop_of(connection), connection->fd, events, &connection->source) < 0)
		control_connection_close(connection);
}

static void flush(struct control_connection *connection)
{
	while (connection->out_sent < connection->out_length) {
		ssize_t sent = send(connection->fd, connection->out + connection->out_sent,
				    connection->out_length - connection->out_sent,
				    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent > 0)
			connection->out_sent += (size_t)sent;
		else if (sent < 0 && errno == EINTR)
			continue;
		else if (sent < 0 && errno == EAGAIN)
			return;
		else {
			control_connection_close(connection);
			return;
		}
	}
	discard_out(connection);
}

/* Takes over `line`, which ends with a newline; NULL: memory was out. */
static void send_line(struct control_connection *connection, char *line)
{
	struct control *control = connection->control;
	size_t length = line != NULL ? strlen(line) : 0;

	if (line == NULL || control->unsent + length > UNSENT_MAX) {
		log_warning("control",
			    line == NULL ? "an answer is dropped: out of memory"
					 : "an answer is dropped: too much waits for programs "
					   "that do not read",
			    LOG_NUMBER("pid", (uint64_t)connection->pid),
			    LOG_NUMBER("uid", connection->uid));
		free(line);
		/* Not at once: the caller goes on with the connection. */
		connection->ended = true;
		connection->busy = false;
		connection->in_length = 0;
	} else {
		connection->out = line;
		connection->out_length = length;
		control->unsent += length;
	}
	loop_defer(loop_of(connection), &connection->turn);
}

/* ASCII alone: whatever it quotes does nothing to a terminal. */
#define FORMAT (JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12))

/*
 * Whether an allocation of jansson's has failed in this thread since the last answer. Whoever makes
 * one need not look: what is not in it then must not be taken for what there is not.
 */
static _Thread_local bool memory_was_out;

static void *allocate(size_t size)
{
	void *memory = malloc(size);

	memory_was_out = memory_was_out || memory == NULL;
	return memory;
}

void control_watch_memory(void)
{
	json_set_alloc_funcs(allocate, free);
}

/* NULL: memory was out. */
static char *dump(json_t *object)
{
	size_t size = object != NULL ? json_dumpb(object, NULL, 0, FORMAT) : 0;
	char *line = size > 0 ? malloc(size + 2) : NULL;

	/* Dumping needs memory, too, each time. */
	if (line != NULL && json_dumpb(object, line, size, FORMAT) == size) {
		line[size] = '\n';
		line[size + 1] = '\0';
	} else {
		memory_was_out = true;
	}
	json_decref(object);
	if (memory_was_out) {
		free(line);
		line = NULL;
	}
	memory_was_out = false;
	return line;
}

static void answer(struct control_connection *connection, json_t *object)
{
	connection->busy = false;
	send_line(connection, dump(object));
	loop_timer_set(loop_of(connection), &connection->timer, PATIENCE);
}

void control_reply(struct control_connection *connection, json_t *result)
{
	json_t *object = NULL;

	if (result == NULL) {
		control_refuse(connection, "out of memory");
		return;
	}
	object = json_object();
	json_object_set_new(object, "ok", json_true());
	if (json_object_set_new(object, "result", result) < 0) {
		json_decref(object);
		object = NULL;
	}
	answer(connection, object);
}

void control_refuse_with(struct control_connection *connection, const char *error,
			 const struct report *lines)
{
	json_t *object = json_object();

	json_object_set_new(object, "ok", json_false());
	json_object_set_new(object, "error", control_text(error));
	if (lines != NULL)
		json_object_set_new(object, "lines", control_lines(lines));
	answer(connection, object);
}

void control_refuse(struct control_connection *connection, const char *format, ...)
{
	char error[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error, sizeof(error), format, arguments);
	va_end(arguments);
	control_refuse_with(connection, error, NULL);
}

static void send_progress(struct control_connection *connection)
{
	struct server *server = connection->control->server;
	json_t *progress = json_object(), *object = json_object();

	control_set_number(progress, "sessions", server_count_sessions(server));
	json_object_set_new(progress, "seconds_left", control_seconds(server_drain_left(server)));
	json_object_set_new(object, "ok", json_true());
	json_object_set_new(object, "progress", progress);
	send_line(connection, dump(object));
}

static void progress_expired(struct timer *timer)
{
	struct control_connection *connection =
		container_of(timer, struct control_connection, progress);

	if (!unsent(connection)) {
		connection->lines_skipped = 0;
		send_progress(connection);
	} else if (++connection->lines_skipped == SKIPPED_MAX) {
		control_connection_close(connection);
		return;
	}
	loop_timer_set(loop_of(connection), &connection->progress, PROGRESS_INTERVAL);
}

void control_stream_progress(struct control_connection *connection)
{
	connection->busy = true;
	send_progress(connection);
	loop_timer_set(loop_of(connection), &connection->progress, PROGRESS_INTERVAL);
}

static void run_line(struct control_connection *connection, const char *line, size_t length)
{
	struct control_request request;
	char why[CONTROL_WHY_SIZE];

	/* What it takes from here on is not the client's. */
	timer_drop(&connection->timer);
	if (control_request_parse(&request, line, length, why) < 0)
		control_refuse(connection, "%s", why);
	else
		control_run(connection, &request);
}

/* A line that does not fit is answered at once, and passed over up to its end. */
static void take_line(struct control_connection *connection)
{
	char *end = memchr(connection->in, '\n', connection->in_length);
	size_t length = end != NULL ? (size_t)(end - connection->in) : connection->in_length;
	bool skipping = connection->skipping;

	if (end == NULL && !skipping && length <= CONTROL_LINE_MAX)
		return;
	connection->skipping = end == NULL;
	if (end == NULL)
		connection->in_length = 0;
	if (!skipping && end == NULL)
		control_refuse(connection, "the request is longer than %d bytes", CONTROL_LINE_MAX);
	else if (!skipping)
		run_line(connection, connection->in, length);
	/* Where memory was out for the answer, all that stood here has been dropped. */
	if (end == NULL || connection->in_length == 0)
		return;
	connection->in_length -= length + 1;
	memmove(connection->in, connection->in + length + 1, connection->in_length);
	loop_defer(loop_of(connection), &connection->turn);
}

/* Whatever can be done now; after closing, the release. */
static void turn_run(struct loop_task *task)
{
	struct control_connection *connection = container_of(task, struct control_connection, turn);

	if (connection->closed) {
		free(connection);
		return;
	}
	if (unsent(connection))
		flush(connection);
	if (connection->closed)
		return;
	if (!connection->busy && !unsent(connection))
		take_line(connection);
	if (connection->ended && !connection->busy && !unsent(connection) &&
	    memchr(connection->in, '\n', connection->in_length) == NULL)
		control_connection_close(connection);
	else
		watch(connection);
}

static void read_more(struct control_connection *connection)
{
	size_t room = sizeof(connection->in) - connection->in_length;
	ssize_t length;

	if (room == 0)
		return;
	length = recv(connection->fd, connection->in + connection->in_length, room, MSG_DONTWAIT);
	if (length > 0) {
		connection->in_length += (size_t)length;
		/* A request that has come is not too late, whenever it is looked at. */
		if (memchr(connection->in, '\n', connection->in_length) != NULL)
			loop_timer_set(loop_of(connection), &connection->timer, PATIENCE);
	} else if (length == 0 || (errno != EAGAIN && errno != EINTR))
		connection->ended = true;
}

static void connection_ready(struct loop_source *source, uint32_t events)
{
	struct control_connection *connection =
		container_of(source, struct control_connection, source);

	/* Gone: nobody will read an answer. The request that it may have left is dealt with,
	 * though.
	 */
	if ((events & (EPOLLHUP | EPOLLERR)) != 0 &&
	    (connection->busy || unsent(connection) || connection->ended)) {
		control_connection_close(connection);
		return;
	}
	if ((events & EPOLLIN) != 0 && !connection->busy && !unsent(connection))
		read_more(connection);
	loop_defer(loop_of(connection), &connection->turn);
}
