/* SPDX-License-Identifier: MIT */
/* The event loop's rounds: wait, events, timers, deferred work. */
#include "os/loop.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "os/sys.h"

/* Events taken from the kernel at once: enough to spare calls under load, small enough that timers
 * and new connections are not kept waiting. */
#define EVENTS_PER_ROUND 128

static uint64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* To be told once more of what is readable all the time. 0 or -errno. */
static int line_up(struct loop *loop, int operation)
{
	struct epoll_event wanted = {.events = EPOLLIN | EPOLLET};

	return epoll_ctl(loop->epoll, operation, loop->last_in_line, &wanted) < 0 ? -errno : 0;
}

int loop_init(struct loop *loop, const struct sys *sys)
{
	int error;

	*loop = (struct loop){.sys = sys, .last_in_line = -1, .now = monotonic_ms()};
	loop->heard = loop->now;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0)
		return -errno;
	loop->last_in_line = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
	error = loop->last_in_line < 0 ? -errno : line_up(loop, EPOLL_CTL_ADD);
	if (error < 0) {
		loop_finish(loop);
		return error;
	}
	timer_wheel_init(&loop->wheel, loop->now);
	list_init(&loop->deferred);
	return 0;
}

void loop_finish(struct loop *loop)
{
	if (loop->last_in_line >= 0)
		close(loop->last_in_line);
	close(loop->epoll);
	loop->epoll = loop->last_in_line = -1;
}

int loop_watch(struct loop *loop, int fd, uint32_t events, struct loop_source *source)
{
	return loop->sys->watch(loop->epoll, fd, events, source, false);
}

int loop_rewatch(struct loop *loop, int fd, uint32_t events, struct loop_source *source)
{
	return loop->sys->watch(loop->epoll, fd, events, source, true);
}

void loop_unwatch(struct loop *loop, int fd)
{
	loop->sys->unwatch(loop->epoll, fd);
}

void loop_ignore(struct loop_source *source, uint32_t events)
{
	(void)source;
	(void)events;
}

void loop_timer_set(struct loop *loop, struct timer *timer, uint64_t milliseconds)
{
	/* One more: the clock was cut to whole milliseconds. It is that of the round's start. */
	timer_set(&loop->wheel, timer, loop->now + milliseconds + 1);
}

void loop_look_at_clock(struct loop *loop)
{
	loop->now = monotonic_ms();
}

void loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task))
{
	list_init(&task->link);
	task->run = run;
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
	if (list_empty(&task->link))
		list_append(&loop->deferred, &task->link);
}

void loop_task_drop(struct loop_task *task)
{
	list_remove(&task->link);
}

static void run_deferred(struct loop *loop)
{
	struct list round;

	list_init(&round);
	list_splice(&round, &loop->deferred);
	while (!list_empty(&round)) {
		struct loop_task *task = container_of(round.next, struct loop_task, link);

		list_remove(&task->link);
		task->run(task);
	}
}

static int wait_ms(const struct loop *loop, int timeout)
{
	int64_t until_timer;

	if (!list_empty(&loop->deferred))
		return 0;
	until_timer = timer_wheel_wait(&loop->wheel, loop->now);
	if (until_timer >= 0 && (timeout < 0 || until_timer < timeout))
		return until_timer < INT_MAX ? (int)until_timer : INT_MAX;
	return timeout;
}

/*
 * The kernel was asked after `asked`, and told of this many events (below 0: a signal, and nothing
 * was told). It tells of descriptors in the order in which they came to have something: where they
 * are more than a round takes, the last in line says when those of a moment are through.
 */
static void note_heard(struct loop *loop, int count, bool line_is_through, uint64_t asked)
{
	if (count >= 0 && count < EVENTS_PER_ROUND)
		loop->heard = asked;
	else if (line_is_through && loop->is_lined_up)
		loop->heard = loop->lined_up;
	if (line_is_through)
		loop->is_lined_up = false;
	if (count < EVENTS_PER_ROUND || loop->is_lined_up)
		return;
	loop->lined_up = loop->now;
	loop->is_lined_up = line_up(loop, EPOLL_CTL_MOD) == 0;
	if (!loop->is_lined_up)
		loop->heard = asked;
}

void loop_run_once(struct loop *loop, int timeout)
{
	struct epoll_event events[EVENTS_PER_ROUND];
	uint64_t asked = loop->now;
	bool line_is_through = false;
	int count = epoll_wait(loop->epoll, events, EVENTS_PER_ROUND, wait_ms(loop, timeout));

	loop->now = monotonic_ms();
	for (int i = 0; i < count; i++) {
		struct loop_source *source = events[i].data.ptr;

		if (source != NULL)
			source->ready(source, events[i].events);
		else
			line_is_through = true;
	}
	note_heard(loop, count, line_is_through, asked);
	timer_wheel_advance(&loop->wheel, loop->heard);
	run_deferred(loop);
}

void loop_run(struct loop *loop)
{
	while (!loop->stopping)
		loop_run_once(loop, -1);
	/* Whoever was closed in the last round is freed now. */
	run_deferred(loop);
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}
