/* SPDX-License-Identifier: MIT */
/*
 * The log's front: levels, the decision where a line goes, and the one write that carries it.
 * How a line looks is in log_text.c, log_json.c and log_journal.c.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "os/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/log_journal.h"
#include "os/log_line.h"

static atomic_int current_level = LOG_LEVEL_INFO;
static atomic_uint_fast64_t dropped;    /* lines in all */
static atomic_uint_fast64_t unreported; /* of them, those that no line has told of yet */
static enum log_format current_format = LOG_FORMAT_TEXT;
static bool under_service_manager;
static bool to_journal; /* set before there are threads */
static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER;

/* systemd sets JOURNAL_STREAM to the device and inode of the stream that it reads: sd-daemon(3). */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat status;

	return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
	       status.st_ino == inode;
}

/*
 * Each field for itself, where nobody asked for something else. A format was asked for by whoever
 * wants the lines in it.
 */
static bool journal_is_chosen(const struct log_options *options)
{
	if (options->target == LOG_TARGET_DEFAULT)
		return under_service_manager && options->format == LOG_FORMAT_TEXT;
	return options->target == LOG_TARGET_JOURNAL;
}

void log_configure(const struct log_options *options)
{
	int error = 0;

	current_format = options->format;
	under_service_manager = stderr_is_journal();
	log_set_level(options->level);
	to_journal = journal_is_chosen(options);
	if (to_journal)
		error = log_journal_open();
	if (error == 0)
		return;
	to_journal = options->target == LOG_TARGET_JOURNAL;
	if (to_journal)
		log_warning("log", "journald cannot be reached, until it can lines go to stderr",
			    LOG_ERRNO("error", error));
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

bool log_wants(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

const char *log_error_text(int error)
{
	const char *text = strerrordesc_np(-error);

	return text != NULL ? text : "unknown error";
}

bool log_format_supported(enum log_format format)
{
#ifdef HAVE_JANSSON
	(void)format;
	return true;
#else
	return format == LOG_FORMAT_TEXT;
#endif
}

uint64_t log_lines_dropped(void)
{
	return atomic_load_explicit(&dropped, memory_order_relaxed);
}

/*
 * A pipe that polls writable takes PIPE_BUF bytes without blocking, which is more than a line. With
 * the lock held no other thread of ours can fill it in between.
 */
static bool write_line(const char *line, size_t length)
{
	struct pollfd poll_stderr = {.fd = STDERR_FILENO, .events = POLLOUT};
	bool written = false;

	pthread_mutex_lock(&write_lock);
	if (poll(&poll_stderr, 1, 0) == 1)
		written = write(STDERR_FILENO, line, length) == (ssize_t)length;
	pthread_mutex_unlock(&write_lock);
	return written;
}

static bool write_to_stderr(struct log_line_head *head, const struct log_field *fields,
			    size_t count)
{
	char line[LOG_LINE_SIZE];
	size_t length;

	head->start = under_service_manager ? LOG_LINE_PRIORITY : LOG_LINE_TIME;
#ifdef HAVE_JANSSON
	if (current_format == LOG_FORMAT_JSON)
		length = log_line_json(line, head, fields, count);
	else
#endif
		length = log_line_text(line, head, fields, count);
	return length > 0 && write_line(line, length);
}

/* A journald that has no room for a line loses it; one that is not there does not. */
static bool write_to_target(struct log_line_head *head, const struct log_field *fields,
			    size_t count)
{
	int error = to_journal ? log_journal_send(head, fields, count) : -ENOTCONN;

	if (error == 0 || error == -EAGAIN)
		return error == 0;
	return write_to_stderr(head, fields, count);
}

/* Once lines get through again, one of them says how many did not. */
static void report_missing(void)
{
	uint64_t missing = atomic_exchange_explicit(&unreported, 0, memory_order_relaxed);

	if (missing > 0)
		log_warning("log",
			    to_journal ? "lines lost, journald had no room"
				       : "lines lost, stderr was full",
			    LOG_NUMBER("lines", missing));
}

void log_event(enum log_level level, const char *subsystem, const char *event,
	       const struct log_field *fields, size_t count)
{
	struct log_line_head head = {
		.level = level,
		.subsystem = subsystem,
		.event = event,
	};

	if (write_to_target(&head, fields, count)) {
		report_missing();
		return;
	}
	atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&unreported, 1, memory_order_relaxed);
}
