/* SPDX-License-Identifier: MIT */
/* The parts of a round, as os/loop.c has them. */
#include "fake_loop.h"

void fake_loop_start(struct loop *loop, uint64_t now)
{
	loop->now = loop->heard = now;
	timer_wheel_init(&loop->wheel, now);
}

void fake_loop_run_deferred(struct loop *loop)
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

void fake_loop_end_round(struct loop *loop)
{
	loop->heard = loop->now;
	timer_wheel_advance(&loop->wheel, loop->heard);
	fake_loop_run_deferred(loop);
}

uint64_t fake_loop_step(struct loop *loop, uint64_t end)
{
	int64_t wait = timer_wheel_wait(&loop->wheel, loop->now);
	uint64_t step = end - loop->now;

	if (wait >= 0 && (uint64_t)wait < step)
		step = (uint64_t)wait;
	loop->now += step;
	return step;
}
