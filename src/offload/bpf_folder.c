/* SPDX-License-Identifier: MIT */
#include "offload/bpf_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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

static int refuse_outside(const char *directory, struct report *report)
{
	report_add(report,
		   "%s is in no BPF file system; mount one there (mount -t bpf -o mode=0700 bpf "
		   "FOLDER), or leave offload_directory at its default",
		   directory);
	return -EINVAL;
}

static int mount_it(const char *directory, struct report *report)
{
	static const char below[] = BPF_FOLDER_MOUNT "/";

	/* Over one that is there, others' pins would be hidden. */
	if (strncmp(directory, below, sizeof(below) - 1) != 0 ||
	    bpf_folder_is_in_bpf(BPF_FOLDER_MOUNT) == 1)
		return refuse_outside(directory, report);
	if (mount("bpf", BPF_FOLDER_MOUNT, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") <
	    0)
		return fail(report, "cannot mount a BPF file system at", BPF_FOLDER_MOUNT, -errno);
	return 0;
}

/* `path` is no link and root's, and nobody else can put another in the place of what is in it. */
static int check_one(const char *path, struct report *report)
{
	struct stat status;

	if (lstat(path, &status) < 0)
		return errno == ENOENT ? -ENOENT : fail(report, "cannot look at", path, -errno);
	if (!S_ISDIR(status.st_mode)) {
		report_add(report,
			   "%s is a link, or no folder: root works below it, so it has to be a "
			   "folder of root's; remove it",
			   path);
		return -ENOTDIR;
	}
	if (status.st_uid != 0) {
		report_add(report,
			   "%s belongs to user %u: root works below it, so it has to be root's; "
			   "remove it (rm -r %s)",
			   path, (unsigned)status.st_uid, path);
		return -EPERM;
	}
	if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status.st_mode & S_ISVTX) == 0) {
		report_add(report,
			   "%s can be changed by others than root (mode %04o): root works below "
			   "it; chmod go-w %s",
			   path, (unsigned)status.st_mode & 07777, path);
		return -EPERM;
	}
	return 0;
}

int bpf_folder_check(const char *directory, struct report *report)
{
	int error = check_one(directory, report), in_bpf;
	char path[PATH_MAX];

	if (error < 0)
		return error;
	in_bpf = bpf_folder_is_in_bpf(directory);
	if (in_bpf == 0)
		return refuse_outside(directory, report);
	snprintf(path, sizeof(path), "%s", directory);
	while (error == 0 && in_bpf == 1 && go_up(path)) {
		in_bpf = bpf_folder_is_in_bpf(path);
		if (in_bpf == 1)
			error = check_one(path, report);
	}
	return error < 0 || in_bpf >= 0 ? error : fail(report, "cannot look at", path, in_bpf);
}

int bpf_folder_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int bpf_folder_open_to_group(const char *path, gid_t group)
{
	int fd = bpf_folder_open(path), error = 0;

	if (fd < 0)
		return fd;
	/* Whatever the umask was. */
	if (fchown(fd, 0, group) < 0 || fchmod(fd, 0750) < 0)
		error = -errno;
	close(fd);
	return error;
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
	error = bpf_folder_check(directory, report);
	if (error < 0)
		return error == -ENOENT ? fail(report, "cannot look at", directory, error) : error;
	error = bpf_folder_open_to_group(directory, owner->group);
	return error < 0 ? fail(report, "cannot open to the user's group", directory, error) : 0;
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
	/* The user can write to what is remembered: of all modes, this one change is believed. */
	if ((what->set & S_IXOTH) == 0 || what->former != (what->set & ~S_IXOTH)) {
		report_add(notes, "%s keeps its mode: load would not have changed %04o to %04o",
			   root, (unsigned)what->former, (unsigned)what->set);
		return 0;
	}
	if (has_others(root, directory)) {
		report_add(notes, "%s stays open to be passed through: another instance is there",
			   root);
		return 0;
	}
	return chmod(root, status.st_mode & 07777 & ~(mode_t)S_IXOTH) < 0 ? -errno : 0;
}
