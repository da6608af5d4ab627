/* SPDX-License-Identifier: MIT */
/* The control socket's own life: from the start's privileges to the last client. */
#include "daemon/control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/control_path.h"
#include "daemon/control/gather.h"
#include "daemon/control/state.h"
#include "daemon/server_state.h"
#include "os/group.h"
#include "os/log.h"
#include "os/privileges.h"

/* Clients at once; fewer where descriptors are short. */
#define CONNECTIONS_MAX 32
#define CONNECTIONS_MIN 4

/* Clients that the kernel lets wait; they are accepted at once. */
#define BACKLOG 64

/* Milliseconds until another try at accepting, when there was no descriptor for it. */
#define RETRY 1000

/* What went wrong on the way to the socket. */
struct failure {
	const char *step;
	const char *why;
	const char *hint; /* or NULL */
};

static int fail(struct failure *failure, const char *step)
{
	*failure = (struct failure){step, log_error_text(-errno), NULL};
	return -1;
}

static char *default_path(bool *in_default_folder)
{
	int length;
	const char *folder = control_given_folder(getenv("RUNTIME_DIRECTORY"), &length);
	char *path;

	*in_default_folder = folder == NULL;
	if (folder == NULL)
		return strdup(CONTROL_FOLDER "/" CONTROL_FILE);
	return asprintf(&path, "%.*s/" CONTROL_FILE, length, folder) < 0 ? NULL : path;
}

/* Only the last folder, and only for root: elsewhere it is the service manager's to make. */
static void make_default_folder(const struct privileges_identity *owner)
{
	if (geteuid() == 0 && mkdir(CONTROL_FOLDER, 0755) == 0 &&
	    lchown(CONTROL_FOLDER, owner->uid, owner->gid) < 0)
		log_warning("control", "cannot give the control socket's folder to the user",
			    LOG_TEXT("path", CONTROL_FOLDER), LOG_TEXT("step", "chown"),
			    LOG_ERRNO("error", -errno));
}

static int find_group(struct control *control, const char *name, struct failure *failure)
{
	int error;

	if (name == NULL)
		return 0;
	error = group_find(name, &control->group);
	if (error < 0) {
		*failure =
			(struct failure){"looking up control.group", log_error_text(error), NULL};
		if (error == -ENOENT) {
			failure->why = "no such group";
			failure->hint = "create it, or name another";
		}
		return -1;
	}
	control->has_group = true;
	return 0;
}

/* Does anybody listen there? -1 with errno: that cannot be found out. */
static int somebody_answers(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool answers;

	if (fd < 0)
		return -1;
	/* EAGAIN: there is, but too many wait for it. */
	answers = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
		  errno != ECONNREFUSED;
	close(fd);
	return answers;
}

/* Removes what a process that was killed has left. */
static int remove_stale(const struct sockaddr_un *address, struct failure *failure)
{
	struct stat status;
	int answers;

	if (lstat(address->sun_path, &status) < 0)
		return errno == ENOENT ? 0 : fail(failure, "lstat");
	if (!S_ISSOCK(status.st_mode)) {
		*failure = (struct failure){"bind", "there is a file that is no socket",
					    "remove it, or set control.socket"};
		return -1;
	}
	answers = somebody_answers(address);
	if (answers < 0)
		return fail(failure, "socket");
	if (answers == 1) {
		*failure = (struct failure){"bind", "another process answers there",
					    "set control.socket for one of the two"};
		return -1;
	}
	return unlink(address->sun_path) < 0 ? fail(failure, "unlink") : 0;
}

/*
 * The file has its mode from the first moment on, for bind() gives it that of the descriptor.
 * Nobody can connect before listen(), when it has its owner and group as well.
 */
static int bind_with_mode(int fd, const struct sockaddr_un *address, mode_t mode,
			  struct failure *failure)
{
	mode_t mask;
	int error;

	if (fchmod(fd, mode) < 0)
		return fail(failure, "fchmod");
	mask = umask(0);
	error = bind(fd, (const struct sockaddr *)address, sizeof(*address));
	umask(mask);
	return error < 0 ? fail(failure, "bind") : 0;
}

/* Where there is nothing to change, nothing is asked: a unit's filter need not allow chown(). */
static int hand_over(const char *path, const struct stat *status, uid_t owner, gid_t group,
		     struct failure *failure)
{
	if (status->st_uid == owner && status->st_gid == group)
		return 0;
	if (lchown(path, owner, group) == 0)
		return 0;
	fail(failure, "chown");
	failure->hint = "the daemon's user must be in control.group; in a unit that takes "
			"SupplementaryGroups= with it, and SystemCallFilter=@chown";
	return -1;
}

