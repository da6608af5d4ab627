/* SPDX-License-Identifier: MIT */
/* Log lines as text: `time level subsystem: event key=value ...`. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/escape.h"
#include "os/log_line.h"

/* Appends to a line, and goes quiet when it is full. Room for the newline is kept. */
struct writer {
	char *text;
	size_t size;
	size_t length;
};

static void write_text(struct writer *writer, const char *text)
{
	size_t length = strlen(text), room = writer->size - writer->length - 1;

	if (length > room)
		length = room;
	memcpy(writer->text + writer->length, text, length);
	writer->length += length;
}

/* A value that a reader could split at the wrong place goes between quotes. */
static bool needs_quotes(const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] <= ' ' || bytes[i] > '~' || strchr("\"\\=", bytes[i]) != NULL)
			return true;
	}
	return length == 0;
}

static void write_value(struct writer *writer, const uint8_t *bytes, size_t length, bool quote)
{
	if (quote)
		write_text(writer, "\"");
	/* One byte for the closing quote. */
	if (writer->size - writer->length > 2)
		writer->length += escape_bytes(writer->text + writer->length,
					       writer->size - writer->length - 2, bytes, length);
	if (quote)
		write_text(writer, "\"");
}

const char *log_line_number(const struct log_field *field, char text[static ADDRESS_TEXT_SIZE])
{
	text[0] = '\0';
	if (field->type == LOG_FIELD_NUMBER)
		snprintf(text, ADDRESS_TEXT_SIZE, "%" PRIu64, field->number);
	else if (field->type == LOG_FIELD_SECONDS)
		snprintf(text, ADDRESS_TEXT_SIZE, "%" PRIu64 ".%03u", field->milliseconds / 1000,
			 (unsigned)(field->milliseconds % 1000));
	else if (field->type == LOG_FIELD_ADDRESS)
		address_format(field->address, text);
	return text;
}

static void write_field(struct writer *writer, const struct log_field *field)
{
	char text[ADDRESS_TEXT_SIZE];

	write_text(writer, " ");
	write_text(writer, field->key);
	write_text(writer, "=");
	switch (field->type) {
	case LOG_FIELD_NONE:
		break;
	case LOG_FIELD_TEXT: {
		const uint8_t *bytes = (const uint8_t *)field->text;
		size_t length = strlen(field->text);

		write_value(writer, bytes, length, needs_quotes(bytes, length));
		break;
	}
	case LOG_FIELD_BYTES:
		write_value(writer, field->bytes, field->length, true);
		break;
	case LOG_FIELD_NUMBER:
	case LOG_FIELD_SECONDS:
	case LOG_FIELD_ADDRESS:
		write_text(writer, log_line_number(field, text));
		break;
	}
}

void log_line_time(char text[static LOG_TIME_SIZE])
{
	struct timespec now;
	struct tm utc;
	size_t length;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	length = strftime(text, LOG_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(text + length, LOG_TIME_SIZE - length, ".%03uZ",
		 (unsigned)(now.tv_nsec / 1000000) % 1000);
}

const char *log_level_name(enum log_level level)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};

	return names[level];
}

int log_line_priority(enum log_level level)
{
	static const int priorities[] = {3, 4, 6, 7};

	return priorities[level];
}

size_t log_line_text(char line[static LOG_LINE_SIZE], const struct log_line_head *head,
		     const struct log_field *fields, size_t count)
{
	struct writer writer = {.text = line, .size = LOG_LINE_SIZE};
	char time[LOG_TIME_SIZE], start[LOG_TIME_SIZE + 16] = "";

	switch (head->start) {
	case LOG_LINE_TIME:
		log_line_time(time);
		snprintf(start, sizeof(start), "%s %s ", time, log_level_name(head->level));
		break;
	case LOG_LINE_PRIORITY:
		snprintf(start, sizeof(start), "<%d>", log_line_priority(head->level));
		break;
	case LOG_LINE_BARE:
		break;
	}
	write_text(&writer, start);
	write_text(&writer, head->subsystem);
	write_text(&writer, ": ");
	write_text(&writer, head->event);
	for (size_t i = 0; i < count; i++) {
		if (fields[i].type != LOG_FIELD_NONE)
			write_field(&writer, &fields[i]);
	}
	line[writer.length] = '\n';
	return writer.length + 1;
}
