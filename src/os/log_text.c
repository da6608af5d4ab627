/* SPDX-License-Identifier: MIT */
/* Log lines as text: `time level subsystem: event key=value ...`. */
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "base/decimal.h"
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
		uint8_t byte = bytes[i];

		if (byte <= ' ' || byte > '~' || byte == '"' || byte == '\\' || byte == '=')
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
	size_t length = 0;

	if (field->type == LOG_FIELD_ADDRESS)
		return address_format(field->address, text);
	if (field->type == LOG_FIELD_NUMBER) {
		length = decimal_write(field->number, text);
	} else if (field->type == LOG_FIELD_SECONDS) {
		length = decimal_write(field->milliseconds / 1000, text);
		text[length++] = '.';
		decimal_write_padded(field->milliseconds, text + length, 3);
		length += 3;
	}
	text[length] = '\0';
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
	/* Many lines are of one second: only their milliseconds differ. */
	static _Thread_local struct {
		time_t second;
		size_t length; /* 0: none yet */
		char text[LOG_TIME_SIZE];
	} last;
	struct timespec now;
	struct tm utc;

	clock_gettime(CLOCK_REALTIME, &now);
	if (last.length == 0 || last.second != now.tv_sec) {
		gmtime_r(&now.tv_sec, &utc);
		last.length = strftime(last.text, LOG_TIME_SIZE, "%Y-%m-%dT%H:%M:%S.", &utc);
		last.second = now.tv_sec;
	}
	memcpy(text, last.text, last.length);
	decimal_write_padded((uint64_t)now.tv_nsec / 1000000, text + last.length, 3);
	memcpy(text + last.length + 3, "Z", 2);
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

static void write_start(struct writer *writer, const struct log_line_head *head)
{
	char text[LOG_TIME_SIZE] = {'<', (char)('0' + log_line_priority(head->level)), '>'};

	switch (head->start) {
	case LOG_LINE_TIME:
		log_line_time(text);
		write_text(writer, text);
		write_text(writer, " ");
		write_text(writer, log_level_name(head->level));
		write_text(writer, " ");
		break;
	case LOG_LINE_PRIORITY:
		write_text(writer, text);
		break;
	case LOG_LINE_BARE:
		break;
	}
}

size_t log_line_text(char line[static LOG_LINE_SIZE], const struct log_line_head *head,
		     const struct log_field *fields, size_t count)
{
	struct writer writer = {.text = line, .size = LOG_LINE_SIZE};
	write_start(&writer, head);
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
