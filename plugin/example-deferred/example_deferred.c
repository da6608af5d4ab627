/* SPDX-License-Identifier: MIT */
/*
 * example-deferred: asks a process of its own, the helper, about each client.
 *
 * The model for whatever blocks, or should not be trusted, and therefore must not run inside
 * mmproxy: `filter` sends one small question over a Unix socket, without waiting, and leaves with
 * PENDING; a thread receives the answers and completes the tickets. When the helper is away, or
 * does not keep up, `filter` says so with an error, and the entry's on_error decides.
 *
 *	question	TICKET tcp|udp CLIENT PORT LISTENER
 *	answer		TICKET pass|deny|reset [WHY]
 *
 * Each is one packet, so that neither side has to look for where it ends. Answers may come in any
 * order.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <mmproxy/plugin.h>

#define QUESTION_SIZE 256  /* bytes; the longest has 141 */
#define ANSWER_SIZE   256  /* bytes; what is longer is cut, as the log would cut it */
#define RETRY_MS      1000 /* between two looks for a helper that is away */

struct deferred {
	const struct mmproxy_host *host;
	struct mmproxy_instance *instance;
	struct sockaddr_un address;
	pthread_t thread;
	int stop; /* an eventfd: the thread is to end */
	/*
	 * -1: the helper is away. Only the thread changes it, and under the lock, so that no worker
	 * sends into a descriptor that has been closed, and by then is something else. A worker
	 * holds the lock for one send() that does not block.
	 */
	int connection;
	pthread_mutex_t lock;
	int asked, unasked; /* counters: questions sent, questions that could not be */
};

static void deferred_log(const struct deferred *deferred, int level, const char *what, int error)
{
	char line[256];

	snprintf(line, sizeof(line), "%s %s%s%s", what, deferred->address.sun_path,
		 error != 0 ? ": " : "", error != 0 ? strerror(-error) : "");
	deferred->host->log(deferred->instance, level, line);
}

/* A descriptor, or a negative errno. */
static int deferred_connect(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

static void deferred_change_connection(struct deferred *deferred, int connection)
{
	int former;

	pthread_mutex_lock(&deferred->lock);
	former = deferred->connection;
	deferred->connection = connection;
	pthread_mutex_unlock(&deferred->lock);
	if (former >= 0)
		close(former);
}

static void deferred_take_answer(const struct deferred *deferred, char *answer)
{
	static const char *const verdicts[] = {
		[MMPROXY_PASS] = "pass",
		[MMPROXY_DENY] = "deny",
		[MMPROXY_RESET] = "reset",
	};
	char *rest;
	mmproxy_ticket ticket = strtoull(answer, &rest, 10);
	const char *word = strtok_r(rest, " \n", &rest);
	const char *why = word != NULL ? strtok_r(NULL, "\n", &rest) : NULL;
	int verdict = -EPROTO; /* to mmproxy an error of the plugin, as is anything but the three */

	for (int i = MMPROXY_PASS; i <= MMPROXY_RESET; i++) {
		if (word != NULL && strcmp(word, verdicts[i]) == 0)
			verdict = i;
	}
	/* -ESTALE: nobody waits for it any more, which mmproxy counts. */
	deferred->host->complete(deferred->instance, ticket, verdict, why);
}

/* One answer, or the end of the connection. */
static void deferred_receive(struct deferred *deferred)
{
	char answer[ANSWER_SIZE + 1];
	ssize_t length = recv(deferred->connection, answer, ANSWER_SIZE, 0);

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (length <= 0) {
		int error = length < 0 ? -errno : 0;

		deferred_change_connection(deferred, -1);
		deferred_log(deferred, MMPROXY_LOG_WARNING, "lost the helper at", error);
		return;
	}
	answer[length] = '\0';
	deferred_take_answer(deferred, answer);
}

static void deferred_look_for_helper(struct deferred *deferred)
{
	int connection = deferred_connect(&deferred->address);

	if (connection < 0)
		return; /* the log has it that the helper is away */
	deferred_change_connection(deferred, connection);
	deferred_log(deferred, MMPROXY_LOG_INFO, "asking the helper at", 0);
}

static void *deferred_run(void *state)
{
	struct deferred *deferred = state;

	for (;;) {
		struct pollfd events[] = {
			{.fd = deferred->stop, .events = POLLIN},
			{.fd = deferred->connection, .events = POLLIN}, /* nothing when it is -1 */
		};

		poll(events, 2, deferred->connection < 0 ? RETRY_MS : -1);
		if (events[0].revents != 0)
			return NULL;
		if (deferred->connection < 0)
			deferred_look_for_helper(deferred);
		else if (events[1].revents != 0)
			deferred_receive(deferred);
	}
}

static int read_settings(const struct mmproxy_host *host, const struct mmproxy_config *config,
			 struct sockaddr_un *address)
{
	const char *path;
	size_t length;
	int found = host->config_path(config, "socket", 0, &path);

	if (found < 0)
		return -EINVAL;
	if (found == 0) {
		host->config_mistake(config, "socket",
				     "it is missing; write the path of the helper's socket");
		return -EINVAL;
	}
	length = strlen(path);
	if (length >= sizeof(address->sun_path)) {
		host->config_mistake(
			config, "socket",
			"this path is too long for a socket; write one of at most 107 bytes");
		return -EINVAL;
	}
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, path, length);
	return 0;
}

