/* SPDX-License-Identifier: MIT */
/* The formats: each prints a list of fields into a buffer, as one record for the queue. */
#ifndef ACCESSLOG_LINE_H
#define ACCESSLOG_LINE_H

#include <assert.h>
#include <stddef.h>

#include "field.h"
#include "record.h"

/*
 * Room for the longest record there can be, which is the journal's: every text twice, at its
 * longest, with key and quotes. JSON has each once, but five characters for a byte.
 */
#define LINE_SIZE 65536
static_assert(LINE_SIZE > 2 * (RECORD_TLVS_MOST + 5) * (FIELD_TEXT_SIZE + 64) + 4096,
	      "each record fits into a line");

/*
 * Writes a record and returns its length; there is no NUL. The fields are those of record_fill().
 * Returns 0 when it cannot be written whole: too little room, or no memory.
 */
typedef size_t line_format(char *line, size_t size, const struct field *fields, size_t count);

/* key=value key="value" and a line end. */
line_format line_logfmt;

/* A JSON object and a line end. NULL: this was built without jansson. */
line_format *line_json(void);

#endif
