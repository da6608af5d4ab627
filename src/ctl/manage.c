/* SPDX-License-Identifier: MIT */
/* mmproxyctl kill, reload, drain and log-level. */
#include "ctl/manage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/answer.h"
#include "ctl/format.h"
#include "ctl/options.h"

/* Seconds without a line of progress, of which there is one a second. */
#define DRAIN_PATIENCE 30

/* Seconds from the end of the connection to that of the process: plugins are closed meanwhile. */
#define DRAIN_END_PATIENCE 30

static void print_killed(const json_t *result, const struct options *options)
{
	(void)result;
	printf("session %s has been ended\n", options->argument);
}

int manage_kill(const struct options *options)
{
	char request[256];

	snprintf(request, sizeof(request), "kill %.200s", options->argument);
	return answer_show(options, request, print_killed);
}

static void print_reloaded(const json_t *result, const struct options *options)
{
	(void)options;
	printf("generation %" PRIu64 " is in place\n", answer_count(result, "generation"));
}

int manage_reload(const struct options *options)
{
	return answer_show(options, "reload", print_reloaded);
}

static void print_log_level(const json_t *result, const struct options *options)
{
	char level[64];

	format_printable(level, sizeof(level), answer_text(result, "level"));
	printf(options->argument != NULL ? "log level is %s now\n" : "log level is %s\n", level);
}

int manage_log_level(const struct options *options)
{
	char request[256] = "log-level";

	if (options->argument != NULL)
		snprintf(request, sizeof(request), "log-level %.200s", options->argument);
	return answer_show(options, request, print_log_level);
}

static void print_progress(const json_t *progress, const struct options *options)
{
	uint64_t sessions = answer_count(progress, "sessions");

	if (options->json) {
		answer_print_json(progress);
		return;
	}
	printf("draining: %" PRIu64 " session%s", sessions, sessions == 1 ? "" : "s");
	if (json_is_number(json_object_get(progress, "seconds_left")))
		printf(", %.0f s left", answer_number(progress, "seconds_left"));
	putchar('\n');
	fflush(stdout);
}

/* Prints a line of progress. Returns -1 when the daemon refuses: standard error has said why. */
static int take_progress(const char *line, const struct options *options)
{
	struct lines wrong = {0};
	json_t *reply = answer_read(line, &wrong);

	lines_print(&wrong, 0, stderr);
	lines_finish(&wrong);
	if (reply == NULL)
		return -1;
	print_progress(json_object_get(reply, "progress"), options);
	json_decref(reply);
	return 0;
}

/* Returns 0 when the daemon has begun to drain, or has ended; else -1, and it has been told why. */
static int follow_drain(struct connection *connection, const struct options *options)
{
	bool ended = false, begun = false;
	char *line;

	do {
		line = connection_wait_line(connection, DRAIN_PATIENCE, &ended);
		if (line == NULL && ended && begun)
			return 0;
		if (line == NULL)
			answer_complain("%s", connection->wrong);
		if (line == NULL || take_progress(line, options) < 0)
			return -1;
		begun = true;
	} while (!options->no_wait);
	return 0;
}

/* The connection has ended; the process has a little more to do. */
static int wait_for_end(int peer, const struct options *options)
{
	if (!connection_wait_peer(peer, DRAIN_END_PATIENCE)) {
		answer_complain("mmproxy has closed its control socket, but still runs after %d s",
				DRAIN_END_PATIENCE);
		return EXIT_FAILURE;
	}
	if (!options->json)
		puts("mmproxy has ended");
	return EXIT_SUCCESS;
}

int manage_drain(const struct options *options)
{
	struct connection connection;
	int status = EXIT_FAILURE, peer;

	if (connection_open(&connection, options->socket) < 0 ||
	    connection_send(&connection, "drain") < 0) {
		answer_complain("%s", connection.wrong);
		connection_close(&connection);
		return EXIT_FAILURE;
	}
	peer = connection_open_peer(&connection);
	if (follow_drain(&connection, options) == 0)
		status = EXIT_SUCCESS;
	connection_close(&connection);
	if (status == EXIT_SUCCESS && !options->no_wait)
		status = wait_for_end(peer, options);
	if (peer >= 0)
		close(peer);
	return status;
}
