/* SPDX-License-Identifier: MIT */
/*
 * The log: one line an event, on stderr as text or JSON, or an entry of the journal. Subsystem
 * first, then the event, then key=value. Whatever came from a peer goes through LOG_TEXT or
 * LOG_BYTES and is escaped.
 *
 * Callable from any thread. A line that cannot be written at once is dropped and counted: a full
 * pipe behind stderr, or a journald that is stuck, must not stop a worker.
 */
#ifndef MMPROXY_OS_LOG_H
#define MMPROXY_OS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

enum log_target {
	LOG_TARGET_STDERR,
	LOG_TARGET_JOURNAL, /* with a field each, by journald's own protocol */
	LOG_TARGET_DEFAULT, /* the journal when it reads stderr and takes text, else stderr */
};

struct log_options {
	enum log_level level;
	enum log_format format; /* JSON needs jansson: see log_format_supported() */
	enum log_target target;
};

/* Bytes of a line with its newline. As text what is longer is cut, as JSON it is dropped. */
#define LOG_LINE_SIZE 2048

struct log_field {
	const char *key;
	enum {
		LOG_FIELD_NONE, /* left out, so that a field can depend on a condition */
		LOG_FIELD_TEXT,
		LOG_FIELD_BYTES,
		LOG_FIELD_NUMBER,
		LOG_FIELD_SECONDS,
		LOG_FIELD_ADDRESS,
	} type;
	union {
		const char *text;
		struct {
			const uint8_t *bytes;
			size_t length;
		};
		uint64_t number;
		uint64_t milliseconds; /* printed as seconds */
		const struct address *address;
	};
};

#define LOG_NOTHING      ((struct log_field){.type = LOG_FIELD_NONE})
#define LOG_TEXT(k, v)   ((struct log_field){.key = (k), .type = LOG_FIELD_TEXT, .text = (v)})
#define LOG_ERRNO(k, v)  LOG_TEXT(k, log_error_text(v))
#define LOG_NUMBER(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_NUMBER, .number = (v)})
#define LOG_ADDRESS(k, v)                                                                          \
	((struct log_field){.key = (k), .type = LOG_FIELD_ADDRESS, .address = (v)})
#define LOG_SECONDS(k, v)                                                                          \
	((struct log_field){.key = (k), .type = LOG_FIELD_SECONDS, .milliseconds = (v)})
#define LOG_BYTES(k, v, n)                                                                         \
	((struct log_field){.key = (k), .type = LOG_FIELD_BYTES, .bytes = (v), .length = (n)})

/* At the start, before there are threads. */
void log_configure(const struct log_options *options);
void log_set_level(enum log_level level);
bool log_wants(enum log_level level);
const char *log_error_text(int error); /* of an -errno; any thread, never NULL */
bool log_format_supported(enum log_format format);
uint64_t log_lines_dropped(void);

/* The fields are read before the call returns. */
void log_event(enum log_level level, const char *subsystem, const char *event,
	       const struct log_field *fields, size_t count);

#define LOG_EVENT(level, subsystem, event, ...)                                                    \
	do {                                                                                       \
		if (log_wants(level)) {                                                            \
			const struct log_field fields_[] = {__VA_ARGS__};                          \
			log_event(level, subsystem, event, fields_,                                \
				  sizeof(fields_) / sizeof(fields_[0]));                           \
		}                                                                                  \
	} while (0)

#define log_error(...)   LOG_EVENT(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) LOG_EVENT(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    LOG_EVENT(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   LOG_EVENT(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
