/* SPDX-License-Identifier: MIT */
/* Asking the daemon one thing, and reading what it answers. */
#ifndef MMPROXY_CTL_ANSWER_H
#define MMPROXY_CTL_ANSWER_H

#include <jansson.h>
#include <stdint.h>

#include "ctl/connection.h"
#include "ctl/lines.h"

struct options;

/* Prints "mmproxyctl: ..." on standard error, made printable. printf-like. */
void answer_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Reads a line of the daemon's. Returns the whole reply, for the caller to release; NULL when it is
 * none, or says no: then `wrong` gets a line that says why, and every further line of the reply.
 */
json_t *answer_read(const char *line, struct lines *wrong);

/*
 * Asks, and returns the result for the caller to release; NULL when there is none: then standard
 * error says why. Workers that did not answer the daemon are told of on standard error.
 */
json_t *answer_get(const struct options *options, const char *request);

/* One line on standard output, pure ASCII. Returns 0, or -1 when it could not be written. */
int answer_print_json(const json_t *result);

typedef void answer_printer(const json_t *result, const struct options *options);

/* Asks and prints, by `print` or with --json as it is. Returns the exit status. */
int answer_show(const struct options *options, const char *request, answer_printer *print);

/* Fields; what is missing, or of another type, reads as "", 0, NULL and false. */
const char *answer_text(const json_t *object, const char *key);
double answer_number(const json_t *object, const char *key);
uint64_t answer_count(const json_t *object, const char *key);
const json_t *answer_array(const json_t *object, const char *key); /* NULL has no elements */

#endif
