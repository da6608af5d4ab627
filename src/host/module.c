/* SPDX-License-Identifier: MIT */
/*
 * Loading a plugin. It becomes part of a process that holds CAP_NET_ADMIN, so the file must be the
 * administrator's: owned by root, and neither it nor its folder open to anybody else's writing.
 * Then the two sides compare what they know of the interface, before the first call.
 */
#include "host/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* The file behind all links, so that what is judged is what is loaded. NULL after fail(). */
static char *find_file(const char *path, char why[static PLUGIN_MODULE_WHY_SIZE])
{
	char whole[PATH_MAX];
	char *found;

	if (path[0] == '/')
		snprintf(whole, sizeof(whole), "%s", path);
	else
		snprintf(whole, sizeof(whole), "%s/%s", PLUGINDIR, path);
	found = realpath(whole, NULL);
	if (found != NULL)
		return found;
	if (errno == ENOENT && path[0] != '/')
		fail(why, 0, "there is no %s; install the plugin there, or write an absolute path",
		     whole);
	else if (errno == EACCES)
		fail(why, 0,
		     "%s is in a folder that user %u may not enter; move it, or chmod o+x "
		     "the folders above it",
		     whole, (unsigned)geteuid());
	else
		fail(why, 0, "%s: %s", whole, strerror(errno));
	return NULL;
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

static int judge_file(const char *path, char why[static PLUGIN_MODULE_WHY_SIZE])
{
	struct stat status;
	int error;

	if (stat(path, &status) < 0)
		return fail(why, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(status.st_mode))
		return fail(why, -EINVAL, "%s is no regular file; name a shared object", path);
	error = judge_owner(path, &status, false, why);
	if (error == 0)
		error = judge_folder(path, why);
	if (error == 0 && access(path, R_OK) < 0)
		error = fail(why, -errno, "%s cannot be read by user %u; chmod a+r it", path,
			     (unsigned)geteuid());
	return error;
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
			    "%u.%u; build it again with this mmproxy's header",
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
			    "%u.%u; update mmproxy, or build the plugin with this one's header",
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

static int load_file(struct plugin_module *module, char why[static PLUGIN_MODULE_WHY_SIZE])
{
	const struct mmproxy_plugin *plugin;
	int error;

	module->handle = dlopen(module->path, RTLD_NOW | RTLD_LOCAL);
	if (module->handle == NULL)
		return fail(why, -ENOEXEC, "it cannot be loaded: %s", dlerror());
	plugin = dlsym(module->handle, "mmproxy_plugin_v1");
	if (plugin != NULL)
		error = judge_descriptor(plugin, &module->hooks, why);
	else
		error = fail(why, -ENOEXEC,
			     "%s exports no mmproxy_plugin_v1: it is no plugin, or one for another "
			     "major version of the interface than 1",
			     module->path);
	if (error < 0)
		dlclose(module->handle);
	return error;
}

int plugin_module_load(struct plugin_module *module, const char *path,
		       char why[static PLUGIN_MODULE_WHY_SIZE])
{
	int error;

	*module = (struct plugin_module){.path = find_file(path, why)};
	if (module->path == NULL)
		return -ENOENT;
	error = judge_file(module->path, why);
	if (error == 0)
		error = load_file(module, why);
	if (error < 0)
		free(module->path);
	return error;
}

void plugin_module_unload(struct plugin_module *module)
{
	dlclose(module->handle);
	free(module->path);
}
