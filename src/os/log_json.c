/* SPDX-License-Identifier: MIT */
/* Log lines as JSON objects, one a line, printed by jansson. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "os/log_line.h"

/* JSON text is UTF-8, a peer's bytes need not be: they are escaped as in the text format. */
static json_t *bytes_to_json(const uint8_t *bytes, size_t length)
{
	char text[1024];

	escape_bytes(text, sizeof(text), bytes, length);
	return json_string(text);
}

static json_t *field_to_json(const struct log_field *field)
{
	char text[ADDRESS_TEXT_SIZE];

	switch (field->type) {
	case LOG_FIELD_TEXT: {
		json_t *string = json_string(field->text);

		if (string != NULL)
			return string;
		return bytes_to_json((const uint8_t *)field->text, strlen(field->text));
	}
	case LOG_FIELD_BYTES:
		return bytes_to_json(field->bytes, field->length);
	case LOG_FIELD_NUMBER:
		return json_integer((json_int_t)field->number);
	case LOG_FIELD_SECONDS:
		return json_real((double)field->milliseconds / 1000);
	case LOG_FIELD_ADDRESS:
		return json_string(address_format(field->address, text));
	case LOG_FIELD_NONE:
		break;
	}
	return NULL;
}

size_t log_line_json(char line[static LOG_LINE_SIZE], const struct log_line_head *head,
		     const struct log_field *fields, size_t count)
{
	char time[LOG_TIME_SIZE], prefix[8] = "";
	size_t length = 0, prefix_length;
	json_t *object = json_object();

	if (object == NULL)
		return 0;
	log_line_time(time);
	json_object_set_new(object, "time", json_string(time));
	json_object_set_new(object, "level", json_string(log_level_name(head->level)));
	json_object_set_new(object, "subsystem", json_string(head->subsystem));
	json_object_set_new(object, "event", json_string(head->event));
	for (size_t i = 0; i < count; i++) {
		if (fields[i].type != LOG_FIELD_NONE)
			json_object_set_new(object, fields[i].key, field_to_json(&fields[i]));
	}
	if (head->start == LOG_LINE_PRIORITY)
		snprintf(prefix, sizeof(prefix), "<%d>", log_line_priority(head->level));
	prefix_length = strlen(prefix);
	memcpy(line, prefix, prefix_length);
	length = json_dumpb(object, line + prefix_length, LOG_LINE_SIZE - prefix_length - 1,
			    JSON_COMPACT | JSON_REAL_PRECISION(12));
	json_decref(object);
	/* Half an object would be worse than none. */
	if (length == 0 || length > LOG_LINE_SIZE - prefix_length - 1)
		return 0;
	length += prefix_length;
	line[length] = '\n';
	return length + 1;
}
