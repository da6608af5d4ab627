/* SPDX-License-Identifier: MIT */
/* The format json: an object a line, printed by jansson. Its texts are UTF-8 whatever was sent. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "line.h"

#ifdef HAVE_JANSSON
#include <jansson.h>

/* What is a number or a truth for a program that reads the line is one in JSON. */
static json_t *value_of(const struct field *field)
{
	char text[FIELD_TEXT_SIZE];
	size_t length;

	switch (field->type) {
	case FIELD_NUMBER:
		return json_integer((json_int_t)field->number);
	case FIELD_SECONDS:
		return json_real((double)field->milliseconds / 1000);
	case FIELD_FLAG:
		return json_boolean(field->flag);
	case FIELD_BYTES:
	case FIELD_TIME:
	case FIELD_ADDRESS:
		break;
	}
	length = field_text(field, FIELD_UTF8, text);
	return json_stringn(text, length);
}

static json_t *object_of(const struct field *fields, size_t count)
{
	json_t *object = json_object();

	for (size_t i = 0; object != NULL && i < count; i++) {
		if (json_object_set_new(object, fields[i].key, value_of(&fields[i])) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static size_t print(char *line, size_t size, const struct field *fields, size_t count)
{
	json_t *object = object_of(fields, count);
	size_t length;

	if (object == NULL)
		return 0;
	/* Twelve digits have the milliseconds of thirty years exactly. */
	length = json_dumpb(object, line, size, JSON_COMPACT | JSON_REAL_PRECISION(12));
	json_decref(object);
	/* What it returns is what it needs; nothing of a longer one is of use. */
	if (length == 0 || length >= size)
		return 0;
	line[length] = '\n';
	return length + 1;
}

line_format *line_json(void)
{
	return print;
}

#else

line_format *line_json(void)
{
	return NULL;
}

#endif
