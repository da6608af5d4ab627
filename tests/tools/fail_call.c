/* SPDX-License-Identifier: MIT */
/*
 * fail_call.so: a shim between mmproxy and libc, which makes one call of one function fail, and
 * counts the calls of all. Nothing in mmproxy knows of it: it is loaded before libc, and knows the
 * functions of fail_call.def.
 *
 * By hand, the third accept4() of the process, whoever makes it:
 *
 *	LD_PRELOAD=.../tests/tools/fail_call.so FAIL_CALL="accept4 EMFILE 3" mmproxy --config ...
 *
 * FAIL_CALL is "NAME ERROR [AT [TIMES]]". Instead of an errno's name, a number is a limit to the
 * count of bytes, messages or events that the call may see: "recv 1 5 1000000" has everything from
 * the fifth recv() on come byte by byte.
 *
 * A test drives a process that runs by a file that both have mapped (fail_call.h), which
 * FAIL_CALL_FILE names.
 *
 * With the address sanitizer's library (gcc's), the shim comes first and ASAN_OPTIONS says
 * verify_asan_link_order=0: calls then pass the shim, the sanitizer and libc, in this order, and an
 * allocation can fail too. Where the sanitizer is linked in (clang's), calls pass it first; its
 * allocations never reach the shim, which `seen` then shows.
 *
 * An EAGAIN that the kernel did not say is a promise to tell when the descriptor can be used, which
 * an edge-triggered loop relies on; so is, by epoll(7), a count that is less than was asked for.
 * The shim keeps it: it has the kernel look again.
 */
#include "fail_call.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct fail_call own;
static struct fail_call *control = &own;

_Thread_local unsigned fail_call_inside;

/* All that is asked of the system here is asked directly: the names are the shim's. */

static void owe_readable(int fd)
{
	const int least = 1;

	syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof(least));
}

static void owe_writable(int fd)
{
	const int size = 1 << 20;

	syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/* Of splice() one end is a pipe, which takes no notice. */
static void keep_promise(unsigned id, const long *arguments)
{
	if (fail_call_kinds[id] == FAIL_CALL_READABLE || strcmp(fail_call_names[id], "splice") == 0)
		owe_readable((int)arguments[0]);
	if (strcmp(fail_call_names[id], "splice") == 0)
		owe_writable((int)arguments[2]);
	else if (fail_call_kinds[id] == FAIL_CALL_WRITABLE)
		owe_writable((int)arguments[0]);
}

static bool is_wanted(unsigned id, const long *arguments)
{
	if (strcmp(fail_call_names[id], control->call) != 0)
		return false;
	for (unsigned i = 0; i < FAIL_CALL_WANTED; i++) {
		if ((control->wanted_mask & 1U << i) != 0 &&
		    control->wanted[i] != (int32_t)arguments[i])
			return false;
	}
	return true;
}

int fail_call_judge(unsigned id, const long *arguments, long *count)
{
	uint32_t reached;

	if (fail_call_kinds[id] == FAIL_CALL_VITAL && fail_call_inside > 0)
		return 0;
	atomic_fetch_add_explicit(&control->seen[id], 1, memory_order_relaxed);
	if (!atomic_load_explicit(&control->armed, memory_order_acquire) ||
	    !is_wanted(id, arguments))
		return 0;
	reached = atomic_fetch_add(&control->reached, 1) + 1;
	if (reached < control->at || reached - control->at >= control->times)
		return 0;
	atomic_fetch_add(&control->hits, 1);
	if (control->error == 0) {
		if (count != NULL && (unsigned long)*count > control->limit) {
			*count = control->limit;
			keep_promise(id, arguments);
		}
		return 0;
	}
	if (control->error == EAGAIN)
		keep_promise(id, arguments);
	return (int)control->error;
}

void *fail_call_next(const char *name)
{
	void *next = dlsym(RTLD_NEXT, name);

	if (next == NULL) {
		dprintf(STDERR_FILENO, "fail_call: there is no %s behind the shim\n", name);
		_exit(70);
	}
	return next;
}

static int errno_of(const char *name)
{
	for (int number = 1; number < 256; number++) {
		const char *known = strerrorname_np(number);

		if (known != NULL && strcmp(known, name) == 0)
			return number;
	}
	return 0;
}

static void arm_by_hand(const char *text)
{
	char error[FAIL_CALL_NAME];
	int read;

	own.at = own.times = 1;
	read = sscanf(text, "%31s %31s %u %u", own.call, error, &own.at, &own.times);
	if (read < 2) {
		dprintf(STDERR_FILENO, "fail_call: FAIL_CALL is NAME ERROR [AT [TIMES]]\n");
		_exit(70);
	}
	own.error = (uint32_t)errno_of(error);
	own.limit = (uint32_t)strtoul(error, NULL, 10);
	atomic_store(&own.armed, 1);
}

static void map(const char *path)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	long mapped = fd;

	if (fd >= 0)
		mapped = syscall(SYS_mmap, NULL, sizeof(struct fail_call), 3 /* read, write */,
				 1 /* shared */, fd, 0);
	if (mapped < 0) {
		dprintf(STDERR_FILENO, "fail_call: %s: %s\n", path, strerror(errno));
		_exit(70);
	}
	syscall(SYS_close, fd);
	control = (struct fail_call *)mapped;
	for (unsigned i = 0; i < fail_call_count; i++)
		strncpy(control->names[i], fail_call_names[i], FAIL_CALL_NAME - 1);
}

__attribute__((constructor)) static void begin(void)
{
	const char *file = getenv("FAIL_CALL_FILE"), *call = getenv("FAIL_CALL");

	if (file != NULL)
		map(file);
	else if (call != NULL)
		arm_by_hand(call);
}
