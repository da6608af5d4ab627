/* SPDX-License-Identifier: MIT */
/* Asking the daemon one thing. The protocol is in doc/control.md. */
#include "ctl/answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/lines.h"
#include "ctl/options.h"

/* Seconds. A worker that is stuck costs the daemon 2; a reload may have to read large lists. */
#define ANSWER_PATIENCE 60

void answer_complain(const char *format, ...)
{
	struct lines lines = {0};
	va_list arguments;
	char text[4096];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	lines_add(&lines, LINE_PLAIN, "mmproxyctl: %s", text);
	lines_print(&lines, 0, stderr);
	lines_finish(&lines);
}

/* What the daemon refused, and each of the mistakes that it found. */
static void add_refusal(struct lines *wrong, const json_t *reply)
{
	const char *error = answer_text(reply, "error");
	const json_t *line;
	size_t i;

	lines_add(wrong, LINE_PLAIN, "mmproxyctl: %s",
		  error[0] != '\0' ? error : "mmproxy refuses, and does not say why");
	json_array_foreach (answer_array(reply, "lines"), i, line) {
		if (json_is_string(line))
			lines_add(wrong, LINE_PLAIN, "%s", json_string_value(line));
	}
}

json_t *answer_read(const char *line, struct lines *wrong)
{
	json_error_t error;
	json_t *reply = json_loads(line, JSON_REJECT_DUPLICATES, &error);

	if (json_is_boolean(json_object_get(reply, "ok"))) {
		if (json_is_true(json_object_get(reply, "ok")))
			return reply;
		add_refusal(wrong, reply);
	} else {
		lines_add(wrong, LINE_PLAIN,
			  "mmproxyctl: the answer is not what mmproxy writes: %.80s", line);
	}
	json_decref(reply);
	return NULL;
}

static void complain_unanswered(const char *request, const json_t *object)
{
	const char *what = strcmp(request, "reload") == 0
				   ? "it takes what is new as soon as it goes on"
				   : "its sessions and figures are missing";
	const json_t *worker;
	size_t i;

	json_array_foreach (answer_array(object, "unanswered"), i, worker) {
		answer_complain("worker %lld did not answer; %s",
				(long long)json_integer_value(worker), what);
	}
}

/* Asks on a connection that is open. NULL: `wrong` has lines, or the connection's own has one. */
static json_t *get(struct connection *connection, const char *request, struct lines *wrong)
{
	json_t *reply, *result;
	bool ended;
	char *line;

	if (connection_send(connection, request) < 0)
		return NULL;
	line = connection_wait_line(connection, ANSWER_PATIENCE, &ended);
	reply = line != NULL ? answer_read(line, wrong) : NULL;
	if (reply == NULL)
		return NULL;
	result = json_incref(json_object_get(reply, "result"));
	json_decref(reply);
	if (json_is_object(result)) {
		complain_unanswered(request, result);
		return result;
	}
	json_decref(result);
	lines_add(wrong, LINE_PLAIN,
		  "mmproxyctl: the answer has no result; is this mmproxy of another version?");
	return NULL;
}

json_t *answer_get(const struct options *options, const char *request)
{
	struct connection connection;
	struct lines wrong = {0};
	json_t *result = NULL;

	if (connection_open(&connection, options->socket) == 0)
		result = get(&connection, request, &wrong);
	if (result == NULL && wrong.count == 0)
		answer_complain("%s", connection.wrong);
	lines_print(&wrong, 0, stderr);
	lines_finish(&wrong);
	connection_close(&connection);
	return result;
}

int answer_print_json(const json_t *result)
{
	char *text = json_dumps(result, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));
	int status = text != NULL && puts(text) >= 0 && fflush(stdout) == 0 ? 0 : -1;

	free(text);
	return status;
}

int answer_show(const struct options *options, const char *request, answer_printer *print)
{
	json_t *result = answer_get(options, request);

	if (result == NULL)
		return EXIT_FAILURE;
	if (options->json)
		answer_print_json(result);
	else
		print(result, options);
	json_decref(result);
	return EXIT_SUCCESS;
}

const char *answer_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

double answer_number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

uint64_t answer_count(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value > 0 ? (uint64_t)value : 0;
}

const json_t *answer_array(const json_t *object, const char *key)
{
	return json_object_get(object, key);
}
