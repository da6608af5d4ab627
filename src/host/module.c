/* SPDX-License-Identifier: MIT */
/*
 * Loading a plugin. It becomes part of a process that holds CAP_NET_ADMIN, so the file must be the
 * administrator's: owned by root, and neither it nor its folder open to anybody else's writing.
 * Then the two sides compare what they know of the interface, before the first call.
 */
#include "host/module.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/landlock.h"

#ifndef PLUGINDIR
#define PLUGINDIR "/usr/lib/mmproxy/plugins"
#endif

/* What version 1.0 of the interface has; no plugin has less. */
#define SIZE_OF_1_0 (offsetof(struct mmproxy_plugin, closed) + sizeof(void *))

/* None is defined yet. */
#define KNOWN_FLAGS UINT64_C(0)

static int fail(char why[static PLUGIN_MODULE_WHY_SIZE], int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(char why[static PLUGIN_MODULE_WHY_SIZE], int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, PLUGIN_MODULE_WHY_SIZE, format, arguments);
	va_end(arguments);
	return error;
}

void plugin_module_find(const char *path, char *whole, size_t size)
{
	snprintf(whole, size, "%s%s%s", path[0] == '/' ? "" : PLUGINDIR, path[0] == '/' ? "" : "/",
		 path);
}

/* Opens the file, a relative path from the plugin folder. Its descriptor, or fail(). */
static int open_file(const char *path, char **found, char why[static PLUGIN_MODULE_WHY_SIZE])
{
	char whole[PATH_MAX];
	int fd, error;

	plugin_module_find(path, whole, sizeof(whole));
	/* Non-blocking, lest a fifo holds the start up. */
	fd = open(whole, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	error = -errno;
	*found = fd >= 0 ? realpath(whole, NULL) : NULL;
	if (*found != NULL)
		return fd;
	if (fd >= 0) {
		error = -errno;
		close(fd);
	}
	if (error == -ENOENT && path[0] != '/')
		return fail(why, error,
			    "there is no %s; install the plugin there, or write an absolute path",
			    whole);
	if (error == -EACCES && landlock_is_outside(whole))
		return fail(why, error, "%s: %s", whole, LANDLOCK_OUTSIDE);
	if (error == -EACCES)
		return fail(why, error,
			    "user %u may not read %s, or not enter a folder above it; chmod a+r "
			    "the file and a+x the folders",
			    (unsigned)geteuid(), whole);
	return fail(why, error, "%s: %s", whole, strerror(-error));
}

static int judge_owner(const char *path, const struct stat *status, bool is_folder,
		       char why[static PLUGIN_MODULE_WHY_SIZE])
{
	/* In a sticky folder nobody can replace another's file. */
	bool sticky = is_folder && (status->st_mode & S_ISVTX) != 0;

	if (status->st_uid != 0)
		return fail(why, -EPERM, "%s belongs to user %u; chown it to root", path,
			    (unsigned)status->st_uid);
	if ((status->st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky)
		return fail(why, -EPERM, "%s may be written to by others than root; chmod go-w it",
			    path);
	return 0;
}

static int judge_folder(const char *path, char why[static PLUGIN_MODULE_WHY_SIZE])
{
	char folder[PATH_MAX];
	char *slash;
	struct stat status;

	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	slash[slash == folder] = '\0'; /* "/" stays "/" */
	if (stat(folder, &status) < 0)
		return fail(why, -errno, "%s: %s", folder, strerror(errno));
	return judge_owner(folder, &status, true, why);
}

/*
 * Is all of it there? The loader maps what the headers speak of, and where the file ends earlier
 * the process dies of it; a copy that is under way must not end a daemon that reloads. Nor must a
 * file that would have all stacks made executable, which the filter of system calls punishes with
 * death. What is no shared object at all is left to the loader's own words.
 */
static int judge_segments(int fd, const char *path, const struct stat *status,
			  char why[static PLUGIN_MODULE_WHY_SIZE])
{
	ElfW(Ehdr) file;
	ElfW(Phdr) segment;
	off_t offset;

	if (pread(fd, &file, sizeof(file), 0) != sizeof(file) ||
	    memcmp(file.e_ident, ELFMAG, SELFMAG) != 0 || file.e_phentsize != sizeof(segment))
		return 0;
	for (unsigned i = 0; i < file.e_phnum; i++) {
		offset = (off_t)(file.e_phoff + i * sizeof(segment));
		if (pread(fd, &segment, sizeof(segment), offset) != sizeof(segment) ||
		    (segment.p_type == PT_LOAD &&
		     (segment.p_filesz > (ElfW(Off))status->st_size ||
		      segment.p_offset > (ElfW(Off))status->st_size - segment.p_filesz)))
			return fail(why, -ENOEXEC,
				    "%s is cut short; copy it beside its place, then rename it",
				    path);
		if (segment.p_type == PT_GNU_STACK && (segment.p_flags & PF_X) != 0)
			return fail(why, -ENOEXEC,
				    "%s wants executable stacks, which a plugin cannot have; link "
				    "it with -z noexecstack",
				    path);
	}
	return 0;
}

static int judge_file(int fd, const char *path, char why[static PLUGIN_MODULE_WHY_SIZE])
{
	struct stat status;
	int error;

	if (fstat(fd, &status) < 0)
		return fail(why, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(status.st_mode))
		return fail(why, -EINVAL, "%s is no regular file; name a shared object", path);
	error = judge_owner(path, &status, false, why);
	if (error == 0)
		error = judge_folder(path, why);
	return error < 0 ? error : judge_segments(fd, path, &status, why);
}

/*
 * A file that is loaded. It is still the same when it is loaded again, as long as somebody uses it:
 * until then its inode is no other file's.
 */
struct loaded_file {
	struct loaded_file *next;
	dev_t device;
	ino_t inode;
	unsigned users;
	char name[128]; /* for the loader: "/proc/self/fd/", two characters a bit, and ten digits */
};

static struct loaded_file *loaded_files;

static struct loaded_file *find_loaded(const struct stat *status)
{
	struct loaded_file *file = loaded_files;

	while (file != NULL && (file->device != status->st_dev || file->inode != status->st_ino))
		file = file->next;
	return file;
}

/*
 * The very file that was judged, by its descriptor. The loader knows a file again by the name it
 * was loaded by, before it looks whether it is the same file; a descriptor's number comes back, so
 * each name is written as none before: a "./" or a "/" for each bit of a number that counts. So a
 * file that was replaced is loaded beside the old one.
 */
static void write_name(struct loaded_file *file, int fd)
{
	static unsigned loaded;
	char *end = stpcpy(file->name, "/proc/self/fd/");

	loaded++;
	for (unsigned bits = loaded; bits > 0; bits >>= 1)
		end = stpcpy(end, (bits & 1) != 0 ? "./" : "/");
	sprintf(end, "%d", fd);
}

/* The file behind the descriptor, with one more user; NULL when memory ran out. */
static struct loaded_file *take_file(int fd)
{
	struct loaded_file *file;
	struct stat status;

	if (fstat(fd, &status) < 0)
		return NULL;
	file = find_loaded(&status);
	if (file == NULL) {
		file = calloc(1, sizeof(*file));
		if (file == NULL)
			return NULL;
		file->device = status.st_dev;
		file->inode = status.st_ino;
		write_name(file, fd);
		file->next = loaded_files;
		loaded_files = file;
	}
	file->users++;
	return file;
}

static void drop_file(struct loaded_file *file)
{
	struct loaded_file **at = &loaded_files;

	if (--file->users > 0)
		return;
	while (*at != file)
		at = &(*at)->next;
	*at = file->next;
	free(file);
}

/*
 * One that is loaded already is asked for by the name that it has: the loader keeps every name that
 * it was ever given for a file, and a reload loads the plugins that stay before it lets them go.
 */
static int load_by_descriptor(struct plugin_module *module, int fd)
{
	module->file = take_file(fd);
	if (module->file == NULL)
		return -ENOMEM;
	module->handle = dlopen(module->file->name, RTLD_NOW | RTLD_LOCAL);
	if (module->handle != NULL)
		return 0;
	drop_file(module->file);
	return -ENOEXEC;
}

static void unload(struct plugin_module *module)
{
	dlclose(module->handle);
	drop_file(module->file);
}

static bool all_zero(const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] != 0)
			return false;
	}
	return true;
}

