/* SPDX-License-Identifier: MIT */
/*
 * What Landlock opens and closes, asked of the kernel and of landlock_is_outside() alike: they have
 * to agree. Each test is a process of its own, since nothing takes Landlock back. Where the kernel
 * has none there is nothing to ask, and a test says that it was skipped.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/landlock.h"
#include "scratch.h"

#define NO_LANDLOCK 77

/* cmocka's assertions jump in the process that began the test. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* 0, or the errno of opening it. */
static int try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static void begin(struct landlock *landlock)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || landlock_begin(landlock) < 0)
		_exit(NO_LANDLOCK);
}

static void enforce(struct landlock *landlock)
{
	CHECK(landlock_enforce(landlock) == 0);
	landlock_finish(landlock);
	CHECK(landlock_verify() == 0);
}

static void in_a_process(void (*test)(void))
{
	pid_t child;
	int status;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		test();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_LANDLOCK)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void open_for_reading(void)
{
	struct landlock landlock;

	begin(&landlock);
	CHECK(landlock_allow(&landlock, scratch_path("open"), LANDLOCK_ACCESS_READ) == 0);
	CHECK(landlock_places() == 1);
	CHECK(!landlock_is_outside(scratch_path("closed/file"))); /* not yet */
	enforce(&landlock);
	CHECK(try_open(scratch_path("open/file"), O_RDONLY) == 0);
	CHECK(try_open(scratch_path("open/below/file"), O_RDONLY) == 0);
	CHECK(try_open(scratch_path("open"), O_RDONLY | O_DIRECTORY) == 0);
	CHECK(try_open(scratch_path("open/file"), O_WRONLY) == EACCES);
	CHECK(try_open(scratch_path("open/new"), O_WRONLY | O_CREAT) == EACCES);
	CHECK(unlink(scratch_path("open/file")) < 0 && errno == EACCES);
	CHECK(try_open(scratch_path("closed/file"), O_RDONLY) == EACCES);
	CHECK(try_open("/", O_RDONLY | O_DIRECTORY) == EACCES);
	CHECK(!landlock_is_outside(scratch_path("open")));
	CHECK(!landlock_is_outside(scratch_path("open/below/file")));
	CHECK(!landlock_is_outside(scratch_path("open/new")));
	CHECK(landlock_is_outside(scratch_path("closed/file")));
	CHECK(landlock_is_outside(scratch_path("closed/new")));
	CHECK(landlock_is_outside("/"));
}

static void open_for_writing(void)
{
	struct landlock landlock;

	begin(&landlock);
	CHECK(landlock_allow(&landlock, scratch_path("open"), LANDLOCK_ACCESS_WRITE) == 0);
	/* Twice the same place. */
	CHECK(landlock_allow(&landlock, scratch_path("open/."), LANDLOCK_ACCESS_WRITE) == 0);
	CHECK(landlock_places() == 1);
	enforce(&landlock);
	CHECK(try_open(scratch_path("open/file"), O_RDWR | O_TRUNC) == 0);
	CHECK(try_open(scratch_path("open/new"), O_WRONLY | O_CREAT | O_EXCL) == 0);
	CHECK(rename(scratch_path("open/new"), scratch_path("open/newer")) == 0);
	CHECK(unlink(scratch_path("open/newer")) == 0);
	CHECK(mkdir(scratch_path("open/folder"), 0700) == 0);
	CHECK(rmdir(scratch_path("open/folder")) == 0);
	CHECK(symlink("file", scratch_path("open/link")) < 0 && errno == EACCES);
	CHECK(rename(scratch_path("open/file"), scratch_path("closed/file")) < 0);
}

static void open_for_removal_alone(void)
{
	struct landlock landlock;

	begin(&landlock);
	CHECK(landlock_allow(&landlock, scratch_path("open"), LANDLOCK_ACCESS_REMOVE) == 0);
	CHECK(landlock_places() == 0);
	enforce(&landlock);
	CHECK(try_open(scratch_path("open/file"), O_RDONLY) == EACCES);
	CHECK(landlock_is_outside(scratch_path("open/file")));
	CHECK(unlink(scratch_path("open/file")) == 0);
}

static void a_single_file_and_a_link(void)
{
	struct landlock landlock;

	begin(&landlock);
	CHECK(landlock_allow(&landlock, scratch_path("open/file"), LANDLOCK_ACCESS_WRITE) == 0);
	CHECK(landlock_allow(&landlock, scratch_path("nowhere"), LANDLOCK_ACCESS_READ) == -ENOENT);
	enforce(&landlock);
	CHECK(try_open(scratch_path("open/file"), O_RDWR) == 0);
	CHECK(try_open(scratch_path("open/below/file"), O_RDONLY) == EACCES);
	CHECK(!landlock_is_outside(scratch_path("open/file")));
	CHECK(landlock_is_outside(scratch_path("open/below/file")));
	/* A link is where it leads to. */
	CHECK(try_open(scratch_path("closed/inward"), O_RDONLY) == 0);
	CHECK(!landlock_is_outside(scratch_path("closed/inward")));
}

/* It is the folder that was there, whatever has its name now. */
static void a_folder_that_was_replaced(void)
{
	struct landlock landlock;

	begin(&landlock);
	CHECK(landlock_allow(&landlock, scratch_path("open/below"), LANDLOCK_ACCESS_READ) == 0);
	CHECK(rename(scratch_path("open/below"), scratch_path("open/before")) == 0);
	CHECK(rename(scratch_path("closed"), scratch_path("open/below")) == 0);
	enforce(&landlock);
	CHECK(try_open(scratch_path("open/below/file"), O_RDONLY) == EACCES);
	CHECK(landlock_is_outside(scratch_path("open/below/file")));
	CHECK(try_open(scratch_path("open/before/file"), O_RDONLY) == 0);
	CHECK(!landlock_is_outside(scratch_path("open/before/file")));
}

#define TEST_OF(function)                                                                          \
	static void test_##function(void **state)                                                  \
	{                                                                                          \
		(void)state;                                                                       \
		in_a_process(function);                                                            \
	}
TEST_OF(open_for_reading)
TEST_OF(open_for_writing)
TEST_OF(open_for_removal_alone)
TEST_OF(a_single_file_and_a_link)
TEST_OF(a_folder_that_was_replaced)

static int make_files(void **state)
{
	if (scratch_begin(state) != 0)
		return -1;
	scratch_make_folder("open");
	scratch_make_folder("open/below");
	scratch_make_folder("closed");
	scratch_write("open/file", "x");
	scratch_write("open/below/file", "x");
	scratch_write("closed/file", "x");
	return symlink("../open/file", scratch_path("closed/inward"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(test_##function, make_files, scratch_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(open_for_reading),           TEST(open_for_writing),
		TEST(open_for_removal_alone),     TEST(a_single_file_and_a_link),
		TEST(a_folder_that_was_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
