/* SPDX-License-Identifier: MIT */
/* Loading, pinning, opening, and the way back. */
#include "offload/programs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <tcp.skel.h>

#include "base/report.h"
#include "offload/bpf_folder.h"
#include "offload/layout.h"
#include "offload/udp_layout.h"

/* The pin's name, and what the programs' source calls it. */
static const struct {
	const char *pin;
	const char *object;
} names[PROGRAM_COUNT] = {
	[PROGRAM_ABOUT] = {"about", "offload_about"},
	[PROGRAM_PLACES] = {"places", "offload_places"},
	[PROGRAM_SESSIONS] = {"sessions", "offload_sessions"},
	[PROGRAM_RECORDS] = {"records", "offload_records"},
	[PROGRAM_EVENTS] = {"events", "offload_events"},
	[PROGRAM_TCP] = {"tcp", "offload_tcp"},
	[PROGRAM_UDP] = {"udp", "offload_udp"},
	[PROGRAM_MOVE] = {"move", "offload_tcp_move"},
	[PROGRAM_END] = {"end", "offload_tcp_end"},
	[PROGRAM_INGRESS] = {"ingress", "offload_ingress"},
	[PROGRAM_NEXT] = {"next", "offload_next"},
	[PROGRAM_UDP_PLACES] = {"udp_places", "offload_udp_places"},
	[PROGRAM_UDP_REPLIES] = {"udp_replies", "offload_udp_replies"},
	[PROGRAM_UDP_FLOWS] = {"udp_flows", "offload_udp_flows"},
	[PROGRAM_UDP_RECORDS] = {"udp_records", "offload_udp_records"},
};

static void path_of(char path[static PATH_MAX], const char *directory, int which)
{
	snprintf(path, PATH_MAX, "%s/%s", directory, names[which].pin);
}

static int say_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

void programs_keep_library_silent(void)
{
	libbpf_set_print(say_nothing);
}

static int fail(struct report *report, const char *what, const char *path, int error)
{
	report_add_failure(report, "%s %s: %s", what, path, strerror(-error));
	return error;
}

static int fd_of(const struct bpf_object *object, const char *name)
{
	const struct bpf_map *map = bpf_object__find_map_by_name(object, name);
	const struct bpf_program *program;

	if (map != NULL)
		return bpf_map__fd(map);
	program = bpf_object__find_program_by_name(object, name);
	return program != NULL ? bpf_program__fd(program) : -ENOENT;
}

static int pin_one(int fd, const char *path, const struct owner *owner, struct report *report)
{
	if (fd < 0 || bpf_obj_pin(fd, path) < 0)
		return fail(report, "cannot pin", path, fd < 0 ? fd : -errno);
	if (lchown(path, owner->user, owner->group) < 0)
		return fail(report, "cannot give to the user", path, -errno);
	return 0;
}

static int pin_all(const struct bpf_object *object, const char *directory,
		   const struct owner *owner, struct report *report)
{
	char path[PATH_MAX];
	int error = 0;

	for (int i = 0; i < PROGRAM_COUNT && error == 0; i++) {
		path_of(path, directory, i);
		error = pin_one(fd_of(object, names[i].object), path, owner, report);
	}
	return error;
}

static int write_layout(const struct bpf_object *object, struct report *report)
{
	const __u32 key = OFFLOAD_ABOUT_LAYOUT;
	const __u64 layout = OFFLOAD_LAYOUT;
	int map = fd_of(object, names[PROGRAM_ABOUT].object);

	if (bpf_map_update_elem(map, &key, &layout, BPF_ANY) < 0)
		return fail(report, "cannot write", "the layout's number", -errno);
	return 0;
}

static int join(const struct bpf_object *object, enum offload_next next, int which,
		struct report *report)
{
	const __u32 key = next;
	const int program = fd_of(object, names[which].object);

	if (bpf_map_update_elem(fd_of(object, names[PROGRAM_NEXT].object), &key, &program,
				BPF_ANY) < 0)
		return fail(report, "cannot join", "the kernel's programs", -errno);
	return 0;
}

static int load(struct tcp_programs *skeleton, struct report *report)
{
	skeleton->rodata->offload_coarse_clock =
		libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_ktime_get_coarse_ns,
					NULL) == 1;
	if (tcp_programs__load(skeleton) < 0)
		return fail(report, "cannot load", "the kernel's programs", -errno);
	return 0;
}

static int load_into(const char *directory, const struct owner *owner, struct report *report)
{
	struct tcp_programs *skeleton;
	int error;

	programs_keep_library_silent();
	skeleton = tcp_programs__open();
	if (skeleton == NULL)
		return fail(report, "cannot load", "the kernel's programs", -errno);
	error = load(skeleton, report);
	if (error == 0)
		error = write_layout(skeleton->obj, report);
	if (error == 0)
		error = join(skeleton->obj, OFFLOAD_NEXT_TCP, PROGRAM_TCP, report);
	if (error == 0)
		error = join(skeleton->obj, OFFLOAD_NEXT_UDP, PROGRAM_UDP, report);
	if (error == 0)
		error = pin_all(skeleton->obj, directory, owner, report);
	tcp_programs__destroy(skeleton);
	return error;
}