/* Does the descriptor speak our language? Copies as much of it as both sides know. */
static int judge_descriptor(const struct mmproxy_plugin *plugin, struct mmproxy_plugin *hooks,
			    char why[static PLUGIN_MODULE_WHY_SIZE])
{
	size_t known = plugin->size < sizeof(*hooks) ? plugin->size : sizeof(*hooks);

	if (plugin->abi_major != MMPROXY_ABI_MAJOR)
		return fail(why, -EPROTO,
			    "it was built for version %u.%u of the plugin interface, and this is "
			    "%d.%d; build it again with this mmproxy's header",
			    plugin->abi_major, plugin->abi_minor, MMPROXY_ABI_MAJOR,
			    MMPROXY_ABI_MINOR);
	if (plugin->size < SIZE_OF_1_0)
		return fail(why, -EPROTO,
			    "its descriptor has %u bytes, and version 1.0 has %zu; set size to "
			    "sizeof(struct mmproxy_plugin)",
			    plugin->size, SIZE_OF_1_0);
	if (plugin->size > known &&
	    !all_zero((const uint8_t *)plugin + known, plugin->size - known))
		return fail(why, -EPROTO,
			    "it uses hooks of version %u.%u of the plugin interface, and this is "
			    "%d.%d; update mmproxy, or build the plugin with this one's header",
			    plugin->abi_major, plugin->abi_minor, MMPROXY_ABI_MAJOR,
			    MMPROXY_ABI_MINOR);
	*hooks = (struct mmproxy_plugin){0};
	memcpy(hooks, plugin, known);
	if ((hooks->flags & ~KNOWN_FLAGS) != 0)
		return fail(why, -EPROTO,
			    "it sets flags that this mmproxy does not know (0x%llx); update "
			    "mmproxy, or build the plugin with this one's header",
			    (unsigned long long)(hooks->flags & ~KNOWN_FLAGS));
	if (hooks->name == NULL || hooks->name[0] == '\0' || hooks->version == NULL)
		return fail(why, -EPROTO, "its descriptor has no name or no version; set both");
	return 0;
}

