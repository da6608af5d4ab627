/* SPDX-License-Identifier: MIT */
/* Whether each thread has the filter, by a /proc/self/task/THREAD/status that is made up. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "os/seccomp.h"

FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode);

static int open_error;   /* of opening it; 0: none */
static const char *text; /* what it says, and then: */
static int read_error;   /* 0: its end */

static ssize_t read_text(void *cookie, char *buffer, size_t size)
{
	size_t length = strlen(text);

	(void)cookie;
	if (length == 0 && read_error != 0) {
		errno = read_error;
		return -1;
	}
	length = length < size ? length : size;
	memcpy(buffer, text, length);
	text += length;
	return (ssize_t)length;
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
	assert_int_equal(strncmp(path, "/proc/self/task/", strlen("/proc/self/task/")), 0);
	if (open_error == 0)
		return fopencookie(NULL, mode, (cookie_io_functions_t){.read = read_text});
	errno = open_error;
	return NULL;
}

/* What it is called where files' sizes take more bits than a long has. */
FILE *__wrap_fopen64(const char *path, const char *mode)
{
	return __wrap_fopen(path, mode);
}

static int verify(const char *said, int error)
{
	open_error = 0;
	text = said;
	read_error = error;
	return seccomp_verify();
}

static void a_thread_has_the_filter_or_has_not(void **state)
{
	(void)state;
	assert_int_equal(verify("Name:\tone\nSeccomp:\t2\nSeccomp_filters:\t1\n", 0), 0);
	assert_int_equal(verify("Name:\tone\nSeccomp:\t0\nSeccomp_filters:\t0\n", 0), -EPERM);
	assert_int_equal(verify("Name:\tone\nSeccomp:\t0\n", ESRCH), -EPERM);
}

static void a_thread_of_which_nothing_is_said_has_none(void **state)
{
	(void)state;
	assert_int_equal(verify("Name:\tone\n", 0), -EPERM);
	assert_int_equal(verify("Name:\tone\n", EIO), -EPERM);
	assert_int_equal(verify("", ENOMEM), -EPERM);
}

/* Before its file is opened, or after. */
static void a_thread_that_has_ended_needs_none(void **state)
{
	(void)state;
	open_error = ENOENT;
	assert_int_equal(seccomp_verify(), 0);
	open_error = EMFILE;
	assert_int_equal(seccomp_verify(), -EMFILE);
	assert_int_equal(verify("", ESRCH), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_has_the_filter_or_has_not),
		cmocka_unit_test(a_thread_of_which_nothing_is_said_has_none),
		cmocka_unit_test(a_thread_that_has_ended_needs_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
