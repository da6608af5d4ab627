/* SPDX-License-Identifier: MIT */
#include "offload/remembered.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

/* Interfaces whose clsact is ours, and the few settings. */
#define ENTRIES_MAX 4096

struct key {
	uint32_t kind;
	uint32_t index;
};

struct value {
	int32_t former;
	int32_t set;
	char name[16];
};

static void path_of(char path[static PATH_MAX], const char *directory)
{
	snprintf(path, PATH_MAX, "%s/remembered", directory);
}

int remembered_open(const char *directory)
{
	char path[PATH_MAX];
	int fd;

	path_of(path, directory);
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

int remembered_make(const char *directory, const struct owner *owner)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);
	char path[PATH_MAX];
	int fd = remembered_open(directory), error;

	if (fd != -ENOENT)
		return fd;
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "mmp_remembered", sizeof(struct key),
			    sizeof(struct value), ENTRIES_MAX, &options);
	if (fd < 0)
		return -errno;
	path_of(path, directory);
	if (bpf_obj_pin(fd, path) < 0 || lchown(path, owner->user, owner->group) < 0) {
		error = -errno;
		unlink(path);
		close(fd);
		return error;
	}
	return fd;
}

int remembered_each(int map, void (*each)(const struct remembered *what, void *context),
		    void *context)
{
	struct key key, next;
	struct value value;
	bool more = bpf_map_get_next_key(map, NULL, &next) == 0;
	int error = more ? 0 : errno;

	/* Who writes to it meanwhile can make the kernel begin again, but not for ever. */
	for (int i = 0; more && i < ENTRIES_MAX; i++) {
		key = next;
		/* Before `each`, which may remove this one. */
		more = bpf_map_get_next_key(map, &key, &next) == 0;
		error = more ? 0 : errno;
		if (bpf_map_lookup_elem(map, &key, &value) == 0) {
			struct remembered what = {key.kind, key.index, value.former, value.set, ""};

			memcpy(what.name, value.name, sizeof(what.name));
			what.name[sizeof(what.name) - 1] = '\0';
			each(&what, context);
		}
	}
	return error == ENOENT ? 0 : -error;
}

int remembered_remove(const char *directory)
{
	char path[PATH_MAX];

	path_of(path, directory);
	return unlink(path) < 0 ? -errno : 0;
}

static int add(int map, const struct remembered *what)
{
	const __u64 flags = what->kind == REMEMBERED_QDISC ? BPF_ANY : BPF_NOEXIST;
	const struct key key = {what->kind, what->index};
	struct value value = {.former = what->former, .set = what->set};

	memcpy(value.name, what->name, sizeof(value.name));
	if (bpf_map_update_elem(map, &key, &value, flags) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

static void forget_if_gone(const struct remembered *what, void *context)
{
	const struct key key = {what->kind, what->index};

	if (what->kind == REMEMBERED_QDISC && if_nametoindex(what->name) != what->index)
		bpf_map_delete_elem(*(const int *)context, &key);
}

int remembered_add(int map, const struct remembered *what)
{
	int error = add(map, what);

	if (error != -E2BIG)
		return error;
	error = remembered_each(map, forget_if_gone, &map);
	return error < 0 ? error : add(map, what);
}
