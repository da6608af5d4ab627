/* SPDX-License-Identifier: MIT */
/*
 * The recorder: writes down each call, and for the rest does what its settings say.
 *
 *	file, label     as in record.h
 *	verdict, why    what `filter` returns, as a number, and what it gives as the reason
 *	port            the verdict is only for clients with this port; others pass
 *	busy            milliseconds that `filter` takes
 *	mistake         a text that `check` and `open` report about this setting
 *	check_returns   what `check` returns
 *	open_returns    what `open` returns
 *	announce        `check` gives a warning, which proves that it was called
 *
 * Each session gets an allocation behind its slot, so that a `closed` that never comes is a leak,
 * and one that comes twice finds the slot empty.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "record.h"

struct recorder {
	const struct mmproxy_host *host;
	struct mmproxy_instance *instance;
	struct record record;
	int64_t verdict;
	int64_t port; /* -1: any */
	int64_t busy;
	char why[1024]; /* empty: none */
	int filtered;
	int ended;
};

struct memory {
	uint64_t session;
	const struct recorder *recorder;
	atomic_int inside; /* hooks of this session that run right now */
};

static int read_settings(const struct mmproxy_host *host, const struct mmproxy_config *config,
			 struct recorder *recorder)
{
	const char *why = "";
	int error = 0;

	recorder->port = -1;
	if (host->config_int(config, "verdict", INT32_MIN, INT32_MAX, &recorder->verdict) < 0)
		error = -EINVAL;
	if (host->config_int(config, "port", 0, UINT16_MAX, &recorder->port) < 0)
		error = -EINVAL;
	if (host->config_int(config, "busy", 0, 10000, &recorder->busy) < 0)
		error = -EINVAL;
	if (host->config_text(config, "why", &why) < 0)
		error = -EINVAL;
	snprintf(recorder->why, sizeof(recorder->why), "%s", why);
	return error;
}

/* Settings that only make `check` and `open` fail. `own` is the one for this hook. */
static int read_outcome(const struct mmproxy_host *host, const struct mmproxy_config *config,
			const char *own)
{
	static const char *const names[] = {"check_returns", "open_returns"};
	int64_t result = 0;
	const char *text;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int64_t value = 0;

		if (host->config_int(config, names[i], INT32_MIN, INT32_MAX, &value) < 0)
			return -EINVAL;
		if (strcmp(names[i], own) == 0)
			result = value;
	}
	if (host->config_text(config, "mistake", &text) > 0)
		host->config_mistake(config, "mistake", text);
	return (int)result;
}

static int check(const struct mmproxy_host *host, const struct mmproxy_config *config)
{
	struct recorder scratch = {0};
	int announce = 0;
	const char *unused;
	char text[64];

	if (read_settings(host, config, &scratch) < 0)
		return -EINVAL;
	if (host->config_text(config, "label", &unused) < 0 ||
	    host->config_path(config, "file", 0, &unused) < 0 ||
	    host->config_bool(config, "announce", &announce) < 0)
		return -EINVAL;
	snprintf(text, sizeof(text), "check was called, workers=%" PRIu32, host->workers);
	if (announce)
		host->config_warning(config, NULL, text);
	return read_outcome(host, config, "check_returns");
}

static int open_instance(const struct mmproxy_host *host, struct mmproxy_instance *instance,
			 const struct mmproxy_config *config, void **state)
{
	struct recorder *recorder = calloc(1, sizeof(*recorder));
	struct record_line line;
	int announce;
	int error;

	if (recorder == NULL)
		return -ENOMEM;
	recorder->host = host;
	recorder->instance = instance;
	error = read_settings(host, config, recorder);
	if (error == 0)
		error = record_open(&recorder->record, host, config);
	if (error < 0) {
		free(recorder);
		return error;
	}
	host->config_bool(config, "announce", &announce);
	recorder->filtered = host->counter(instance, "filtered");
	recorder->ended = host->counter(instance, "ended");
	error = read_outcome(host, config, "open_returns");

	record_begin(&line, &recorder->record, "open");
	record_add(&line, " size=%" PRIu32 " abi=%u.%u workers=%" PRIu32 " returns=%d", host->size,
		   host->abi_major, host->abi_minor, host->workers, error);
	record_add_text(&line, "version", host->version);
	record_finish(&line);
	if (error < 0) {
		record_close(&recorder->record);
		free(recorder);
		return error;
	}
	*state = recorder;
	return 0;
}

