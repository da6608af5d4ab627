/* SPDX-License-Identifier: MIT */
/* The list files of the plugin acl as files: what is read, and what is refused before it is read.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "file.h"
#include "scratch.h"

#define LIMIT 1000000

/* Longer than what is read at once. */
static char large[LIMIT + 1];

static void expect_content(const char *path, const char *content, size_t length)
{
	const char *why = "";
	size_t read;
	char *bytes;

	if (acl_file_read(path, LIMIT, &bytes, &read, &why) != 0)
		fail_msg("%s", why);
	assert_int_equal(read, length);
	assert_memory_equal(bytes, content, length);
	assert_int_equal(bytes[length], 0);
	free(bytes);
}

static void expect_refusal(const char *path, int error, const char *expected)
{
	const char *why = "";
	size_t read;
	char *bytes;

	assert_int_equal(acl_file_read(path, LIMIT, &bytes, &read, &why), error);
	assert_string_equal(why, expected);
	assert_null(bytes);
}

static void a_file_is_read_whole(void **state)
{
	(void)state;
	expect_content(scratch_write("short", "192.0.2.0/24\n"), "192.0.2.0/24\n", 13);
	expect_content(scratch_write("empty", ""), "", 0);
	memset(large, 'x', LIMIT);
	/* Around what is read at once, and up to the limit. */
	for (size_t length = 65534; length <= 65537; length++)
		expect_content(scratch_write_bytes("large", large, length), large, length);
	expect_content(scratch_write_bytes("large", large, LIMIT), large, LIMIT);
}

static void a_file_beyond_the_limit_is_refused(void **state)
{
	(void)state;
	expect_refusal(scratch_write_bytes("large", large, LIMIT + 1), -EFBIG,
		       "it is far too large for a list");
	expect_refusal("/dev/zero", -EINVAL, "it is not a regular file; name one");
}

static void a_file_that_is_not_there_is_refused(void **state)
{
	(void)state;
	expect_refusal(scratch_path("missing"), -ENOENT, "No such file or directory");
}

static void a_folder_is_refused(void **state)
{
	(void)state;
	scratch_make_folder("folder");
	expect_refusal(scratch_path("folder"), -EINVAL, "it is a directory; name a file");
}

static void a_fifo_that_nobody_writes_to_holds_nothing_up(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(scratch_path("fifo"), 0600), 0);
	expect_refusal(scratch_path("fifo"), -EINVAL, "it is not a regular file; name one");
}

static void a_file_of_the_kernels_has_no_size_and_is_read_nevertheless(void **state)
{
	const char *why;
	size_t length;
	char *bytes;

	(void)state;
	assert_int_equal(acl_file_read("/proc/self/status", LIMIT, &bytes, &length, &why), 0);
	assert_true(length > 100);
	assert_non_null(strstr(bytes, "Pid:"));
	free(bytes);
}

static void a_text_has_no_fault(void **state)
{
	static const char *const texts[] = {"", "\n", "192.0.2.0/24", "192.0.2.0/24\r\n\n"};
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(acl_file_fault(texts[i], strlen(texts[i]), &why), 0);
}

static void a_nul_is_a_fault_in_its_line(void **state)
{
	const char *why;

	(void)state;
	assert_int_equal(acl_file_fault("\0", 1, &why), 1);
	assert_int_equal(acl_file_fault("a\nb\nc\0\n", 7, &why), 3);
	assert_string_equal(why, "a NUL byte; this is not a text file");
	assert_int_equal(acl_file_fault("a\n\0", 2, &why), 0);
}

static void a_line_past_64_kib_is_a_fault(void **state)
{
	const char *why;

	(void)state;
	memset(large, 'x', sizeof(large));
	large[0] = '\n';
	large[65537] = '\n';
	assert_int_equal(acl_file_fault(large, 65538, &why), 0);
	assert_int_equal(acl_file_fault(large, 65537, &why), 0);
	large[65537] = 'x';
	assert_int_equal(acl_file_fault(large, 65538, &why), 2);
	assert_string_equal(why, "the line is longer than 65536 bytes; break it");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_read_whole),
		cmocka_unit_test(a_file_beyond_the_limit_is_refused),
		cmocka_unit_test(a_file_that_is_not_there_is_refused),
		cmocka_unit_test(a_folder_is_refused),
		cmocka_unit_test(a_fifo_that_nobody_writes_to_holds_nothing_up),
		cmocka_unit_test(a_file_of_the_kernels_has_no_size_and_is_read_nevertheless),
		cmocka_unit_test(a_text_has_no_fault),
		cmocka_unit_test(a_nul_is_a_fault_in_its_line),
		cmocka_unit_test(a_line_past_64_kib_is_a_fault),
	};

	return cmocka_run_group_tests(tests, scratch_begin, scratch_end);
}
