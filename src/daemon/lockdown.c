/* SPDX-License-Identifier: MIT */
/*
 * Which files a running mmproxy opens: those that its configuration names, with the folders that
 * they are in, as editors and package managers replace files rather than write to them; what the
 * loader of plugins and the C library read; and what shows this process to itself.
 *
 * A reload opens files as well. What it names anew must lie in one of these folders, or in one of
 * landlock.paths; nothing can be opened later.
 */
#include "daemon/lockdown.h"

#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/report.h"
#include "base/sanitizer.h"
#include "daemon/control/control.h"
#include "daemon/server_state.h"
#include "host/module.h"
#include "host/plugin_config.h"
#include "os/landlock.h"
#include "os/log.h"
#include "os/seccomp.h"

/* Read by this process or the libraries in it; where there is no such file, none is read. */
static const char *const always_readable[] = {
	/* This process; the network settings that the check of the return path asks for. */
	"/proc/self",
	"/proc/sys/net",
	/* How many CPUs there are: malloc asks. */
	"/sys/devices/system/cpu",
	/* What plugins are linked with. */
	"/lib",
	"/lib32",
	"/lib64",
	"/usr/lib",
	"/usr/lib32",
	"/usr/lib64",
	"/usr/local/lib",
	"/etc/ld.so.cache",
	"/etc/ld.so.preload",
	/* libnftables. */
	"/etc/iproute2",
	"/usr/share/iproute2",
	"/etc/protocols",
	"/etc/services",
	/* Times and names, should a plugin ask for them. */
	"/etc/localtime",
	"/usr/share/zoneinfo",
	"/etc/nsswitch.conf",
	"/etc/passwd",
	"/etc/group",
	"/dev/urandom",
};

/* Where the service manager lets a service write. Each may name several folders. */
static const char *const service_folders[] = {"RUNTIME_DIRECTORY", "STATE_DIRECTORY",
					      "CACHE_DIRECTORY", "LOGS_DIRECTORY"};

/* What cannot be reached cannot be opened either, with or without a rule. */
static void allow(struct landlock *landlock, const char *path, enum landlock_access access)
{
	int error = landlock_allow(landlock, path, access);

	if (error < 0)
		log_debug("landlock", "no rule", LOG_TEXT("path", path), LOG_ERRNO("error", error));
}

/* "." for the working directory. `path` fits. */
static void folder_of(const char *path, char folder[static PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		snprintf(folder, PATH_MAX, ".");
	else
		snprintf(folder, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

/* The folder that the file is in; but where that is the root of all, the file alone. */
static void allow_folder_of(struct landlock *landlock, const char *path,
			    enum landlock_access access)
{
	char folder[PATH_MAX];

	if (strlen(path) >= sizeof(folder))
		return; /* nobody can open that */
	folder_of(path, folder);
	allow(landlock, strcmp(folder, "/") == 0 ? path : folder, access);
}

/* Both where it is named and where it is, should it be a link. */
static void allow_file(struct landlock *landlock, const char *path, enum landlock_access access)
{
	char *whole = realpath(path, NULL);

	allow_folder_of(landlock, path, access);
	if (whole != NULL && strcmp(whole, path) != 0)
		allow_folder_of(landlock, whole, access);
	free(whole);
}

/*
 * The plugin has not been asked yet which of its texts are paths, so each may be one, and a plugin
 * may write to what this process may write to by the file's or its folder's permissions.
 */
static void allow_text(struct landlock *landlock, const struct mmproxy_config *setting)
{
	char path[PATH_MAX], folder[PATH_MAX];
	enum landlock_access access_wanted = LANDLOCK_ACCESS_READ;
	struct stat status;

	if (setting->text[0] == '\0' ||
	    snprintf(path, sizeof(path), "%s%s",
		     setting->text[0] == '/' ? "" : setting->root->folder,
		     setting->text) >= (int)sizeof(path))
		return;
	/* A word, and no file. */
	if (strpbrk(setting->text, "/.") == NULL && access(path, F_OK) < 0)
		return;
	if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
		allow(landlock, path,
		      access(path, W_OK) == 0 ? LANDLOCK_ACCESS_WRITE : LANDLOCK_ACCESS_READ);
		return;
	}
	folder_of(path, folder);
	if (access(path, W_OK) == 0 || access(folder, W_OK) == 0)
		access_wanted = LANDLOCK_ACCESS_WRITE;
	allow_file(landlock, path, access_wanted);
}

static void allow_settings(struct landlock *landlock, const struct mmproxy_config *setting)
{
	if (setting->type == PLUGIN_CONFIG_TEXT)
		allow_text(landlock, setting);
	for (size_t i = 0; i < setting->count; i++)
		allow_settings(landlock, setting->children[i]);
}

static void allow_plugins(struct landlock *landlock, const struct plugin_list *list)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < list->count; i++) {
		if (list->entries[i].path != NULL) {
			plugin_module_find(list->entries[i].path, path, sizeof(path));
			allow_file(landlock, path, LANDLOCK_ACCESS_READ);
		}
		allow_settings(landlock, list->entries[i].config);
	}
}

/* The folders of the libraries that are there, wherever this host keeps them. */
static int allow_library(struct dl_phdr_info *library, size_t size, void *context)
{
	(void)size;
	if (strchr(library->dlpi_name, '/') != NULL)
		allow_file(context, library->dlpi_name, LANDLOCK_ACCESS_READ);
	return 0;
}

