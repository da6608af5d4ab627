/* SPDX-License-Identifier: MIT */
/*
 * mmproxyctl top: one connection, four requests an interval, and meanwhile a look at the keys. A
 * daemon that takes its time holds up no key, and a terminal that takes its time is not asked.
 */
#include "ctl/top.h"

#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/answer.h"
#include "ctl/clock.h"
#include "ctl/connection.h"
#include "ctl/lines.h"
#include "ctl/options.h"
#include "ctl/top_sample.h"
#include "ctl/top_view.h"
#ifdef HAVE_NCURSES
#include "ctl/top_screen.h"
#endif

/* Seconds without an answer after which `top` gives up. */
#define TOP_PATIENCE 30

struct top {
	const struct options *options;
	struct connection connection;
	bool screen; /* else plain lines */
	struct top_sample before;
	struct top_sample shown;
	struct top_sample coming; /* parts arrive in their order */
	size_t arrived;           /* of `coming`; TOP_PART_COUNT: none is awaited */
	double asked;             /* when */
	double next;              /* when to ask again */
	size_t blocks;            /* plain ones that were printed */
};

static volatile sig_atomic_t signal_received;

static void take_signal(int number)
{
	signal_received = number;
}

bool top_has_screen(void)
{
#ifdef HAVE_NCURSES
	return true;
#else
	return false;
#endif
}

#ifdef HAVE_NCURSES
static bool begin_screen(void)
{
	if (screen_begin())
		return true;
	answer_complain("top: this terminal (TERM) cannot be drawn on; plain output instead");
	return false;
}

static void end_screen(const struct top *top)
{
	if (top->screen)
		screen_end();
}

static void show_screen(const struct top *top)
{
	struct lines lines = {0};

	if (top->shown.parts[0] == NULL)
		lines_add(&lines, LINE_TITLE, "mmproxy  waiting for the first answer");
	else
		top_view(top->before.parts[0] != NULL ? &top->before : NULL, &top->shown,
			 screen_height(), &lines);
	screen_draw(&lines);
	lines_finish(&lines);
}

/* Returns whether to quit. */
static bool take_keys(const struct top *top)
{
	enum screen_key key;

	while ((key = screen_key()) != SCREEN_NO_KEY) {
		if (key == SCREEN_QUIT)
			return true;
		show_screen(top);
	}
	return false;
}
#else
static bool begin_screen(void)
{
	return false;
}

static void end_screen(const struct top *top)
{
	(void)top;
}

static void show_screen(const struct top *top)
{
	(void)top;
}

static bool take_keys(const struct top *top)
{
	(void)top;
	return false;
}
#endif

static void print_block(struct top *top)
{
	struct lines lines = {0};

	/* The first sample has no rates. */
	if (top->before.parts[0] == NULL)
		return;
	if (top->blocks++ > 0)
		putchar('\n');
	top_view(&top->before, &top->shown, 0, &lines);
	lines_print(&lines, lines_terminal_width(), stdout);
	fflush(stdout);
	lines_finish(&lines);
}

/* A long interval, or a stop. mmproxy lets go of whoever has asked nothing for a minute. */
static bool has_paused(const struct top *top)
{
	return clock_now() - top->asked > TOP_PATIENCE;
}

static int ask(struct top *top)
{
	if (has_paused(top)) {
		connection_close(&top->connection);
		if (connection_open(&top->connection, top->options->socket) < 0)
			return -1;
	}
	top->asked = clock_now();
	top->arrived = 0;
	for (size_t i = 0; i < TOP_PART_COUNT; i++) {
		if (connection_send(&top->connection, top_sample_request((enum top_part)i)) < 0)
			return -1;
	}
	return 0;
}

static bool is_awaiting(const struct top *top)
{
	return top->arrived < TOP_PART_COUNT;
}

/* The parts are all there. */
static void take_sample(struct top *top)
{
	top->coming.time = clock_now();
	top_sample_finish(&top->before);
	top->before = top->shown;
	top->shown = top->coming;
	memset(&top->coming, 0, sizeof(top->coming));
	top->next = top->asked + top->options->interval;
	if (top->screen)
		show_screen(top);
	else
		print_block(top);
}

/* Returns -1 when the daemon says no, or nonsense, with `wrong` filled. */
static int take_line(struct top *top, const char *line, struct lines *wrong)
{
	json_t *reply, *result;

	if (!is_awaiting(top))
		return 0; /* nobody asked */
	reply = answer_read(line, wrong);
	if (reply == NULL)
		return -1;
	result = json_incref(json_object_get(reply, "result"));
	json_decref(reply);
	top->coming.parts[top->arrived++] = result != NULL ? result : json_object();
	if (!is_awaiting(top))
		take_sample(top);
	return 0;
}

