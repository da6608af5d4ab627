/* SPDX-License-Identifier: MIT */
/*
 * Which files are taken for a plugin at all: refusals before the first look into the interface,
 * which the integration tests have, and what each says. Files of others, and folders that may not
 * be entered, need root to be made; without it those tests are skipped.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/module.h"
#include "scratch.h"

#define NOBODY 65534

static struct plugin_module module;
static char why[PLUGIN_MODULE_WHY_SIZE];

static void need_root(void)
{
	if (geteuid() != 0)
		skip();
}

static void refuse(const char *path, int error)
{
	memset(why, '?', sizeof(why));
	why[sizeof(why) - 1] = '\0';
	assert_int_equal(plugin_module_load(&module, path, why), error);
}

/* What is said, where %s is the file's or folder's path. */
static void expect_why(const char *due, const char *path)
{
	char text[PLUGIN_MODULE_WHY_SIZE];
	int length = snprintf(text, sizeof(text), "%.*s%s%s", (int)strcspn(due, "%"), due, path,
			      due + strcspn(due, "%") + 2);

	assert_true(length > 0 && (size_t)length < sizeof(text));
	assert_string_equal(why, text);
}

static void expect_why_has(const char *due)
{
	if (strstr(why, due) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", why, due);
}

/* A file that is root's and nobody else's to write, and yet no plugin. */
static const char *sound_file(const char *name)
{
	const char *path = scratch_write(name, "no shared object");

	assert_int_equal(chmod(path, 0644), 0);
	return path;
}

static void expect_refused_for_its_content(const char *path)
{
	char due[PLUGIN_MODULE_WHY_SIZE];

	refuse(path, -ENOEXEC);
	snprintf(due, sizeof(due), "%s cannot be loaded: ", path);
	assert_memory_equal(why, due, strlen(due));
	/* Which name the loader knows it by is of no use to anybody. */
	assert_null(strstr(why, "/proc/"));
}

static void a_name_that_is_not_in_the_plugin_folder_tells_the_folder(void **state)
{
	(void)state;
	refuse("there-is-none-of-this-name.so", -ENOENT);
	assert_memory_equal(why, "there is no /", strlen("there is no /"));
	expect_why_has("/there-is-none-of-this-name.so; install the plugin there, or write an "
		       "absolute path");
}

static void an_absolute_path_that_leads_nowhere_is_told(void **state)
{
	const char *path = scratch_path("missing.so");

	(void)state;
	refuse(path, -ENOENT);
	expect_why("%s: No such file or directory", path);
	scratch_write("file", "");
	path = scratch_path("file/plugin.so");
	refuse(path, -ENOTDIR);
	expect_why("%s: Not a directory", path);
}

static void a_path_without_an_end_is_refused(void **state)
{
	static char path[8000];

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	refuse(path, -ENAMETOOLONG);
	expect_why_has("/xxx");
}

static void a_folder_is_no_plugin(void **state)
{
	const char *path = scratch_path("folder.so");

	(void)state;
	scratch_make_folder("folder.so");
	refuse(path, -EINVAL);
	expect_why("%s is no regular file; name a shared object", path);
}

static void a_device_or_a_fifo_is_no_plugin_and_is_not_waited_for(void **state)
{
	const char *path = scratch_path("fifo.so");

	(void)state;
	assert_int_equal(mkfifo(path, 0644), 0);
	refuse(path, -EINVAL);
	expect_why("%s is no regular file; name a shared object", path);
	refuse("/dev/null", -EINVAL);
	expect_why("%s is no regular file; name a shared object", "/dev/null");
}

static void another_users_file_is_refused(void **state)
{
	const char *path = sound_file("theirs.so");

	(void)state;
	if (geteuid() == 0)
		assert_int_equal(chown(path, NOBODY, 0), 0);
	refuse(path, -EPERM);
	expect_why_has(path);
	expect_why_has(" belongs to user ");
	expect_why_has("; chown it to root");
}

static void a_file_that_others_may_write_is_refused(void **state)
{
	static const mode_t modes[] = {0664, 0646, 0666, 0620, 01666};

	(void)state;
	need_root();
	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		const char *path = sound_file("writable.so");

		assert_int_equal(chmod(path, modes[i]), 0);
		refuse(path, -EPERM);
		expect_why("%s may be written to by others than root; chmod go-w it", path);
	}
}

static void a_folder_that_others_may_write_is_refused(void **state)
{
	const char *path, *folder = scratch_path("open");

	(void)state;
	need_root();
	scratch_make_folder("open");
	path = sound_file("open/plugin.so");
	assert_int_equal(chmod(folder, 0777), 0);
	refuse(path, -EPERM);
	expect_why("%s may be written to by others than root; chmod go-w it", folder);
	assert_int_equal(chmod(folder, 0775), 0);
	refuse(path, -EPERM);
	expect_why("%s may be written to by others than root; chmod go-w it", folder);
	assert_int_equal(chmod(folder, 0755), 0);
	expect_refused_for_its_content(path);
}