int programs_load(const char *layout_directory, const struct owner *owner, struct report *report)
{
	int error;

	if (mkdir(layout_directory, 0750) < 0)
		return fail(report, "cannot make", layout_directory, -errno);
	error = load_into(layout_directory, owner, report);
	if (error == 0) {
		error = bpf_folder_open_to_group(layout_directory, owner->group);
		if (error < 0)
			fail(report, "cannot open to the user's group", layout_directory, error);
	}
	if (error < 0)
		programs_remove(layout_directory);
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

static int read_about(int map, enum offload_about which, uint64_t *number)
{
	const __u32 key = which;
	__u64 value = 0;

	if (bpf_map_lookup_elem(map, &key, &value) < 0)
		return -errno;
	*number = value;
	return 0;
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

int programs_open(const char *layout_directory, struct programs *programs)
{
	uint64_t layout = 0;
	int error;

	for (int i = 0; i < PROGRAM_COUNT; i++)
		programs->fd[i] = -1;
	programs_keep_library_silent();
	error = open_all(layout_directory, programs);
	if (error == 0)
		error = read_about(programs->fd[PROGRAM_ABOUT], OFFLOAD_ABOUT_LAYOUT, &layout);
	if (error == 0 && layout != OFFLOAD_LAYOUT)
		error = -EPROTO;
	if (error < 0)
		programs_close(programs);
	return error;
}

int programs_try(const struct programs *programs)
{
	/* No session has this number. */
	const struct offload_move move = {.session = 0};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = &move, .data_size_in = sizeof(move));
	uint64_t layout = 0;
	int error = read_about(programs->fd[PROGRAM_ABOUT], OFFLOAD_ABOUT_LAYOUT, &layout);

	if (error == 0)
		error = bpf_prog_test_run_opts(programs->fd[PROGRAM_MOVE], &run);
	if (error < 0)
		return error;
	return layout == OFFLOAD_LAYOUT && run.retval == OFFLOAD_MOVE_UNKNOWN ? 0 : -EPROTO;
}

/* No program counts flows: a daemon gives and takes them, one at a time. */
static uint64_t count_flows(int records)
{
	uint64_t id = 0, count = 0;

	for (int error = bpf_map_get_next_key(records, NULL, &id);
	     error == 0 && count < OFFLOAD_UDP_FLOWS;
	     error = bpf_map_get_next_key(records, &id, &id))
		count++;
	return count;
}

int programs_count_live(const struct programs *programs, uint64_t *live)
{
	int error = read_about(programs->fd[PROGRAM_ABOUT], OFFLOAD_ABOUT_LIVE, live);

	if (error == 0)
		*live += count_flows(programs->fd[PROGRAM_UDP_RECORDS]);
	return error;
}

/* What every layout has alike. */
static bool is_about(int fd)
{
	struct bpf_map_info information = {0};
	__u32 size = sizeof(information);

	/* Of a program, the kernel would fill in something else. */
	return bpf_obj_get_info_by_fd(fd, &information, &size) == 0 &&
	       information.type == BPF_MAP_TYPE_ARRAY && information.key_size == sizeof(__u32) &&
	       information.value_size == sizeof(__u64) &&
	       information.max_entries > OFFLOAD_ABOUT_LIVE;
}

/* Another layout may have something else of that name. */
static bool has_numbers(int fd)
{
	struct bpf_map_info information = {0};
	__u32 size = sizeof(information);

	return bpf_obj_get_info_by_fd(fd, &information, &size) == 0 &&
	       information.type == BPF_MAP_TYPE_HASH && information.key_size == sizeof(uint64_t);
}

int programs_count_live_in(const char *layout_directory, uint64_t *live)
{
	char path[PATH_MAX];
	int fd, error;

	path_of(path, layout_directory, PROGRAM_ABOUT);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return errno == ENOENT ? -EPROTO : -errno;
	error = is_about(fd) ? read_about(fd, OFFLOAD_ABOUT_LIVE, live) : -EPROTO;
	close(fd);
	if (error < 0)
		return error;
	path_of(path, layout_directory, PROGRAM_UDP_RECORDS);
	fd = bpf_obj_get(path);
	if (fd >= 0) {
		*live += has_numbers(fd) ? count_flows(fd) : 0;
		close(fd);
	}
	return 0;
}

int programs_remove(const char *layout_directory)
{
	int fd = bpf_folder_open(layout_directory), error = 0;
	const struct dirent *entry;
	DIR *folder;

	if (fd < 0)
		return fd;
	folder = fdopendir(fd);
	if (folder == NULL) {
		error = -errno;
		close(fd);
		return error;
	}
	while ((entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] != '.' && unlinkat(dirfd(folder), entry->d_name, 0) < 0)
			error = -errno;
	}
	closedir(folder);
	if (rmdir(layout_directory) < 0 && error == 0)
		error = -errno;
	return error;
}