static void close_instance(void *state)
{
	struct recorder *recorder = state;
	struct record_line line;

	record_begin(&line, &recorder->record, "close");
	record_finish(&line);
	record_close(&recorder->record);
	free(recorder);
}

static void note_worker(const struct recorder *recorder, const char *hook, uint32_t worker)
{
	struct record_line line;

	record_begin(&line, &recorder->record, hook);
	record_add(&line, " worker=%" PRIu32, worker);
	record_finish(&line);
}

static void worker_start(void *state, uint32_t worker)
{
	note_worker(state, "worker_start", worker);
}

static void worker_stop(void *state, uint32_t worker)
{
	note_worker(state, "worker_stop", worker);
}

/* What the slot holds: nothing, what this plugin put there, or something else. */
static const char *slot_content(const struct recorder *recorder, const struct mmproxy_conn *conn)
{
	const struct memory *memory = *conn->slot;

	if (memory == NULL)
		return "empty";
	return memory->session == conn->id && memory->recorder == recorder ? "own" : "wrong";
}

static void begin(struct record_line *line, const struct recorder *recorder, const char *hook,
		  const struct mmproxy_conn *conn)
{
	struct memory *memory = *conn->slot;

	record_begin(line, &recorder->record, hook);
	if (memory != NULL && atomic_fetch_add(&memory->inside, 1) != 0)
		record_add(line, " overlap=1");
	record_add_conn(line, conn);
	record_add(line, " slot=%s", slot_content(recorder, conn));
	record_add_tlvs(line, recorder->host, conn);
}

static void finish(struct record_line *line, const struct mmproxy_conn *conn)
{
	struct memory *memory = *conn->slot;

	record_finish(line);
	if (memory != NULL)
		atomic_fetch_sub(&memory->inside, 1);
}

static int filter(void *state, const struct mmproxy_conn *conn)
{
	struct recorder *recorder = state;
	struct memory *memory = calloc(1, sizeof(*memory));
	struct record_line line;
	bool concerned = recorder->port < 0 || recorder->port == conn->client.port;

	begin(&line, recorder, "filter", conn);
	finish(&line, conn);
	recorder->host->count(recorder->instance, recorder->filtered, 1);
	if (memory == NULL)
		return -ENOMEM;
	*memory = (struct memory){.session = conn->id, .recorder = recorder};
	*conn->slot = memory;
	if (!concerned)
		return MMPROXY_PASS;
	if (recorder->busy > 0) {
		const struct timespec pause = {
			.tv_sec = recorder->busy / 1000,
			.tv_nsec = recorder->busy % 1000 * 1000000,
		};

		nanosleep(&pause, NULL);
	}
	if (recorder->why[0] != '\0') {
		char why[sizeof(recorder->why)];

		/* A copy that is gone when the hook returns. */
		memcpy(why, recorder->why, sizeof(why));
		recorder->host->explain(conn, why);
		memset(why, '!', sizeof(why) - 1);
	}
	return (int)recorder->verdict;
}

static void connected(void *state, const struct mmproxy_conn *conn, int error)
{
	struct record_line line;

	begin(&line, state, "connected", conn);
	record_add(&line, " error=%d", error);
	finish(&line, conn);
}

static void closed(void *state, const struct mmproxy_conn *conn, const struct mmproxy_end *end)
{
	struct recorder *recorder = state;
	struct record_line line;

	begin(&line, recorder, "closed", conn);
	record_add_end(&line, end);
	finish(&line, conn);
	recorder->host->count(recorder->instance, recorder->ended, 1);
	free(*conn->slot);
	*conn->slot = NULL;
}

const struct mmproxy_plugin mmproxy_plugin_v1 = {
	.size = sizeof(struct mmproxy_plugin),
	.abi_major = MMPROXY_ABI_MAJOR,
	.abi_minor = MMPROXY_ABI_MINOR,
	.name = "recorder",
	.version = "1",
	.check = check,
	.open = open_instance,
	.close = close_instance,
	.worker_start = worker_start,
	.worker_stop = worker_stop,
	.filter = filter,
	.connected = connected,
	.closed = closed,
};
