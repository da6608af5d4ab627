/* SPDX-License-Identifier: MIT */
/*
 * A thread's event loop: epoll, a timer wheel, and work put off to the end of a round. One thread
 * owns it; nothing here is locked.
 */
#ifndef MMPROXY_OS_LOOP_H
#define MMPROXY_OS_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/timer_wheel.h"

struct sys;

/*
 * Whoever is watched embeds one for each descriptor. Before it closes the descriptor it points
 * `ready` at loop_ignore, and it frees the memory only through loop_defer(): the round may still
 * hold an event for it.
 */
struct loop_source {
	void (*ready)(struct loop_source *source, uint32_t events); /* EPOLL* bits */
};

struct loop_task {
	struct list link;
	void (*run)(struct loop_task *task);
};

struct loop {
	const struct sys *sys;
	int epoll;
	uint64_t now; /* milliseconds, CLOCK_MONOTONIC, as of the round's start */
	/*
	 * Whatever descriptor had something by then has been told of. A thread that got no CPU, or
	 * was stopped, finds more events than a round takes, or is late between hearing and looking
	 * at the clock: who has been silent for long enough is judged by this, and timers go by it.
	 */
	uint64_t heard;
	int last_in_line; /* an eventfd: it stands behind whatever had something at `lined_up` */
	bool is_lined_up;
	uint64_t lined_up;
	struct timer_wheel wheel;
	struct list deferred;
	bool stopping;
};

int loop_init(struct loop *loop, const struct sys *sys); /* 0 or -errno */
void loop_finish(struct loop *loop);

/* 0 or -errno. A closed descriptor leaves by itself. */
int loop_watch(struct loop *loop, int fd, uint32_t events, struct loop_source *source);
int loop_rewatch(struct loop *loop, int fd, uint32_t events, struct loop_source *source);
void loop_unwatch(struct loop *loop, int fd);
void loop_ignore(struct loop_source *source, uint32_t events);

/* Sets a timer `milliseconds` from now. */
void loop_timer_set(struct loop *loop, struct timer *timer, uint64_t milliseconds);

/* After something that may have taken long: the round goes on with the clock as it is. */
void loop_look_at_clock(struct loop *loop);

/*
 * Runs the task once, after the events of this round. A task may defer itself again; it then runs
 * in the next round, which does not wait. Deferring a task that is deferred already changes
 * nothing.
 */
void loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task));
void loop_defer(struct loop *loop, struct loop_task *task);
void loop_task_drop(struct loop_task *task);

void loop_run(struct loop *loop); /* until loop_stop() */
void loop_stop(struct loop *loop);

/*
 * One round that does not wait longer than `timeout` milliseconds (-1: as the timers say). A timer
 * is called in the round after the one that waited for it: that one has asked once more whether
 * anything has come.
 */
void loop_run_once(struct loop *loop, int timeout);

#endif