static void allow_service_folders(struct landlock *landlock)
{
	for (size_t i = 0; i < sizeof(service_folders) / sizeof(service_folders[0]); i++) {
		const char *folders = getenv(service_folders[i]);
		char *copy = folders != NULL ? strdup(folders) : NULL, *rest = copy, *folder;

		while ((folder = strsep(&rest, ":")) != NULL) {
			if (folder[0] == '/')
				allow(landlock, folder, LANDLOCK_ACCESS_WRITE);
		}
		free(copy);
	}
}

static void allow_configured(struct landlock *landlock, const struct config *config)
{
	for (size_t i = 0; i < config->files.count; i++)
		allow_file(landlock, config->files.texts[i], LANDLOCK_ACCESS_READ);
	/* A reload looks the group up again, and accounts are changed by replacing these files. */
	if (config->control.group != NULL)
		allow(landlock, "/etc", LANDLOCK_ACCESS_READ);
	allow_plugins(landlock, &config->plugins);
	for (size_t i = 0; i < config->listener_count; i++)
		allow_plugins(landlock, &config->listeners[i].plugins);
	for (size_t i = 0; i < config->landlock.paths.count; i++) {
		const char *path = config->landlock.paths.texts[i];
		int error = landlock_allow(landlock, path, LANDLOCK_ACCESS_WRITE);

		if (error < 0)
			log_warning("landlock",
				    "a path of landlock.paths cannot be opened: it stays closed to "
				    "reloads and plugins",
				    LOG_TEXT("where", config->landlock.where),
				    LOG_TEXT("path", path), LOG_ERRNO("error", error));
	}
}

/* A report names functions, and has another program look them up. */
static void allow_sanitizer(struct landlock *landlock)
{
#ifdef WITH_SANITIZER
	allow_file(landlock, "/proc/self/exe", LANDLOCK_ACCESS_READ);
	allow(landlock, "/usr/bin", LANDLOCK_ACCESS_EXECUTE);
	allow(landlock, "/usr/lib", LANDLOCK_ACCESS_EXECUTE);
#else
	(void)landlock;
#endif
}

static void allow_all(struct landlock *landlock, const struct server *server)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(always_readable) / sizeof(always_readable[0]); i++)
		allow(landlock, always_readable[i], LANDLOCK_ACCESS_READ);
	allow(landlock, "/dev/null", LANDLOCK_ACCESS_WRITE);
	dl_iterate_phdr(allow_library, landlock);
	plugin_module_find("", path, sizeof(path));
	allow(landlock, path, LANDLOCK_ACCESS_READ);
	allow_service_folders(landlock);
	if (control_file(server) != NULL)
		allow_folder_of(landlock, control_file(server), LANDLOCK_ACCESS_REMOVE);
	allow_sanitizer(landlock);
	allow_configured(landlock, &server->generation->config);
}

static int cannot_restrict(int error)
{
	log_error("landlock", "cannot restrict files", LOG_ERRNO("error", error),
		  LOG_TEXT("hint", "landlock = { mode = \"off\"; } goes without"));
	return -1;
}

/*
 * `error` says why there is no Landlock. Where memory or descriptors have run out there may be one,
 * and nobody has agreed to go without.
 */
static int judge_absence(int error)
{
	if (report_is_failure(error))
		return cannot_restrict(error);
	log_info("landlock",
		 "files are not restricted: this kernel has no Landlock, or does not use it",
		 LOG_ERRNO("error", error));
	return 0;
}

int lockdown_files(struct server *server)
{
	struct landlock landlock;
	unsigned places;
	int error;

	if (server->generation->config.landlock.off)
		return 0;
	error = landlock_begin(&landlock);
	if (error < 0) {
		landlock_finish(&landlock);
		return judge_absence(error);
	}
	allow_all(&landlock, server);
	places = landlock_places();
	error = landlock_enforce(&landlock);
	landlock_finish(&landlock);
	if (error < 0)
		return cannot_restrict(error);
	server->files_locked = true;
	log_info("landlock", "files are restricted", LOG_NUMBER("abi", (uint64_t)landlock.abi),
		 LOG_NUMBER("places", places));
	return 0;
}

int lockdown_system_calls(struct server *server)
{
	enum seccomp_use use = server->generation->config.seccomp;
	int error;

	if (use == SECCOMP_USE_OFF)
		return 0;
	error = seccomp_enforce(use, server->datapath != NULL);
	if (error == -ENOTSUP) {
		log_info("seccomp", "system calls are not filtered: built without libseccomp");
		return 0;
	}
	if (error == -ENOSYS) {
		log_info("seccomp",
			 "system calls are not filtered: this kernel has no filters, or lets this "
			 "process have none");
		return 0;
	}
	if (error < 0) {
		log_error("seccomp", "cannot filter system calls", LOG_ERRNO("error", error),
			  LOG_TEXT("hint", "seccomp = \"off\" goes without"));
		return -1;
	}
	server->calls_locked = true;
	log_info("seccomp", "system calls are filtered",
		 LOG_TEXT("mode", use == SECCOMP_USE_ON ? "on" : "log"));
	return 0;
}

int lockdown_verify(struct server *server)
{
	int error = server->calls_locked ? seccomp_verify() : 0;

	if (error < 0) {
		log_error("seccomp",
			  "refusing to run: /proc/self/task shows a thread without a filter",
			  LOG_ERRNO("error", error));
		return -1;
	}
	error = server->files_locked ? landlock_verify() : 0;
	if (error < 0) {
		log_error("landlock", "refusing to run: a folder that no rule opens is open",
			  LOG_TEXT("path", "/"));
		return -1;
	}
	return 0;
}
