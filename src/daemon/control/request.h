/* SPDX-License-Identifier: MIT */
/*
 * What a client of the control socket asks for: a line, cut into words and understood. Pure: bytes
 * in, structs out, and for every mistake one line that says what would be right.
 */
#ifndef MMPROXY_DAEMON_CONTROL_REQUEST_H
#define MMPROXY_DAEMON_CONTROL_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "os/log.h"
#include "relay/session_view.h"

/* Bytes of a line, its newline not among them. */
#define CONTROL_LINE_MAX 1024

/* Words of a request: more are a mistake in every command. */
#define CONTROL_WORDS_MAX 16

/* Room for a sentence with a word of the request in it. */
#define CONTROL_WHY_SIZE 256

struct control_request {
	unsigned count;                       /* of words, at least 1: the first is the command */
	const char *words[CONTROL_WORDS_MAX]; /* in `text` */
	char text[CONTROL_LINE_MAX + 1];
};

/* All functions here: 0, or -EINVAL after a line in `why`. */

/* `length` is at most CONTROL_LINE_MAX; there is no newline in the line. */
int control_request_parse(struct control_request *request, const char *line, size_t length,
			  char why[static CONTROL_WHY_SIZE]);

/* For commands that take nothing. */
int control_request_expect_nothing(const struct control_request *request,
				   char why[static CONTROL_WHY_SIZE]);

/* sessions [client=PREFIX] [listener=NAME] [older=SECONDS] [limit=N] */
int control_request_sessions(const struct control_request *request, struct session_filter *filter,
			     unsigned *limit, char why[static CONTROL_WHY_SIZE]);

/* clients [limit=N] */
int control_request_clients(const struct control_request *request, unsigned *limit,
			    char why[static CONTROL_WHY_SIZE]);

/* kill ID */
int control_request_kill(const struct control_request *request, uint64_t *id,
			 char why[static CONTROL_WHY_SIZE]);

/* log-level [LEVEL]; *given says whether one was. */
int control_request_log_level(const struct control_request *request, bool *given,
			      enum log_level *level, char why[static CONTROL_WHY_SIZE]);

#endif
