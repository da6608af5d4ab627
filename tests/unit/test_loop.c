/* SPDX-License-Identifier: MIT */
/*
 * The event loop's order on a thread that was kept waiting: nobody's time is up before what had
 * come in time has been told. With real descriptors and the real clock.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/loop.h"
#include "os/sys.h"

/* More than two rounds' worth of events. */
#define CROWD 300

/* In these each of a crowd is told of twice, and there are some that begin and end it. */
#define ROUNDS_MAX 12

static struct loop loop;
static struct timer timer;
static unsigned expired;

static struct watched {
	struct loop_source source;
	int fd;
	unsigned told;
	unsigned expired_before;
} crowd[CROWD];

static uint64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void note_expiry(struct timer *which)
{
	(void)which;
	expired++;
}

static void note_event(struct loop_source *source, uint32_t events)
{
	struct watched *watched = container_of(source, struct watched, source);

	(void)events;
	if (watched->told++ == 0)
		watched->expired_before = expired;
}

static int start(void **state)
{
	(void)state;
	expired = 0;
	timer_init(&timer, note_expiry);
	for (unsigned i = 0; i < CROWD; i++)
		crowd[i] = (struct watched){.source.ready = note_event, .fd = -1};
	return loop_init(&loop, &sys_linux);
}

static int finish(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CROWD; i++) {
		if (crowd[i].fd >= 0)
			close(crowd[i].fd);
	}
	loop_finish(&loop);
	return 0;
}

static void watch(struct watched *watched, unsigned count)
{
	watched->fd = eventfd(count, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_true(watched->fd >= 0);
	assert_int_equal(loop_watch(&loop, watched->fd, EPOLLIN, &watched->source), 0);
}

static void run_until_expired(void)
{
	const unsigned before = expired;

	for (unsigned rounds = 0; expired == before; rounds++) {
		assert_true(rounds < ROUNDS_MAX);
		loop_run_once(&loop, -1);
	}
}

static void pass_deadline(void)
{
	while (loop.now < timer.deadline)
		loop_look_at_clock(&loop);
}

static void a_timer_is_called_once_and_not_early(void **state)
{
	uint64_t began = clock_ms();

	(void)state;
	loop_timer_set(&loop, &timer, 20);
	run_until_expired();
	assert_true(clock_ms() - began >= 20);
	loop_run_once(&loop, 0);
	loop_run_once(&loop, 0);
	assert_int_equal(expired, 1);
}

static void be_late(int signal)
{
	uint64_t until = clock_ms() + 100;

	(void)signal;
	eventfd_write(crowd[0].fd, 1);
	while (clock_ms() < until)
		continue;
}

/* As after SIGSTOP and SIGCONT: epoll_wait() tells of nothing, and the deadline has passed. */
static void an_interrupted_wait_ends_nobodys_time(void **state)
{
	const struct itimerval soon = {.it_value.tv_usec = 10000};

	(void)state;
	watch(&crowd[0], 0);
	loop_timer_set(&loop, &timer, 50);
	assert_true(signal(SIGALRM, be_late) != SIG_ERR);
	assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
	run_until_expired();
	assert_true(crowd[0].told > 0);
	assert_int_equal(crowd[0].expired_before, 0);
}

static void everybody_of_a_crowd_is_told_before_a_deadline(void **state)
{
	(void)state;
	loop_timer_set(&loop, &timer, 1);
	for (unsigned i = 0; i < CROWD; i++)
		watch(&crowd[i], 1);
	pass_deadline();
	/* None of them is ever read: each round is full. */
	run_until_expired();
	for (unsigned i = 0; i < CROWD; i++) {
		assert_true(crowd[i].told > 0);
		assert_int_equal(crowd[i].expired_before, 0);
	}
}

static void timers_go_on_in_a_crowd_that_comes_and_goes(void **state)
{
	eventfd_t count;

	(void)state;
	for (unsigned i = 0; i < CROWD; i++)
		watch(&crowd[i], 1);
	for (unsigned times = 1; times < 100; times++) {
		loop_timer_set(&loop, &timer, 1);
		pass_deadline();
		run_until_expired();
		/* Now and then all are quiet, after any number of full rounds. */
		for (unsigned i = 0; i < CROWD && times % 7 == 0; i++)
			eventfd_read(crowd[i].fd, &count);
		if (times % 7 == 0)
			loop_run_once(&loop, 0);
		for (unsigned i = 0; i < CROWD; i++)
			eventfd_write(crowd[i].fd, 1);
		for (unsigned i = 0; i < times % 5; i++)
			loop_run_once(&loop, 0);
	}
	assert_int_equal(expired, 99);
}

/* One that was set late in a long round has its whole time. */
static void a_clock_that_was_looked_at_is_what_timers_are_set_by(void **state)
{
	uint64_t until = clock_ms() + 30;

	(void)state;
	while (clock_ms() < until)
		continue;
	loop_look_at_clock(&loop);
	loop_timer_set(&loop, &timer, 20);
	run_until_expired();
	assert_true(clock_ms() >= until + 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_timer_is_called_once_and_not_early, start,
						finish),
		cmocka_unit_test_setup_teardown(an_interrupted_wait_ends_nobodys_time, start,
						finish),
		cmocka_unit_test_setup_teardown(everybody_of_a_crowd_is_told_before_a_deadline,
						start, finish),
		cmocka_unit_test_setup_teardown(timers_go_on_in_a_crowd_that_comes_and_goes, start,
						finish),
		cmocka_unit_test_setup_teardown(
			a_clock_that_was_looked_at_is_what_timers_are_set_by, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
