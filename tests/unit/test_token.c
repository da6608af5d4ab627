/* SPDX-License-Identifier: MIT */
/* Tokens and their lock, as two instances and a crash meet them. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "routing/token.h"

#define NAME     "rule 127.0.0.0/8 0 123"
#define OTHER    "rule 127.0.0.0/8 0 124"
#define PATIENCE 10000 /* never waited for to its end, but for a test that fails */

static int take(const char *name)
{
	int token = token_take(name);

	assert_true(token >= 0);
	return token;
}

static int lock(void)
{
	int held = token_lock(PATIENCE);

	assert_true(held >= 0);
	return held;
}

/* A process that does what `act` does and stays until it is ended; it has done it by now. */
static pid_t instance(void (*act)(void))
{
	int ready[2];
	char byte;
	pid_t child;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		act();
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return child;
}

static void crash(pid_t child)
{
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void take_a_token(void)
{
	if (token_take(NAME) < 0)
		_exit(1);
}

static void take_the_lock(void)
{
	if (token_lock(PATIENCE) < 0)
		_exit(1);
}

static void a_token_is_held_until_it_is_dropped(void **state)
{
	int token;

	(void)state;
	assert_false(token_is_held(NAME));
	token = take(NAME);
	assert_true(token_is_held(NAME));
	assert_false(token_is_held(OTHER));
	token_drop(token);
	assert_false(token_is_held(NAME));
}

static void it_is_held_as_long_as_one_of_two_has_it_whichever_goes_first(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 2; first++) {
		int tokens[] = {take(NAME), take(NAME)};

		token_drop(tokens[first]);
		assert_true(token_is_held(NAME));
		token_drop(tokens[1 - first]);
		assert_false(token_is_held(NAME));
	}
}

static void a_crash_leaves_no_token_behind(void **state)
{
	pid_t other = instance(take_a_token);
	int token = take(NAME);

	(void)state;
	token_drop(token);
	assert_true(token_is_held(NAME));
	crash(other);
	assert_false(token_is_held(NAME));
}

static void there_is_an_end_to_how_many_hold_one(void **state)
{
	int tokens[64];

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		tokens[i] = take(NAME);
	assert_int_equal(token_take(NAME), -EUSERS);
	token_drop(tokens[17]);
	tokens[17] = take(NAME);
	for (unsigned i = 0; i < 64; i++)
		token_drop(tokens[i]);
}

static void who_has_the_lock_keeps_others_out(void **state)
{
	int held = lock();

	(void)state;
	assert_int_equal(token_lock(0), -ETIMEDOUT);
	assert_int_equal(token_lock(20), -ETIMEDOUT);
	token_unlock(held);
	token_unlock(lock());
}

static void a_crash_releases_the_lock_to_who_waits(void **state)
{
	pid_t holder = instance(take_the_lock), waiter = fork();
	int status;

	(void)state;
	assert_true(waiter >= 0);
	if (waiter == 0)
		_exit(token_lock(PATIENCE) < 0);
	crash(holder);
	assert_int_equal(waitpid(waiter, &status, 0), waiter);
	assert_int_equal(status, 0);
}

/* They end with the lock in hand, one after the other: each end wakes the rest. */
static void many_who_wait_all_get_it(void **state)
{
	enum { WAITERS = 20 };
	pid_t holder = instance(take_the_lock), waiters[WAITERS];
	int status;

	(void)state;
	for (unsigned i = 0; i < WAITERS; i++) {
		waiters[i] = fork();
		assert_true(waiters[i] >= 0);
		if (waiters[i] == 0)
			_exit(token_lock(PATIENCE) < 0);
	}
	crash(holder);
	for (unsigned i = 0; i < WAITERS; i++) {
		assert_int_equal(waitpid(waiters[i], &status, 0), waiters[i]);
		assert_int_equal(status, 0);
	}
}

/* Anybody may bind the name. He is not waited for longer than that, listening or not. */
static void a_stranger_at_the_name_of_the_lock_is_given_up(void **state)
{
	static const char name[] = "mmproxy/routing/lock";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int stranger = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	memcpy(address.sun_path + 1, name, sizeof(name) - 1);
	assert_int_equal(bind(stranger, (const struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(name))),
			 0);
	assert_int_equal(token_lock(20), -ETIMEDOUT);
	assert_int_equal(listen(stranger, 0), 0);
	assert_int_equal(token_lock(20), -ETIMEDOUT);
	close(stranger);
	token_unlock(lock());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_held_until_it_is_dropped),
		cmocka_unit_test(it_is_held_as_long_as_one_of_two_has_it_whichever_goes_first),
		cmocka_unit_test(a_crash_leaves_no_token_behind),
		cmocka_unit_test(there_is_an_end_to_how_many_hold_one),
		cmocka_unit_test(who_has_the_lock_keeps_others_out),
		cmocka_unit_test(a_crash_releases_the_lock_to_who_waits),
		cmocka_unit_test(many_who_wait_all_get_it),
		cmocka_unit_test(a_stranger_at_the_name_of_the_lock_is_given_up),
	};

	/* Names of this test's own, where that is permitted: another may run beside it. */
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		print_message("in the network namespace that is here\n");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
