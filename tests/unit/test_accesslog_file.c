/* SPDX-License-Identifier: MIT */
/*
 * The file of the access log: whole lines or none, on a disk that fills up, after a crash, and
 * beside another writer; what is no file is refused with a word of advice.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "log_file.h"
#include "scratch.h"

static struct log_file open_file(const char *name)
{
	char why[LOG_FILE_WHY_SIZE];
	struct log_file file;

	if (log_file_open(&file, scratch_path(name), why) != 0)
		fail_msg("%s", why);
	return file;
}

static int append(struct log_file *file, const char *text, uint64_t *lines)
{
	return log_file_append(file, text, strlen(text), lines);
}

static void append_whole(struct log_file *file, const char *text, uint64_t count)
{
	uint64_t lines;

	assert_int_equal(append(file, text, &lines), 0);
	assert_int_equal(lines, count);
}

static void expect_content(const char *name, const char *due)
{
	static char content[1 << 16];
	int fd = open(scratch_path(name), O_RDONLY | O_CLOEXEC);
	ssize_t length;

	assert_true(fd >= 0);
	length = read(fd, content, sizeof(content) - 1);
	close(fd);
	assert_true(length >= 0);
	content[length] = '\0';
	assert_string_equal(content, due);
}

static void lines_are_appended(void **state)
{
	struct log_file file;

	(void)state;
	scratch_write("log", "before\n");
	file = open_file("log");
	append_whole(&file, "one\ntwo\n", 2);
	append_whole(&file, "three\n", 1);
	log_file_close(&file);
	expect_content("log", "before\none\ntwo\nthree\n");
}

static void a_new_file_is_for_its_owner_and_group(void **state)
{
	struct log_file file;
	struct stat status;
	mode_t mask = umask(0);

	(void)state;
	file = open_file("log");
	umask(mask);
	assert_int_equal(stat(scratch_path("log"), &status), 0);
	assert_int_equal(status.st_mode & 07777, 0640);
	log_file_close(&file);
}

static void a_line_that_a_crash_cut_off_stays_by_itself(void **state)
{
	struct log_file file;

	(void)state;
	scratch_write("log", "whole\nhal");
	file = open_file("log");
	append_whole(&file, "next\n", 1);
	log_file_close(&file);
	expect_content("log", "whole\nhal\nnext\n");
}

/* Files may not grow past this: a disk that is full there. */
static void limit_files(rlim_t size)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_disk_that_fills_up_in_a_line_keeps_the_lines_before(void **state)
{
	struct log_file file = open_file("log");
	uint64_t lines, more;
	int error, again;

	(void)state;
	append_whole(&file, "first\n", 1);
	limit_files(15);
	error = append(&file, "second\nthird\nfourth\n", &lines);
	again = append(&file, "fifth is too long\n", &more);
	limit_files(RLIM_INFINITY);
	assert_int_equal(error, -EFBIG);
	assert_int_equal(lines, 1);
	assert_int_equal(again, -EFBIG);
	assert_int_equal(more, 0);
	expect_content("log", "first\nsecond\n");
	append_whole(&file, "sixth\n", 1);
	log_file_close(&file);
	expect_content("log", "first\nsecond\nsixth\n");
}

static void a_full_disk_takes_nothing(void **state)
{
	struct log_file file = open_file("log");
	int fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	uint64_t lines = 1;

	(void)state;
	assert_true(fd >= 0);
	assert_true(dup2(fd, file.fd) >= 0);
	close(fd);
	assert_int_equal(append(&file, "line\n", &lines), -ENOSPC);
	assert_int_equal(lines, 0);
	log_file_close(&file);
}

static void a_renamed_file_is_written_on(void **state)
{
	struct log_file file = open_file("log");

	(void)state;
	append_whole(&file, "one\n", 1);
	assert_int_equal(rename(scratch_path("log"), scratch_path("log.1")), 0);
	append_whole(&file, "two\n", 1);
	log_file_close(&file);
	expect_content("log.1", "one\ntwo\n");
	assert_int_equal(access(scratch_path("log"), F_OK), -1);
}

static void a_removed_file_is_created_again(void **state)
{
	struct log_file file = open_file("log");

	(void)state;
	append_whole(&file, "one\n", 1);
	assert_int_equal(unlink(scratch_path("log")), 0);
	append_whole(&file, "two\n", 1);
	log_file_close(&file);
	expect_content("log", "two\n");
}

static void a_removed_file_that_cannot_be_created_is_an_error_until_it_can(void **state)
{
	struct log_file file;
	uint64_t lines;

	(void)state;
	scratch_make_folder("folder");
	file = open_file("folder/log");
	assert_int_equal(unlink(scratch_path("folder/log")), 0);
	assert_int_equal(rmdir(scratch_path("folder")), 0);
	assert_int_equal(append(&file, "lost\n", &lines), -ENOENT);
	scratch_make_folder("folder");
	append_whole(&file, "line\n", 1);
	log_file_close(&file);
	expect_content("folder/log", "line\n");
}

