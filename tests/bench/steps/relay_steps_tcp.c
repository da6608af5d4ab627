/* SPDX-License-Identifier: MIT */
/* The steps of TCP: a session from its first byte to its last, and what an open one moves. */
#include <sys/epoll.h>

#include "os/log.h"
#include "relay_steps.h"
#include "step_relay.h"

#define REQUEST "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
#define ANSWER  "HTTP/1.1 204 No Content\r\n\r\n"
#define MESSAGE "hello\n"

/* More than it takes until a stream is spliced. */
#define FULL_READS 8

/* 203.0.113.9:40000 to 198.51.100.1:443. */
#define HEADER_V1 "PROXY TCP4 203.0.113.9 198.51.100.1 40000 443\r\n"
#define HEADER_V2                                                                                  \
	"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"                                                       \
	"\xcb\0\x71\x09\xc6\x33\x64\x01\x9c\x40\x01\xbb"

/* Bytes of a text, without its NUL. */
#define LENGTH(text) (sizeof(text) - 1)

static const char opening_v1[] = HEADER_V1 REQUEST;
static const char opening_v2[] = HEADER_V2 REQUEST;

/* A connection is accepted, has its header with the first bytes, is dialled, and these are sent. */
static void open_session(struct step_relay *on, const char *opening, size_t length)
{
	null_connect();
	null_receive(NULL_CLIENT, opening, length);
	step_relay_report(on, NULL_LISTENER, EPOLLIN);
}

static void answer(struct step_relay *on, const char *bytes, size_t length)
{
	null_receive(NULL_UPSTREAM, bytes, length);
	step_relay_report(on, NULL_UPSTREAM, EPOLLIN);
}

/* The client has finished, and so has the upstream. The session is freed. */
static void end_session(struct step_relay *on)
{
	null_finish(NULL_CLIENT);
	step_relay_report(on, NULL_CLIENT, EPOLLIN | EPOLLRDHUP);
	null_finish(NULL_UPSTREAM);
	step_relay_report(on, NULL_UPSTREAM, EPOLLIN | EPOLLRDHUP | EPOLLHUP);
}

static void connect_v1(struct step_relay *on)
{
	open_session(on, opening_v1, LENGTH(opening_v1));
	answer(on, ANSWER, LENGTH(ANSWER));
	end_session(on);
}

static void connect_v2(struct step_relay *on)
{
	open_session(on, opening_v2, LENGTH(opening_v2));
	answer(on, ANSWER, LENGTH(ANSWER));
	end_session(on);
}

static void prepare_plugins(struct step_relay *on)
{
	step_relay_use_plugins(on);
	step_relay_listen_tcp(on);
}

/* The level that is the default: a line at the end of each session. */
static void prepare_log(struct step_relay *on)
{
	log_set_level(LOG_LEVEL_INFO);
	step_relay_listen_tcp(on);
}

static void prepare_session(struct step_relay *on)
{
	step_relay_listen_tcp(on);
	open_session(on, opening_v2, LENGTH(opening_v2));
}

static void message(struct step_relay *on)
{
	null_receive(NULL_CLIENT, MESSAGE, LENGTH(MESSAGE));
	step_relay_report(on, NULL_CLIENT, EPOLLIN);
	answer(on, MESSAGE, LENGTH(MESSAGE));
}

/* As much as one read takes. */
static void stream(struct step_relay *on)
{
	static const uint8_t full[RELAY_HOT_SIZE];

	null_receive(NULL_CLIENT, full, sizeof(full));
	step_relay_report(on, NULL_CLIENT, EPOLLIN);
}

static void prepare_stream(struct step_relay *on)
{
	prepare_session(on);
	for (unsigned i = 0; i < FULL_READS; i++)
		stream(on);
}

#define CLOSED_IN_ORDER ((enum counter)(COUNTER_FIRST_CLOSED + CLOSE_FINISHED))

static const struct step_effect connect_effects[] = {
	{CLOSED_IN_ORDER, 1},
	{COUNTER_BYTES_FROM_CLIENT, LENGTH(REQUEST)},
	{COUNTER_BYTES_FROM_UPSTREAM, LENGTH(ANSWER)},
	{0},
};

static const struct step_effect message_effects[] = {
	{COUNTER_BYTES_FROM_CLIENT, LENGTH(MESSAGE)},
	{COUNTER_BYTES_FROM_UPSTREAM, LENGTH(MESSAGE)},
	{0},
};

static const struct step_effect stream_effects[] = {
	{COUNTER_BYTES_FROM_CLIENT, RELAY_HOT_SIZE},
	{0},
};

const struct step tcp_steps[] = {
	{"connect-v1", step_relay_listen_tcp, connect_v1, connect_effects},
	{"connect-v2", step_relay_listen_tcp, connect_v2, connect_effects},
	{"connect-v2-plugins", prepare_plugins, connect_v2, connect_effects},
	{"connect-v2-logged", prepare_log, connect_v2, connect_effects},
	{"message", prepare_session, message, message_effects},
	{"stream", prepare_stream, stream, stream_effects},
	{0},
};