static int publish(struct control *control, const struct sockaddr_un *address, mode_t mode,
		   gid_t group, struct failure *failure)
{
	struct stat status;

	if (bind_with_mode(control->fd, address, mode, failure) < 0)
		return -1;
	if (lstat(address->sun_path, &status) < 0) {
		fail(failure, "lstat");
		/* By name, while others keep away: nobody would know it later. */
		unlink(address->sun_path);
		return -1;
	}
	control->device = status.st_dev;
	control->inode = status.st_ino;
	if (hand_over(address->sun_path, &status, control->owner, group, failure) < 0)
		return -1;
	return listen(control->fd, BACKLOG) < 0 ? fail(failure, "listen") : 0;
}

/*
 * Of two that find the same stale file, the second could remove what the first has put in its
 * place. So one of them has a file beside it to itself while it looks and puts; the other need not
 * wait, it would only find that somebody answers. Whoever is killed leaves a file that nobody
 * holds. Returns its descriptor, or -1.
 */
static int take_place(const char *path, char *beside, size_t size, struct failure *failure)
{
	struct stat status;
	bool taken;
	int fd;

	snprintf(beside, size, "%s.lock", path);
	fd = open(beside, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0) {
		fail(failure, "open");
		if (errno == ENOENT || errno == EACCES)
			failure->hint =
				"create its folder, writable for the user that starts mmproxy, "
				"or set control.socket to another path";
		return -1;
	}
	/* Without a name, it was another's until a moment ago. */
	taken = flock(fd, LOCK_EX | LOCK_NB) == 0;
	if (taken && fstat(fd, &status) == 0 && status.st_nlink > 0)
		return fd;
	if (!taken && errno != EWOULDBLOCK)
		fail(failure, "flock");
	else
		*failure = (struct failure){"bind", "another process is about to answer there",
					    "set control.socket for one of the two"};
	close(fd);
	return -1;
}

static int open_in_place(struct control *control, const struct config_control *config,
			 const struct sockaddr_un *address, const struct privileges_identity *owner,
			 struct failure *failure)
{
	if (find_group(control, config->group, failure) < 0 || remove_stale(address, failure) < 0)
		return -1;
	control->owner = owner->uid;
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->fd < 0)
		return fail(failure, "socket");
	return publish(control, address, config->mode,
		       control->has_group ? control->group : owner->gid, failure);
}

static int open_socket(struct control *control, const struct config_control *config,
		       const struct privileges_identity *owner, struct failure *failure)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char beside[sizeof(address.sun_path) + sizeof(".lock")];
	int place, result;

	if (strlen(control->path) >= sizeof(address.sun_path)) {
		*failure = (struct failure){"bind", "the path is longer than 107 bytes",
					    "set control.socket to a shorter one"};
		return -1;
	}
	memcpy(address.sun_path, control->path, strlen(control->path));
	place = take_place(control->path, beside, sizeof(beside), failure);
	if (place < 0)
		return -1;
	result = open_in_place(control, config, &address, owner, failure);
	unlink(beside);
	close(place);
	return result;
}

/* Only if it is still this process's. */
static void remove_file(const struct control *control)
{
	struct stat status;

	if (control->path != NULL && control->inode != 0 && lstat(control->path, &status) == 0 &&
	    status.st_dev == control->device && status.st_ino == control->inode)
		unlink(control->path);
}

static void control_free(struct control *control)
{
	if (control->fd >= 0) {
		remove_file(control);
		close(control->fd);
	}
	free(control->workers);
	free(control->path);
	free(control);
}

static void listening_ready(struct loop_source *source, uint32_t events);
static void retry_expired(struct timer *timer);

/* NULL with errno. */
static struct control *control_create(struct server *server)
{
	const struct config_control *config = &server->generation->config.control;
	unsigned share = server->descriptor_limit / CONNECTIONS_MAX;
	struct control *control = calloc(1, sizeof(*control));
	int error;

	if (control == NULL)
		return NULL;
	control_watch_memory();
	control->server = server;
	control->opened = server->loop.now;
	control->fd = -1;
	control->source.ready = listening_ready;
	list_init(&control->connections);
	timer_init(&control->retry, retry_expired);
	control_gather_init(control);
	control->connection_limit = share < CONNECTIONS_MAX ? share : CONNECTIONS_MAX;
	if (control->connection_limit < CONNECTIONS_MIN)
		control->connection_limit = CONNECTIONS_MIN;
	control->workers = calloc(server->worker_count, sizeof(*control->workers));
	if (config->socket != NULL)
		control->path = strdup(config->socket);
	if (control->workers == NULL || (config->socket != NULL && control->path == NULL) ||
	    getrandom(&control->secret, sizeof(control->secret), 0) !=
		    (ssize_t)sizeof(control->secret)) {
		error = errno;
		control_free(control);
		errno = error;
		return NULL;
	}
	return control;
}