/* Without the name that it begins with, by which the file was loaded: it says nothing to anybody.
 */
static const char *loader_error(void)
{
	const char *text = dlerror(), *colon = strstr(text, ": ");

	return strncmp(text, "/proc/self/fd/", 14) == 0 && colon != NULL ? colon + 2 : text;
}

static int load_file(struct plugin_module *module, int fd, char why[static PLUGIN_MODULE_WHY_SIZE])
{
	const struct mmproxy_plugin *plugin;
	int error;

	error = load_by_descriptor(module, fd);
	if (error == -ENOMEM)
		return fail(why, error, "%s cannot be loaded: %s", module->path, strerror(ENOMEM));
	if (error < 0)
		return fail(why, error, "%s cannot be loaded: %s", module->path, loader_error());
	plugin = dlsym(module->handle, "mmproxy_plugin_v1");
	if (plugin != NULL)
		error = judge_descriptor(plugin, &module->hooks, why);
	else
		error = fail(why, -ENOEXEC,
			     "%s exports no mmproxy_plugin_v1: it is no plugin, or one for another "
			     "major version of the interface than 1",
			     module->path);
	if (error < 0)
		unload(module);
	return error;
}

int plugin_module_load(struct plugin_module *module, const char *path,
		       char why[static PLUGIN_MODULE_WHY_SIZE])
{
	int fd, error;

	*module = (struct plugin_module){0};
	fd = open_file(path, &module->path, why);
	if (fd < 0)
		return fd;
	error = judge_file(fd, module->path, why);
	if (error == 0)
		error = load_file(module, fd, why);
	close(fd);
	if (error < 0)
		free(module->path);
	return error;
}

void plugin_module_unload(struct plugin_module *module)
{
	unload(module);
	free(module->path);
}
