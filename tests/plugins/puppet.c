/* SPDX-License-Identifier: MIT */
/*
 * The puppet: defers verdicts, and gives them when the test says so.
 *
 *	file, label   as in record.h
 *	commands      the path of a FIFO, which a thread of this plugin reads line by line:
 *	              complete TICKET VERDICT [WHY], log LEVEL TEXT
 *	defers        how often `filter` calls defer(), by default once
 *	completes     a list of verdicts, as texts, that are given before `filter` returns
 *	by_thread     they are given by another thread
 *	returns       what `filter` returns, by default PENDING
 *	port          all of that is only for clients with this port; others pass
 *	on_cancel     a verdict that `cancel` tries to give
 *
 * When mmproxy has no ticket, `filter` returns -EBUSY, as plugin.h wants it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "record.h"

#define COMPLETES_MAX 4
#define NO_VERDICT    INT64_MIN

struct puppet {
	const struct mmproxy_host *host;
	struct mmproxy_instance *instance;
	struct record record;
	int64_t defers;
	int64_t returns;
	int64_t port; /* -1: any */
	int64_t on_cancel;
	int by_thread;
	int complete_count;
	int completes[COMPLETES_MAX];
	int commands; /* the FIFO, or -1: then there is no thread */
	int stop;     /* an eventfd */
	pthread_t thread;
};

/* A verdict on its way to mmproxy, in whichever thread. */
struct completion {
	const struct puppet *puppet;
	mmproxy_ticket ticket;
	int verdict;
	const char *why;
};

static void *complete(void *argument)
{
	const struct completion *completion = argument;
	const struct puppet *puppet = completion->puppet;
	struct record_line line;
	int result = puppet->host->complete(puppet->instance, completion->ticket,
					    completion->verdict, completion->why);

	record_begin(&line, &puppet->record, "complete");
	record_add(&line, " ticket=%" PRIu64 " verdict=%d result=%d", completion->ticket,
		   completion->verdict, result);
	record_finish(&line);
	return NULL;
}

/* ---- The test's commands ---- */

static void obey_complete(const struct puppet *puppet, const char *arguments)
{
	struct completion completion = {.puppet = puppet};
	int length = 0;

	if (sscanf(arguments, "%" SCNu64 " %d %n", &completion.ticket, &completion.verdict,
		   &length) < 2)
		return;
	completion.why = arguments[length] != '\0' ? arguments + length : NULL;
	complete(&completion);
}

static void obey(const struct puppet *puppet, char *command)
{
	int level = 0;
	int length = 0;

	if (strncmp(command, "complete ", 9) == 0)
		obey_complete(puppet, command + 9);
	else if (sscanf(command, "log %d %n", &level, &length) == 1)
		puppet->host->log(puppet->instance, level, command + length);
}

/* Obeys each whole line of the text and returns how many bytes they were. */
static size_t obey_lines(const struct puppet *puppet, char *text)
{
	char *next = text;
	char *end;

	while ((end = strchr(next, '\n')) != NULL) {
		*end = '\0';
		obey(puppet, next);
		next = end + 1;
	}
	return (size_t)(next - text);
}

