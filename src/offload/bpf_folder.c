/* SPDX-License-Identifier: MIT */
#include "offload/bpf_folder.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/report.h"
#include "offload/remembered.h"

static int fail(struct report *report, const char *what, const char *path, int error)
{
	report_add_failure(report, "%s %s: %s", what, path, strerror(-error));
	return error;
}

int bpf_folder_is_in_bpf(const char *path)
{
	struct statfs status;

	if (statfs(path, &status) < 0)
		return -errno;
	return status.f_type == BPF_FS_MAGIC;
}

/* `path` becomes that of the folder it is in. False: there is none above. */
static bool go_up(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash == NULL || slash == path)
		return false;
	*slash = '\0';
	return true;
}

static int mount_it(const char *directory, struct report *report)
{
	static const char below[] = BPF_FOLDER_MOUNT "/";

	if (strncmp(directory, below, sizeof(below) - 1) != 0) {
		report_add(report,
			   "%s is in no BPF file system; mount one there (mount -t bpf bpf "
			   "FOLDER), or "
			   "leave offload_directory at its default",
			   directory);
		return -EINVAL;
	}
	if (mount("bpf", BPF_FOLDER_MOUNT, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") <
	    0)
		return fail(report, "cannot mount a BPF file system at", BPF_FOLDER_MOUNT, -errno);
	return 0;
}

int bpf_folder_make(const char *directory, const struct owner *owner, struct report *report)
{
	char parent[PATH_MAX];
	int in_bpf, error = 0;

	snprintf(parent, sizeof(parent), "%s", directory);
	if (!go_up(parent))
		return fail(report, "cannot make", directory, -EINVAL);
	in_bpf = bpf_folder_is_in_bpf(parent);
	if (in_bpf < 0)
		return fail(report, "cannot look at", parent, in_bpf);
	if (in_bpf == 0)
		error = mount_it(directory, report);
	if (error < 0)
		return error;
	if (mkdir(directory, 0750) < 0 && errno != EEXIST)
		return fail(report, "cannot make", directory, -errno);
	if (chown(directory, owner->user, owner->group) < 0)
		return fail(report, "cannot give to the user", directory, -errno);
	return 0;
}

/* The folder at which the directory's file system is mounted. */
static int find_root(const char *directory, char root[static PATH_MAX])
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", directory);
	snprintf(root, PATH_MAX, "%s", directory);
	while (go_up(path)) {
		int in_bpf = bpf_folder_is_in_bpf(path);

		if (in_bpf < 0)
			return in_bpf;
		if (in_bpf == 0)
			return 0;
		snprintf(root, PATH_MAX, "%s", path);
	}
	return 0;
}

int bpf_folder_open_way(const char *directory, int remembered, struct report *report)
{
	struct remembered what = {.kind = REMEMBERED_MODE};
	char root[PATH_MAX];
	struct stat status;
	int error = find_root(directory, root);

	if (error < 0 || stat(root, &status) < 0)
		return fail(report, "cannot look at", directory, error < 0 ? error : -errno);
	what.former = (int32_t)(status.st_mode & 07777);
	what.set = what.former | S_IXOTH;
	if (what.former == what.set || strcmp(root, directory) == 0)
		return 0;
	error = remembered_add(remembered, &what);
	if (error == 0 && chmod(root, (mode_t)what.set) < 0)
		error = -errno;
	return error < 0 ? fail(report, "cannot open the way through", root, error) : 0;
}

/* Is there another directory of an instance beside this one? */
static bool has_others(const char *root, const char *directory)
{
	char path[PATH_MAX + NAME_MAX + 16];
	DIR *folder = opendir(root);
	const struct dirent *entry;
	bool found = false;

	while (folder != NULL && !found && (entry = readdir(folder)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", root, entry->d_name);
		if (entry->d_name[0] == '.' || strcmp(path, directory) == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s/remembered", root, entry->d_name);
		found = access(path, F_OK) == 0;
	}
	if (folder != NULL)
		closedir(folder);
	return found;
}

int bpf_folder_close_way(const char *directory, const struct remembered *what, struct report *notes)
{
	char root[PATH_MAX];
	struct stat status;
	int error = find_root(directory, root);

	if (error < 0)
		return error;
	if (stat(root, &status) < 0)
		return -errno;
	if ((int32_t)(status.st_mode & 07777) != what->set)
		return 0;
	if (has_others(root, directory)) {
		report_add(notes, "%s stays open to be passed through: another instance is there",
			   root);
		return 0;
	}
	return chmod(root, (mode_t)what->former) < 0 ? -errno : 0;
}