static void an_emptied_file_is_written_from_its_start(void **state)
{
	struct log_file file = open_file("log");

	(void)state;
	append_whole(&file, "one\n", 1);
	assert_int_equal(truncate(scratch_path("log"), 0), 0);
	append_whole(&file, "two\n", 1);
	log_file_close(&file);
	expect_content("log", "two\n");
}

/* What two writers of the same path do at the same time, on a disk that is too small for both. */
#define LIMIT 20003 /* within a line, whichever */

struct writer {
	struct log_file file;
	uint64_t lines;
	pthread_t thread;
};

static void *append_many(void *context)
{
	struct writer *writer = context;
	uint64_t lines;

	for (unsigned i = 0; i < 2000; i++) {
		append(&writer->file, "a line\nanother\n", &lines);
		writer->lines += lines;
	}
	return NULL;
}

static uint64_t count_lines_that_are_whole(const char *name)
{
	FILE *log = fopen(scratch_path(name), "re");
	uint64_t lines = 0;
	char line[64];

	assert_non_null(log);
	for (; fgets(line, sizeof(line), log) != NULL; lines++)
		assert_true(strcmp(line, "a line\n") == 0 || strcmp(line, "another\n") == 0);
	fclose(log);
	return lines;
}

static void two_writers_of_a_file_leave_whole_lines(void **state)
{
	struct writer writers[2];
	uint64_t lines;

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		writers[i] = (struct writer){.file = open_file("log")};
	limit_files(LIMIT);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&writers[i].thread, NULL, append_many, &writers[i]),
				 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(writers[i].thread, NULL);
	limit_files(RLIM_INFINITY);
	lines = count_lines_that_are_whole("log");
	assert_true(lines > LIMIT / 8);
	assert_int_equal(lines, writers[0].lines + writers[1].lines);
	for (unsigned i = 0; i < 2; i++)
		log_file_close(&writers[i].file);
}

/* Neither to be checked nor opened, and with the same words. */
static void expect_refused(const char *path, int error, const char *due)
{
	char why[LOG_FILE_WHY_SIZE] = "";
	struct log_file file;

	assert_int_equal(log_file_check(path, why), error);
	assert_string_equal(why, due);
	why[0] = '\0';
	assert_int_equal(log_file_open(&file, path, why), error);
	assert_string_equal(why, due);
}

static void what_is_no_file_is_refused(void **state)
{
	char due[LOG_FILE_WHY_SIZE];

	(void)state;
	assert_int_equal(mkfifo(scratch_path("fifo"), 0600), 0);
	snprintf(due, sizeof(due), "%s is a device, a pipe or a socket; name a regular file",
		 scratch_path("fifo"));
	expect_refused(scratch_path("fifo"), -ENOTSUP, due);
	expect_refused("/dev/null", -ENOTSUP,
		       "/dev/null is a device, a pipe or a socket; name a regular file");
	expect_refused("/usr", -EISDIR,
		       "/usr is a folder; name a file in it, such as /usr/access.log");
	expect_refused("/usr/", -EISDIR,
		       "/usr/ is a folder; name a file in it, such as /usr//access.log");
}

static void a_file_without_a_folder_is_refused(void **state)
{
	char due[LOG_FILE_WHY_SIZE];

	(void)state;
	snprintf(
		due, sizeof(due),
		"there is no folder %s; create it, and let it belong to the user that mmproxy runs "
		"as",
		scratch_path("missing"));
	expect_refused(scratch_path("missing/log"), -ENOENT, due);
	scratch_write("file", "");
	snprintf(
		due, sizeof(due),
		"there is no folder %s; create it, and let it belong to the user that mmproxy runs "
		"as",
		scratch_path("file"));
	expect_refused(scratch_path("file/log"), -ENOTDIR, due);
}

static void a_check_creates_nothing(void **state)
{
	char why[LOG_FILE_WHY_SIZE];

	(void)state;
	assert_int_equal(log_file_check(scratch_path("log"), why), 0);
	assert_int_equal(access(scratch_path("log"), F_OK), -1);
	scratch_write("log", "kept\n");
	assert_int_equal(log_file_check(scratch_path("log"), why), 0);
	expect_content("log", "kept\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_begin, scratch_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_are_appended),
		TEST(a_new_file_is_for_its_owner_and_group),
		TEST(a_line_that_a_crash_cut_off_stays_by_itself),
		TEST(a_disk_that_fills_up_in_a_line_keeps_the_lines_before),
		TEST(a_full_disk_takes_nothing),
		TEST(a_renamed_file_is_written_on),
		TEST(a_removed_file_is_created_again),
		TEST(a_removed_file_that_cannot_be_created_is_an_error_until_it_can),
		TEST(an_emptied_file_is_written_from_its_start),
		TEST(two_writers_of_a_file_leave_whole_lines),
		TEST(what_is_no_file_is_refused),
		TEST(a_file_without_a_folder_is_refused),
		TEST(a_check_creates_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