static int deferred_check(const struct mmproxy_host *host, const struct mmproxy_config *config)
{
	struct sockaddr_un address;

	return read_settings(host, config, &address);
}

/* The instance's descriptors and its thread; what was made before an error is the caller's. */
static int deferred_start(struct deferred *deferred)
{
	deferred->connection = deferred_connect(&deferred->address);
	if (deferred->connection < 0) {
		/* No reason not to start: it may come later, and on_error says what until then. */
		deferred_log(deferred, MMPROXY_LOG_WARNING, "no helper at", deferred->connection);
		deferred->connection = -1;
	}
	deferred->stop = eventfd(0, EFD_CLOEXEC);
	if (deferred->stop < 0)
		return -errno;
	return -pthread_create(&deferred->thread, NULL, deferred_run, deferred);
}

static void deferred_destroy(struct deferred *deferred)
{
	if (deferred->stop >= 0)
		close(deferred->stop);
	if (deferred->connection >= 0)
		close(deferred->connection);
	pthread_mutex_destroy(&deferred->lock);
	free(deferred);
}

static int deferred_open(const struct mmproxy_host *host, struct mmproxy_instance *instance,
			 const struct mmproxy_config *config, void **state)
{
	struct deferred *deferred = malloc(sizeof(*deferred));
	int error;

	if (deferred == NULL)
		return -ENOMEM;
	*deferred = (struct deferred){
		.host = host,
		.instance = instance,
		.stop = -1,
		.connection = -1,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.asked = host->counter(instance, "asked"),
		.unasked = host->counter(instance, "unasked"),
	};
	error = read_settings(host, config, &deferred->address);
	if (error == 0)
		error = deferred_start(deferred);
	if (error < 0) {
		deferred_destroy(deferred);
		return error;
	}
	*state = deferred;
	return 0;
}

static void deferred_close(void *state)
{
	struct deferred *deferred = state;

	eventfd_write(deferred->stop, 1);
	pthread_join(deferred->thread, NULL);
	deferred_destroy(deferred);
}

/* 0, or a negative errno: -ENOTCONN, the helper is away; -EAGAIN, it does not keep up. */
static int deferred_ask(struct deferred *deferred, const char *question, size_t length)
{
	int error = -ENOTCONN;

	pthread_mutex_lock(&deferred->lock);
	if (deferred->connection >= 0)
		error = send(deferred->connection, question, length, MSG_NOSIGNAL) < 0 ? -errno : 0;
	pthread_mutex_unlock(&deferred->lock);
	deferred->host->count(deferred->instance, error < 0 ? deferred->unasked : deferred->asked,
			      1);
	return error;
}

static int deferred_filter(void *state, const struct mmproxy_conn *conn)
{
	struct deferred *deferred = state;
	char question[QUESTION_SIZE], client[INET6_ADDRSTRLEN];
	mmproxy_ticket ticket;
	int length, error;

	if (conn->flags & MMPROXY_CONN_LOCAL)
		return MMPROXY_PASS; /* there is no client; a balancer's health check must not fail
				      */
	if (inet_ntop(conn->client.family, conn->client.ip, client, sizeof(client)) == NULL)
		return -errno;
	ticket = deferred->host->defer(conn);
	if (ticket == 0)
		return -EBUSY;
	length = snprintf(question, sizeof(question), "%" PRIu64 " %s %s %u %s", ticket,
			  conn->protocol == MMPROXY_PROTOCOL_UDP ? "udp" : "tcp", client,
			  conn->client.port, conn->listener);
	/* From here on the answer may overtake this function: the ticket is the thread's. */
	error = deferred_ask(deferred, question, (size_t)length);
	return error < 0 ? error : MMPROXY_PENDING; /* an error makes the ticket void */
}

/*
 * No `cancel`: nothing is kept here of a question that has been sent, and the helper need not know
 * that nobody waits any more. Its answer comes late, and changes nothing.
 */
const struct mmproxy_plugin mmproxy_plugin_v1 = {
	.size = sizeof(struct mmproxy_plugin),
	.abi_major = MMPROXY_ABI_MAJOR,
	.abi_minor = MMPROXY_ABI_MINOR,
	.name = "example-deferred",
	.version = "1.0",
	.check = deferred_check,
	.open = deferred_open,
	.close = deferred_close,
	.filter = deferred_filter,
};