static void note_thread(const struct puppet *puppet)
{
	static const int handled[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
	struct record_line line;
	sigset_t blocked;
	int open = 0;

	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
		open += sigismember(&blocked, handled[i]) == 0;
	record_begin(&line, &puppet->record, "thread");
	record_add(&line, " signals_not_blocked=%d", open);
	record_finish(&line);
}

static void *read_commands(void *argument)
{
	const struct puppet *puppet = argument;
	struct pollfd watched[] = {{.fd = puppet->commands, .events = POLLIN},
				   {.fd = puppet->stop, .events = POLLIN}};
	char text[65537];
	size_t length = 0;

	note_thread(puppet);
	while (poll(watched, 2, -1) >= 0 && watched[1].revents == 0) {
		ssize_t count = read(puppet->commands, text + length, sizeof(text) - 1 - length);
		size_t obeyed;

		if (count <= 0)
			continue;
		length += (size_t)count;
		text[length] = '\0';
		obeyed = obey_lines(puppet, text);
		length -= obeyed;
		memmove(text, text + obeyed, length);
	}
	return NULL;
}

/* ---- Life ---- */

static int read_completes(const struct mmproxy_host *host, const struct mmproxy_config *config,
			  struct puppet *puppet)
{
	int count = host->config_count(config, "completes");

	if (count < 0 || count > COMPLETES_MAX)
		return -EINVAL;
	for (int i = 0; i < count; i++) {
		const char *text;

		if (host->config_item(config, "completes", (unsigned)i, &text) < 0)
			return -EINVAL;
		puppet->completes[i] = atoi(text);
	}
	puppet->complete_count = count;
	return 0;
}

static int read_settings(const struct mmproxy_host *host, const struct mmproxy_config *config,
			 struct puppet *puppet, const char **commands)
{
	puppet->defers = 1;
	puppet->returns = MMPROXY_PENDING;
	puppet->port = -1;
	puppet->on_cancel = NO_VERDICT;
	if (host->config_int(config, "defers", 0, 10, &puppet->defers) < 0 ||
	    host->config_int(config, "returns", INT32_MIN, INT32_MAX, &puppet->returns) < 0 ||
	    host->config_int(config, "port", 0, UINT16_MAX, &puppet->port) < 0 ||
	    host->config_int(config, "on_cancel", INT32_MIN, INT32_MAX, &puppet->on_cancel) < 0 ||
	    host->config_bool(config, "by_thread", &puppet->by_thread) < 0 ||
	    host->config_path(config, "commands", 0, commands) < 0)
		return -EINVAL;
	return read_completes(host, config, puppet);
}

static int start_thread(struct puppet *puppet, const char *path)
{
	int error;

	puppet->commands = -1;
	if (path == NULL)
		return 0;
	/* For writing as well: so it does not end when the test has written a line. */
	puppet->commands = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (puppet->commands < 0)
		return -errno;
	puppet->stop = eventfd(0, EFD_CLOEXEC);
	error = puppet->stop < 0 ? errno
				 : pthread_create(&puppet->thread, NULL, read_commands, puppet);
	if (error == 0)
		return 0;
	if (puppet->stop >= 0)
		close(puppet->stop);
	close(puppet->commands);
	return -error;
}

static void stop_thread(struct puppet *puppet)
{
	const uint64_t one = 1;

	if (puppet->commands < 0)
		return;
	if (write(puppet->stop, &one, sizeof(one)) == sizeof(one))
		pthread_join(puppet->thread, NULL);
	close(puppet->stop);
	close(puppet->commands);
}

static int open_instance(const struct mmproxy_host *host, struct mmproxy_instance *instance,
			 const struct mmproxy_config *config, void **state)
{
	struct puppet *puppet = calloc(1, sizeof(*puppet));
	const char *commands = NULL;
	struct record_line line;
	int error;

	if (puppet == NULL)
		return -ENOMEM;
	puppet->host = host;
	puppet->instance = instance;
	error = read_settings(host, config, puppet, &commands);
	if (error == 0)
		error = record_open(&puppet->record, host, config);
	if (error < 0)
		goto free_puppet;
	error = start_thread(puppet, commands);
	if (error < 0)
		goto close_record;
	record_begin(&line, &puppet->record, "open");
	record_finish(&line);
	*state = puppet;
	return 0;

close_record:
	record_close(&puppet->record);
free_puppet:
	free(puppet);
	return error;
}

static void close_instance(void *state)
{
	struct puppet *puppet = state;
	struct record_line line;

	stop_thread(puppet);
	record_begin(&line, &puppet->record, "close");
	record_finish(&line);
	record_close(&puppet->record);
	free(puppet);
}

/* ---- Sessions ---- */

static void give_at_once(const struct puppet *puppet, mmproxy_ticket ticket)
{
	for (int i = 0; i < puppet->complete_count; i++) {
		struct completion completion = {
			.puppet = puppet, .ticket = ticket, .verdict = puppet->completes[i]};
		pthread_t thread;

		if (!puppet->by_thread)
			complete(&completion);
		else if (pthread_create(&thread, NULL, complete, &completion) == 0)
			pthread_join(thread, NULL);
	}
}

static int filter(void *state, const struct mmproxy_conn *conn)
{
	struct puppet *puppet = state;
	bool concerned = puppet->port < 0 || puppet->port == conn->client.port;
	mmproxy_ticket ticket = 0;
	unsigned differ = 0;
	struct record_line line;

	for (int64_t i = 0; concerned && i < puppet->defers; i++) {
		mmproxy_ticket another = puppet->host->defer(conn);

		differ += i > 0 && another != ticket;
		ticket = another;
	}
	record_begin(&line, &puppet->record, "filter");
	record_add_conn(&line, conn);
	record_add(&line, " ticket=%" PRIu64 " tickets_differ=%u", ticket, differ);
	record_finish(&line);
	if (!concerned)
		return MMPROXY_PASS;
	if (puppet->defers > 0 && ticket == 0)
		return -EBUSY;
	give_at_once(puppet, ticket);
	return (int)puppet->returns;
}

static void cancel(void *state, const struct mmproxy_conn *conn, mmproxy_ticket ticket)
{
	struct puppet *puppet = state;
	struct completion completion = {
		.puppet = puppet, .ticket = ticket, .verdict = (int)puppet->on_cancel};
	struct record_line line;

	record_begin(&line, &puppet->record, "cancel");
	record_add_conn(&line, conn);
	record_add_tlvs(&line, puppet->host, conn);
	record_add(&line, " ticket=%" PRIu64, ticket);
	record_finish(&line);
	if (puppet->on_cancel != NO_VERDICT)
		complete(&completion);
}

static void connected(void *state, const struct mmproxy_conn *conn, int error)
{
	const struct puppet *puppet = state;
	struct record_line line;

	record_begin(&line, &puppet->record, "connected");
	record_add_conn(&line, conn);
	record_add(&line, " error=%d", error);
	record_finish(&line);
}

static void closed(void *state, const struct mmproxy_conn *conn, const struct mmproxy_end *end)
{
	const struct puppet *puppet = state;
	struct record_line line;

	record_begin(&line, &puppet->record, "closed");
	record_add_conn(&line, conn);
	record_add_end(&line, end);
	record_finish(&line);
}

const struct mmproxy_plugin mmproxy_plugin_v1 = {
	.size = sizeof(struct mmproxy_plugin),
	.abi_major = MMPROXY_ABI_MAJOR,
	.abi_minor = MMPROXY_ABI_MINOR,
	.name = "puppet",
	.version = "1",
	.open = open_instance,
	.close = close_instance,
	.filter = filter,
	.cancel = cancel,
	.connected = connected,
	.closed = closed,
};
