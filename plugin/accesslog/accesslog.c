/* SPDX-License-Identifier: MIT */
/*
 * accesslog: one line for each session, when it has ended. The hooks of the plugin, which only put
 * the parts together: a session's fields (record.c) are printed (line_*.c, journal.c) into a queue
 * (queue.c), whose thread writes them out (log_file.c, journal.c) and says so when it cannot
 * (trouble.c).
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include <mmproxy/plugin.h>

#include "clock.h"
#include "journal.h"
#include "log_file.h"
#include "queue.h"
#include "record.h"
#include "settings.h"
#include "trouble.h"

/* Lines that may wait for the disk: seconds of a busy host. As much again is being written. */
#define QUEUE_SIZE (1 << 20)

struct accesslog {
	const struct mmproxy_host *host;
	struct mmproxy_instance *instance;
	struct settings settings;
	struct log_file file; /* unless the settings have a journal */
	struct queue *queue;
	struct trouble trouble;   /* the queue's thread's */
	int lines, lines_dropped; /* counters */
};

static int write_to_file(void *context, const struct queue_batch *batch, uint64_t *written)
{
	struct accesslog *log = context;

	return log_file_append(&log->file, batch->bytes, batch->length, written);
}

static int write_to_journal(void *context, const struct queue_batch *batch, uint64_t *written)
{
	(void)context;
	return journal_send(batch->bytes, batch->length, written);
}

static void report(void *context, const struct queue_outcome *outcome, bool last)
{
	struct accesslog *log = context;
	char text[TROUBLE_TEXT_SIZE];
	int level;

	log->host->count(log->instance, log->lines, outcome->written);
	log->host->count(log->instance, log->lines_dropped, outcome->failed);
	level = trouble_note(&log->trouble, outcome, milliseconds_now(), last, text);
	if (level >= 0)
		log->host->log(log->instance, level, text);
}

static int accesslog_check(const struct mmproxy_host *host, const struct mmproxy_config *config)
{
	struct settings settings;
	char why[LOG_FILE_WHY_SIZE];
	int error = settings_read(&settings, host, config);

	if (error == 0)
		error = settings_check_journal(&settings, host, config);
	if (error == 0 && settings.file != NULL) {
		error = log_file_check(settings.file, why);
		if (error < 0)
			host->config_mistake(config, "file", why);
	}
	return error;
}

static int open_target(struct accesslog *log, const struct mmproxy_config *config)
{
	char why[LOG_FILE_WHY_SIZE];
	int error;

	if (log->settings.to_journal) {
		log->trouble.target = "the journal";
		return settings_check_journal(&log->settings, log->host, config);
	}
	error = log_file_open(&log->file, log->settings.file, why);
	if (error < 0)
		log->host->config_mistake(config, "file", why);
	log->trouble.target = log->file.path;
	return error;
}

static int start(struct accesslog *log, const struct mmproxy_config *config)
{
	const struct queue_user user = {
		.context = log,
		.write = log->settings.to_journal ? write_to_journal : write_to_file,
		.report = report,
	};
	int error = open_target(log, config);

	if (error < 0)
		return error;
	error = queue_create(&log->queue, QUEUE_SIZE, &user);
	if (error == 0)
		return 0;
	log->host->config_mistake(
		config, NULL,
		"no memory or no thread for another log; raise the limits of this "
		"process (MemoryMax=, TasksMax=)");
	if (!log->settings.to_journal)
		log_file_close(&log->file);
	return error;
}

static int accesslog_open(const struct mmproxy_host *host, struct mmproxy_instance *instance,
			  const struct mmproxy_config *config, void **state)
{
	struct accesslog *log = calloc(1, sizeof(*log));
	int error;

	if (log == NULL)
		return -ENOMEM;
	log->host = host;
	log->instance = instance;
	log->lines = host->counter(instance, "lines");
	log->lines_dropped = host->counter(instance, "lines_dropped");
	error = settings_read(&log->settings, host, config);
	if (error == 0)
		error = start(log, config);
	if (error < 0) {
		free(log);
		return error;
	}
	*state = log;
	return 0;
}

static void accesslog_close(void *state)
{
	struct accesslog *log = state;

	queue_destroy(log->queue);
	if (!log->settings.to_journal)
		log_file_close(&log->file);
	free(log);
}

static void accesslog_closed(void *state, const struct mmproxy_conn *conn,
			     const struct mmproxy_end *end)
{
	struct accesslog *log = state;
	const struct settings *settings = &log->settings;
	struct record record;
	struct timespec now;
	char line[LINE_SIZE];
	size_t length;

	clock_gettime(CLOCK_REALTIME, &now);
	record_fill(&record, log->host, conn, end, &now, settings->tlvs, settings->tlv_count);
	length = settings->format(line, sizeof(line), record.fields, record.count);
	if (length == 0 || !queue_append(log->queue, line, length))
		log->host->count(log->instance, log->lines_dropped, 1);
}

const struct mmproxy_plugin mmproxy_plugin_v1 = {
	.size = sizeof(struct mmproxy_plugin),
	.abi_major = MMPROXY_ABI_MAJOR,
	.abi_minor = MMPROXY_ABI_MINOR,
	.name = "accesslog",
	.version = "1.0",
	.check = accesslog_check,
	.open = accesslog_open,
	.close = accesslog_close,
	.closed = accesslog_closed,
};