/* There is none, or it cannot be where the configuration wants it. */
static int judge_failure(const struct config_control *config, const char *path,
			 const struct failure *failure)
{
	bool demanded = config->where != NULL;

	LOG_EVENT(demanded ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, "control",
		  demanded ? "cannot open the control socket"
			   : "no control socket: mmproxyctl cannot connect",
		  demanded ? LOG_TEXT("where", config->where) : LOG_NOTHING, LOG_TEXT("path", path),
		  LOG_TEXT("step", failure->step), LOG_TEXT("error", failure->why),
		  failure->hint != NULL ? LOG_TEXT("hint", failure->hint) : LOG_NOTHING);
	return demanded ? -1 : 0;
}

int control_open(struct server *server)
{
	const struct config *config = &server->generation->config;
	struct control *control = control_create(server);
	struct privileges_identity owner;
	bool in_default_folder = false;
	struct failure failure;
	int result, error = control == NULL ? errno : ENOMEM;

	result = privileges_find_identity(config->user, config->group, &owner);
	if (result < 0) {
		if (control != NULL)
			control_free(control);
		return result;
	}
	if (control != NULL && control->path == NULL)
		control->path = default_path(&in_default_folder);
	if (control == NULL || control->path == NULL) {
		log_error("daemon", "cannot start", LOG_TEXT("step", "control"),
			  LOG_ERRNO("error", -error));
		if (control != NULL)
			control_free(control);
		return -1;
	}
	if (in_default_folder)
		make_default_folder(&owner);
	if (open_socket(control, &config->control, &owner, &failure) == 0) {
		server->control = control;
		return 0;
	}
	result = judge_failure(&config->control, control->path, &failure);
	control_free(control);
	return result;
}

unsigned control_count_descriptors(const struct server *server)
{
	return server->control != NULL ? server->control->connection_limit : 0;
}

const char *control_file(const struct server *server)
{
	return server->control != NULL ? server->control->path : NULL;
}

static void watch_listening(struct control *control, uint32_t events)
{
	loop_rewatch(&control->server->loop, control->fd, events, &control->source);
}

/* One client too many is told so: it had better know than wait. */
static void turn_away(const struct control *control, int fd)
{
	char line[128];
	int length =
		snprintf(line, sizeof(line),
			 "{\"ok\":false,\"error\":\"there are %u connections already; try again "
			 "when one has gone\"}\n",
			 control->connection_limit);

	/* A fresh socket has room for it. */
	if (send(fd, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) != length)
		log_debug("control",
			  "a connection was turned away without a word: there are too many");
	close(fd);
}

static void listening_ready(struct loop_source *source, uint32_t events)
{
	struct control *control = container_of(source, struct control, source);
	int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0 && control->connection_count >= control->connection_limit)
		turn_away(control, fd);
	else if (fd >= 0)
		control_connection_open(control, fd);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		/* No descriptor, no memory: the client waits, and mmproxy does not spin. */
		watch_listening(control, 0);
		loop_timer_set(&control->server->loop, &control->retry, RETRY);
	}
}

static void retry_expired(struct timer *timer)
{
	watch_listening(container_of(timer, struct control, retry), EPOLLIN);
}

int control_watch(struct server *server)
{
	struct control *control = server->control;
	int error;

	if (control == NULL)
		return 0;
	error = loop_watch(&server->loop, control->fd, EPOLLIN, &control->source);
	if (error == 0) {
		log_info("control", "listening", LOG_TEXT("path", control->path));
		return 0;
	}
	log_error("daemon", "cannot start", LOG_TEXT("step", "epoll_ctl"),
		  LOG_ERRNO("error", error));
	return -1;
}

void control_reloaded(struct server *server)
{
	if (server->control != NULL)
		control_gather_look(server->control);
}

void control_worker_ended(struct server *server)
{
	if (server->control != NULL)
		control_gather_look(server->control);
}

void control_close(struct server *server)
{
	struct control *control = server->control;

	if (control == NULL)
		return;
	while (!list_empty(&control->connections))
		control_connection_close(
			container_of(control->connections.next, struct control_connection, link));
	control_gather_close(control);
	timer_drop(&control->retry);
	control->source.ready = loop_ignore;
	remove_file(control);
	close(control->fd);
	control->fd = -1;
	/* Whatever was closed is freed in a last round. */
	loop_run_once(&server->loop, 0);
}

void control_finish(struct server *server)
{
	if (server->control != NULL)
		control_free(server->control);
	server->control = NULL;
}