/* Nobody can replace another's file there. */
static void a_sticky_folder_of_root_will_do(void **state)
{
	const char *path, *folder = scratch_path("sticky");

	(void)state;
	need_root();
	scratch_make_folder("sticky");
	path = sound_file("sticky/plugin.so");
	assert_int_equal(chmod(folder, 01777), 0);
	expect_refused_for_its_content(path);
	assert_int_equal(chown(folder, NOBODY, 0), 0);
	refuse(path, -EPERM);
	expect_why("%s belongs to user 65534; chown it to root", folder);
}

static void another_users_folder_is_refused(void **state)
{
	const char *path, *folder = scratch_path("theirs");

	(void)state;
	need_root();
	scratch_make_folder("theirs");
	path = sound_file("theirs/plugin.so");
	assert_int_equal(chown(folder, NOBODY, 0), 0);
	refuse(path, -EPERM);
	expect_why("%s belongs to user 65534; chown it to root", folder);
}

static void a_link_is_judged_by_what_it_leads_to(void **state)
{
	const char *path, *link = scratch_path("link.so");

	(void)state;
	need_root();
	scratch_make_folder("far");
	path = scratch_path("far/plugin.so");
	assert_int_equal(symlink(path, link), 0);
	refuse(link, -ENOENT);
	expect_why("%s: No such file or directory", link);
	sound_file("far/plugin.so");
	refuse(link, -ENOEXEC);
	assert_memory_equal(why, path, strlen(path));
	assert_int_equal(chmod(path, 0666), 0);
	refuse(link, -EPERM);
	expect_why("%s may be written to by others than root; chmod go-w it", path);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chmod(scratch_path("far"), 0777), 0);
	refuse(link, -EPERM);
	expect_why("%s may be written to by others than root; chmod go-w it", scratch_path("far"));
}

/* As the daemon is when it loads plugins. */
static void refuse_as_nobody(const char *path, int error)
{
	int result;

	assert_int_equal(setresuid(NOBODY, NOBODY, 0), 0);
	result = plugin_module_load(&module, path, why);
	assert_int_equal(setresuid(0, 0, 0), 0);
	assert_int_equal(result, error);
}

static void what_the_daemons_user_cannot_reach_is_told(void **state)
{
	const char *path, *folder = scratch_path("closed");

	(void)state;
	need_root();
	/* The scratch folder is this user's own, and closed to others at first. */
	path = sound_file("plugin.so");
	refuse_as_nobody(path, -EACCES);
	expect_why("user 65534 may not read %s, or not enter a folder above it; chmod a+r the file "
		   "and a+x the folders",
		   path);
	assert_int_equal(chmod(scratch_path("."), 0755), 0);
	assert_int_equal(chmod(path, 0600), 0);
	refuse_as_nobody(path, -EACCES);
	expect_why("user 65534 may not read %s, or not enter a folder above it; chmod a+r the file "
		   "and a+x the folders",
		   path);
	scratch_make_folder("closed");
	path = sound_file("closed/plugin.so");
	assert_int_equal(chmod(folder, 0700), 0);
	refuse_as_nobody(path, -EACCES);
	expect_why("user 65534 may not read %s, or not enter a folder above it; chmod a+r the file "
		   "and a+x the folders",
		   path);
}

static void a_file_that_is_no_shared_object_is_refused(void **state)
{
	(void)state;
	need_root();
	expect_refused_for_its_content(sound_file("text.so"));
	expect_refused_for_its_content(scratch_write("empty.so", ""));
	expect_refused_for_its_content(scratch_write("elf.so", "\177ELF and no more"));
}

static void a_library_that_is_no_plugin_is_refused(void **state)
{
	void *library = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
	struct link_map *map = NULL;
	char *path;

	(void)state;
	assert_non_null(library);
	assert_int_equal(dlinfo(library, RTLD_DI_LINKMAP, &map), 0);
	path = realpath(map->l_name, NULL);
	assert_non_null(path);
	refuse(path, -ENOEXEC);
	expect_why("%s exports no mmproxy_plugin_v1: it is no plugin, or one for another major "
		   "version of the interface than 1",
		   path);
	free(path);
	dlclose(library);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_begin, scratch_end)
	const struct CMUnitTest tests[] = {
		TEST(a_name_that_is_not_in_the_plugin_folder_tells_the_folder),
		TEST(an_absolute_path_that_leads_nowhere_is_told),
		TEST(a_path_without_an_end_is_refused),
		TEST(a_folder_is_no_plugin),
		TEST(a_device_or_a_fifo_is_no_plugin_and_is_not_waited_for),
		TEST(another_users_file_is_refused),
		TEST(a_file_that_others_may_write_is_refused),
		TEST(a_folder_that_others_may_write_is_refused),
		TEST(a_sticky_folder_of_root_will_do),
		TEST(another_users_folder_is_refused),
		TEST(a_link_is_judged_by_what_it_leads_to),
		TEST(what_the_daemons_user_cannot_reach_is_told),
		TEST(a_file_that_is_no_shared_object_is_refused),
		TEST(a_library_that_is_no_plugin_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
