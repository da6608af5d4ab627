/* SPDX-License-Identifier: MIT */
/* Requests understood. What a line says of a word of the request is printable ASCII, like it. */
#include "daemon/control/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* What limit= is without a word of it, and at most. */
#define SESSIONS_LIMIT     100
#define SESSIONS_LIMIT_MAX 10000
#define CLIENTS_LIMIT      20
#define CLIENTS_LIMIT_MAX  1000

/* Seconds: a hundred years, so that milliseconds of it are no trouble. */
#define OLDER_MAX UINT64_C(3153600000)

__attribute__((format(printf, 2, 3))) static int mistake(char why[static CONTROL_WHY_SIZE],
							 const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, CONTROL_WHY_SIZE, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

int control_request_parse(struct control_request *request, const char *line, size_t length,
			  char why[static CONTROL_WHY_SIZE])
{
	bool in_word = false;

	request->count = 0;
	for (size_t i = 0; i < length; i++) {
		if (is_blank(line[i])) {
			request->text[i] = '\0';
			in_word = false;
			continue;
		}
		if (line[i] < '!' || line[i] > '~')
			return mistake(why,
				       "byte %zu of the request is not printable ASCII; write "
				       "a command, such as `status`",
				       i + 1);
		request->text[i] = line[i];
		if (!in_word && request->count == CONTROL_WORDS_MAX)
			return mistake(why, "the request has more than %d words",
				       CONTROL_WORDS_MAX);
		if (!in_word)
			request->words[request->count++] = request->text + i;
		in_word = true;
	}
	request->text[length] = '\0';
	if (request->count == 0)
		return mistake(why, "the request is empty; `help` lists the commands");
	return 0;
}

int control_request_expect_nothing(const struct control_request *request,
				   char why[static CONTROL_WHY_SIZE])
{
	if (request->count == 1)
		return 0;
	return mistake(why, "%.20s: takes no arguments, and \"%.80s\" is one", request->words[0],
		       request->words[1]);
}

/* A decimal number up to `most`, without sign. */
static bool read_number(const char *text, uint64_t most, uint64_t *number)
{
	*number = 0;
	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		unsigned digit = (unsigned)(*text - '0');

		if (*text < '0' || *text > '9' || *number > (most - digit) / 10)
			return false;
		*number = *number * 10 + digit;
	}
	return true;
}

/* The text behind "name=" when the word is that; else NULL. */
static const char *value_of(const char *word, const char *name)
{
	size_t length = strlen(name);

	return strncmp(word, name, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

static int read_limit(const char *command, const char *value, unsigned most, unsigned *limit,
		      char why[static CONTROL_WHY_SIZE])
{
	uint64_t number;

	if (!read_number(value, most, &number) || number == 0)
		return mistake(why, "%s: \"%.80s\" is no limit; write a number from 1 to %u",
			       command, value, most);
	*limit = (unsigned)number;
	return 0;
}

static int read_client(const char *value, struct prefix *prefix, char why[static CONTROL_WHY_SIZE])
{
	if (prefix_parse(value, prefix) == 0)
		return 0;
	return mistake(why,
		       "sessions: \"%.80s\" is no address or prefix; write client=192.0.2.1 or "
		       "client=2001:db8::/32",
		       value);
}

static int read_listener(const char *value, char listener[static SESSION_VIEW_LISTENER_SIZE],
			 char why[static CONTROL_WHY_SIZE])
{
	size_t length = strlen(value);

	if (length == 0 || length >= SESSION_VIEW_LISTENER_SIZE)
		return mistake(why,
			       "sessions: \"%.80s\" is no listener's name; `listeners` has them",
			       value);
	memcpy(listener, value, length + 1);
	return 0;
}

static int read_older(const char *value, uint64_t *older, char why[static CONTROL_WHY_SIZE])
{
	uint64_t seconds;

	if (!read_number(value, OLDER_MAX, &seconds))
		return mistake(why,
			       "sessions: \"%.80s\" is no age; write whole seconds, such as "
			       "older=60",
			       value);
	*older = seconds * 1000;
	return 0;
}

int control_request_sessions(const struct control_request *request, struct session_filter *filter,
			     unsigned *limit, char why[static CONTROL_WHY_SIZE])
{
	int error = 0;

	*filter = (struct session_filter){0};
	*limit = SESSIONS_LIMIT;
	for (unsigned i = 1; i < request->count && error == 0; i++) {
		const char *word = request->words[i], *value;

		if ((value = value_of(word, "client")) != NULL)
			error = read_client(value, &filter->client, why);
		else if ((value = value_of(word, "listener")) != NULL)
			error = read_listener(value, filter->listener, why);
		else if ((value = value_of(word, "older")) != NULL)
			error = read_older(value, &filter->older, why);
		else if ((value = value_of(word, "limit")) != NULL)
			error = read_limit("sessions", value, SESSIONS_LIMIT_MAX, limit, why);
		else
			error = mistake(why,
					"sessions: does not know \"%.80s\"; it takes client=, "
					"listener=, older= and limit=",
					word);
	}
	return error;
}

int control_request_clients(const struct control_request *request, unsigned *limit,
			    char why[static CONTROL_WHY_SIZE])
{
	int error = 0;

	*limit = CLIENTS_LIMIT;
	for (unsigned i = 1; i < request->count && error == 0; i++) {
		const char *value = value_of(request->words[i], "limit");

		if (value == NULL)
			error = mistake(why, "clients: does not know \"%.80s\"; it takes limit=",
					request->words[i]);
		else
			error = read_limit("clients", value, CLIENTS_LIMIT_MAX, limit, why);
	}
	return error;
}

int control_request_kill(const struct control_request *request, uint64_t *id,
			 char why[static CONTROL_WHY_SIZE])
{
	if (request->count != 2)
		return mistake(why, "kill: takes the number of one session; `sessions` has them");
	if (!read_number(request->words[1], UINT64_MAX, id) || *id == 0)
		return mistake(why, "kill: \"%.80s\" is no session's number; `sessions` has them",
			       request->words[1]);
	return 0;
}

int control_request_log_level(const struct control_request *request, bool *given,
			      enum log_level *level, char why[static CONTROL_WHY_SIZE])
{
	static const char *const names[] = {
		[LOG_LEVEL_ERROR] = "error",
		[LOG_LEVEL_WARNING] = "warning",
		[LOG_LEVEL_INFO] = "info",
		[LOG_LEVEL_DEBUG] = "debug",
	};

	*given = request->count > 1;
	if (!*given)
		return 0;
	for (enum log_level i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG && request->count == 2; i++) {
		if (strcmp(request->words[1], names[i]) == 0) {
			*level = i;
			return 0;
		}
	}
	return mistake(why,
		       "log-level: \"%.80s\" is no level; write one of error, warning, info, debug",
		       request->words[request->count - 1]);
}