static int take_answers(struct top *top, struct lines *wrong)
{
	int received = connection_receive(&top->connection);
	char *line;

	if (received == 0 && !is_awaiting(top) && has_paused(top)) {
		connection_close(&top->connection); /* ask() opens another one */
		return 0;
	}
	if (received <= 0)
		return -1;
	while ((line = connection_take_line(&top->connection)) != NULL) {
		if (take_line(top, line, wrong) < 0)
			return -1;
	}
	return 0;
}

/* Asks when it is time. Returns the seconds until there is something to do, or -1. */
static double keep_time(struct top *top)
{
	double time = clock_now(), until;

	if (!is_awaiting(top) && time >= top->next && ask(top) < 0)
		return -1;
	until = is_awaiting(top) ? top->asked + TOP_PATIENCE : top->next;
	return until > time ? until - time : 0;
}

/* To be asked when nothing was there to be read: an answer may have come while top was stopped. */
static bool waits_in_vain(struct top *top)
{
	if (!is_awaiting(top) || !has_paused(top))
		return false;
	snprintf(top->connection.wrong, sizeof(top->connection.wrong),
		 "top: mmproxy did not answer within %d s", TOP_PATIENCE);
	return true;
}

enum end { END_NONE, END_WANTED, END_TROUBLE };

/* One wait, and what came of it. `mask` is the signals that are let in while it waits. */
static enum end wait_once(struct top *top, const sigset_t *mask, struct lines *wrong)
{
	bool keys = top->screen && isatty(STDIN_FILENO);
	struct pollfd polled[] = {
		{.events = POLLIN},
		{.fd = keys ? STDIN_FILENO : -1, .events = POLLIN},
	};
	double seconds = keep_time(top);
	struct timespec timeout;
	int ready;

	if (seconds < 0)
		return END_TROUBLE;
	polled[0].fd = top->connection.fd; /* which may be another one now */
	timeout.tv_sec = (time_t)seconds;
	timeout.tv_nsec = (long)((seconds - floor(seconds)) * 1e9);
	ready = ppoll(polled, 2, &timeout, mask);
	if (ready < 0 && errno != EINTR) {
		snprintf(top->connection.wrong, sizeof(top->connection.wrong), "top: %s",
			 strerror(errno));
		return END_TROUBLE;
	}
	if (signal_received != 0 || (polled[1].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
		return END_WANTED;
	/* Also after a signal: it may be the news of another size. */
	if (top->screen && take_keys(top))
		return END_WANTED;
	if (polled[0].revents != 0 ? take_answers(top, wrong) < 0
				   : ready == 0 && waits_in_vain(top))
		return END_TROUBLE;
	return top->options->once && top->blocks > 0 ? END_WANTED : END_NONE;
}

/* Signals come in only while it waits, so that none falls between a look and the wait. */
static void catch_signals(sigset_t *mask)
{
	static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction action = {.sa_handler = take_signal};
	sigset_t held;

	sigemptyset(&held);
	sigaddset(&held, SIGWINCH); /* whose handler is ncurses' own */
	for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++) {
		sigaction(ending[i], &action, NULL);
		sigaddset(&held, ending[i]);
	}
	sigprocmask(SIG_BLOCK, &held, mask);
}

/* What is due after a signal once the terminal is as it was: its sender sees that it worked. */
static void die_of_signal(const sigset_t *mask)
{
	signal(signal_received, SIG_DFL);
	raise(signal_received);
	sigprocmask(SIG_SETMASK, mask, NULL);
}

static enum end run(struct top *top, struct lines *wrong)
{
	enum end end = END_NONE;
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	if (!top->options->once && isatty(STDOUT_FILENO) && top_has_screen()) {
		catch_signals(&mask);
		top->screen = begin_screen();
	}
	if (top->screen)
		show_screen(top);
	while (end == END_NONE)
		end = wait_once(top, &mask, wrong);
	end_screen(top);
	if (signal_received != 0)
		die_of_signal(&mask);
	return end;
}

int top_run(const struct options *options)
{
	struct top top = {.options = options, .arrived = TOP_PART_COUNT};
	enum end end = END_TROUBLE;
	struct lines wrong = {0};

	top.asked = top.next = clock_now();
	if (connection_open(&top.connection, options->socket) == 0)
		end = run(&top, &wrong);
	if (end == END_TROUBLE && wrong.count > 0)
		lines_print(&wrong, 0, stderr);
	else if (end == END_TROUBLE)
		answer_complain("%s", top.connection.wrong);
	lines_finish(&wrong);
	connection_close(&top.connection);
	top_sample_finish(&top.before);
	top_sample_finish(&top.shown);
	top_sample_finish(&top.coming);
	return end == END_WANTED ? EXIT_SUCCESS : EXIT_FAILURE;
}
