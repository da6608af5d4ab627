/* SPDX-License-Identifier: MIT */
/* Loading, pinning, attaching, and the way back. */
#include "offload/programs.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>
#include <tcp.skel.h>

#include "base/report.h"
#include "offload/interfaces.h"
#include "offload/layout.h"

/* Our filter's place at an interface's ingress, by which it is found again. */
#define FILTER_PRIORITY 0x6d6d
#define FILTER_HANDLE   1

static const char *const names[PROGRAM_COUNT] = {
	[PROGRAM_ABOUT] = "about",     [PROGRAM_PLACES] = "places", [PROGRAM_SESSIONS] = "sessions",
	[PROGRAM_RECORDS] = "records", [PROGRAM_EVENTS] = "events", [PROGRAM_TCP] = "tcp",
	[PROGRAM_MOVE] = "move",       [PROGRAM_END] = "end",
};

static void path_of(char path[static PATH_MAX], const char *directory, int which)
{
	snprintf(path, PATH_MAX, "%s/%s", directory, names[which]);
}

/* The library would write to standard error; what is to be said, we say. */
static int say_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

static int fail(struct report *report, const char *what, const char *path, int error)
{
	report_add_failure(report, "offload: %s %s: %s", what, path, strerror(-error));
	return error;
}

static int make_directory(const char *directory, struct report *report)
{
	struct statfs status;

	if (mkdir(directory, 0755) < 0 && errno != EEXIST)
		return fail(report, "cannot make", directory, -errno);
	if (statfs(directory, &status) < 0)
		return fail(report, "cannot look at", directory, -errno);
	if (status.f_type == BPF_FS_MAGIC)
		return 0;
	report_add(report, "offload: %s is in no BPF file system: mount -t bpf bpf /sys/fs/bpf",
		   directory);
	return -EINVAL;
}

static int pin_one(int which, int fd, const char *directory, const struct owner *owner,
		   struct report *report)
{
	char path[PATH_MAX];

	path_of(path, directory, which);
	if (bpf_obj_pin(fd, path) < 0)
		return fail(report, "cannot pin", path, -errno);
	if (chown(path, owner->user, owner->group) < 0)
		return fail(report, "cannot give away", path, -errno);
	return 0;
}

static int pin_all(const struct tcp_programs *skeleton, const char *directory,
		   const struct owner *owner, struct report *report)
{
	const int fds[PROGRAM_COUNT] = {
		[PROGRAM_ABOUT] = bpf_map__fd(skeleton->maps.offload_about),
		[PROGRAM_PLACES] = bpf_map__fd(skeleton->maps.offload_places),
		[PROGRAM_SESSIONS] = bpf_map__fd(skeleton->maps.offload_sessions),
		[PROGRAM_RECORDS] = bpf_map__fd(skeleton->maps.offload_records),
		[PROGRAM_EVENTS] = bpf_map__fd(skeleton->maps.offload_events),
		[PROGRAM_TCP] = bpf_program__fd(skeleton->progs.offload_tcp),
		[PROGRAM_MOVE] = bpf_program__fd(skeleton->progs.offload_tcp_move),
		[PROGRAM_END] = bpf_program__fd(skeleton->progs.offload_tcp_end),
	};
	int error = 0;

	for (int i = 0; i < PROGRAM_COUNT && error == 0; i++)
		error = pin_one(i, fds[i], directory, owner, report);
	return error;
}

static int write_layout(int map, struct report *report)
{
	const __u32 key = OFFLOAD_ABOUT_LAYOUT;
	const __u64 layout = OFFLOAD_LAYOUT;

	if (bpf_map_update_elem(map, &key, &layout, BPF_ANY) < 0)
		return fail(report, "cannot write", "the layout's number", -errno);
	return 0;
}

static void remove_pins(const char *directory)
{
	char path[PATH_MAX];

	for (int i = 0; i < PROGRAM_COUNT; i++) {
		path_of(path, directory, i);
		unlink(path);
	}
	rmdir(directory);
}

int programs_load(const char *directory, const struct owner *owner, struct report *report)
{
	struct tcp_programs *skeleton;
	int error = make_directory(directory, report);

	if (error < 0)
		return error;
	libbpf_set_print(say_nothing);
	skeleton = tcp_programs__open_and_load();
	if (skeleton == NULL)
		return fail(report, "cannot load", "the kernel's programs", -errno);
	error = write_layout(bpf_map__fd(skeleton->maps.offload_about), report);
	if (error == 0)
		error = pin_all(skeleton, directory, owner, report);
	if (error < 0)
		remove_pins(directory);
	tcp_programs__destroy(skeleton);
	return error;
}

void programs_close(struct programs *programs)
{
	for (int i = 0; i < PROGRAM_COUNT; i++) {
		if (programs->fd[i] >= 0)
			close(programs->fd[i]);
		programs->fd[i] = -1;
	}
}

static int open_all(const char *directory, struct programs *programs)
{
	char path[PATH_MAX];

	for (int i = 0; i < PROGRAM_COUNT; i++) {
		path_of(path, directory, i);
		programs->fd[i] = bpf_obj_get(path);
		if (programs->fd[i] < 0)
			return -errno;
	}
	return 0;
}

int programs_open(const char *directory, struct programs *programs)
{
	const __u32 key = OFFLOAD_ABOUT_LAYOUT;
	__u64 layout = 0;
	int error;

	for (int i = 0; i < PROGRAM_COUNT; i++)
		programs->fd[i] = -1;
	error = open_all(directory, programs);
	if (error == 0 && bpf_map_lookup_elem(programs->fd[PROGRAM_ABOUT], &key, &layout) < 0)
		error = -errno;
	if (error == 0 && layout != OFFLOAD_LAYOUT)
		error = -EPROTO;
	if (error < 0)
		programs_close(programs);
	return error;
}

struct attaching {
	const struct programs *programs;
	struct report *report;
	int error;
};

static int attach_one(unsigned index, const char *name, void *context)
{
	struct attaching *attaching = context;
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)index, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY,
		    .prog_fd = attaching->programs->fd[PROGRAM_TCP], .flags = BPF_TC_F_REPLACE);
	int error = bpf_tc_hook_create(&hook);

	if (error == 0 || error == -EEXIST)
		error = bpf_tc_attach(&hook, &filter);
	if (error < 0) {
		fail(attaching->report, "cannot put the program at the ingress of", name, error);
		attaching->error = attaching->error < 0 ? attaching->error : error;
	}
	return 0;
}

int programs_attach(const struct programs *programs, struct report *report)
{
	struct attaching attaching = {.programs = programs, .report = report};
	int error = interfaces_each(attach_one, &attaching);

	return error < 0 ? fail(report, "cannot list", "the interfaces", error) : attaching.error;
}

static int detach_one(unsigned index, const char *name, void *context)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)index, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);
	struct attaching *attaching = context;
	int error = bpf_tc_detach(&hook, &filter);

	/* ENOENT, EINVAL: it has not our filter, or no ingress at all. */
	if (error < 0 && error != -ENOENT && error != -EINVAL) {
		fail(attaching->report, "cannot take the program from", name, error);
		attaching->error = error;
	}
	return 0;
}

int programs_clear(const char *directory, struct report *report)
{
	struct attaching attaching = {.report = report};
	int error = interfaces_each(detach_one, &attaching);

	remove_pins(directory);
	return error < 0 ? fail(report, "cannot list", "the interfaces", error) : attaching.error;
}
