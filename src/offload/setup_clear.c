/* SPDX-License-Identifier: MIT */
/* The way back: filters, pins, and what was changed for them. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/report.h"
#include "offload/bpf_folder.h"
#include "offload/filters.h"
#include "offload/layouts.h"
#include "offload/lock.h"
#include "offload/loopback.h"
#include "offload/remembered.h"
#include "offload/setup.h"

struct clearing {
	const char *directory;
	struct setup_cleared *cleared;
	struct report *notes;
	struct report *failures;
	unsigned lo; /* its index; 0: it is not known */
	int error;
};

static void fail(struct clearing *clearing, const char *what, const char *path, int error)
{
	report_add_failure(clearing->failures, "%s %s: %s", what, path, strerror(-error));
	clearing->error = error;
}

/* Wherever they are: also at an interface that is down, or has become a port since. */
static int remove_filters(const char *layout_folder, unsigned *count)
{
	uint32_t handle = filters_handle(layout_folder);
	struct interfaces interfaces;
	int error = interfaces_read(&interfaces), result;

	for (size_t i = 0; i < interfaces.count; i++) {
		result = filters_detach(interfaces.list[i].index, handle);
		if (result < 0)
			error = result;
		if (result > 0 && count != NULL)
			(*count)++;
	}
	interfaces_finish(&interfaces);
	return error;
}

int setup_remove_layout(const char *layout_folder, unsigned *interfaces)
{
	int error = remove_filters(layout_folder, interfaces);
	int removed = programs_remove(layout_folder);

	if (removed < 0 && removed != -ENOENT)
		error = removed;
	return error;
}

static void clear_layout(const struct layout *layout, void *context)
{
	struct clearing *clearing = context;
	int error = setup_remove_layout(layout->folder, &clearing->cleared->interfaces);

	clearing->cleared->layouts++;
	clearing->cleared->live += layout->error == 0 ? layout->live : 0;
	if (error < 0)
		fail(clearing, "cannot remove", layout->folder, error);
}

/* Where the pins have been lost, the filters are found all the same, if this version put them. */
static void clear_own(struct clearing *clearing)
{
	char folder[PATH_MAX];
	int error;

	layouts_folder(folder, clearing->directory);
	error = remove_filters(folder, &clearing->cleared->interfaces);
	if (error < 0)
		fail(clearing, "cannot take the filters of", folder, error);
	layouts_loading_folder(folder, clearing->directory);
	programs_remove(folder);
}

/* Another instance's programs at lo need what this one has set, and have not set it themselves. */
static bool others_need_settings(const struct clearing *clearing)
{
	return clearing->lo != 0 && filters_any(clearing->lo) == 1;
}

static void put_back_qdisc(struct clearing *clearing, const struct remembered *what)
{
	unsigned index = if_nametoindex(what->name);
	int error;

	/* It has gone, or its number is another's now. */
	if (index != what->index)
		return;
	error = filters_remove_qdisc(index);
	if (error < 0)
		fail(clearing, "cannot remove clsact of", what->name, error);
}

static void put_back(const struct remembered *what, void *context)
{
	struct clearing *clearing = context;
	int error = 0;

	switch ((enum remembered_kind)what->kind) {
	case REMEMBERED_QDISC:
		put_back_qdisc(clearing, what);
		return;
	case REMEMBERED_SETTING:
		if (!others_need_settings(clearing))
			error = loopback_put_back(what, clearing->notes, clearing->failures);
		else if (what->index < LOOPBACK_SETTING_COUNT)
			report_add(clearing->notes,
				   "%s stays %d: another instance's programs need it (it was %d)",
				   loopback_setting_name((enum loopback_setting)what->index),
				   what->set, what->former);
		break;
	case REMEMBERED_MODE:
		error = bpf_folder_close_way(clearing->directory, what, clearing->notes);
		if (error < 0)
			report_add_failure(clearing->failures,
					   "cannot put back the mode of the BPF file system: %s",
					   strerror(-error));
		break;
	}
	if (error < 0)
		clearing->error = error;
}

static void put_all_back(struct clearing *clearing)
{
	int map = remembered_open(clearing->directory), error;

	if (map == -ENOENT)
		return;
	if (map < 0) {
		fail(clearing, "cannot read what was changed for", clearing->directory, map);
		return;
	}
	clearing->lo = if_nametoindex("lo");
	error = remembered_each(map, put_back, clearing);
	if (error < 0)
		fail(clearing, "cannot read what was changed for", clearing->directory, error);
	close(map);
	if (clearing->error == 0)
		remembered_remove(clearing->directory);
}

int setup_clear(const char *directory, struct setup_cleared *cleared, struct report *notes,
		struct report *failures)
{
	struct clearing clearing = {
		.directory = directory, .cleared = cleared, .notes = notes, .failures = failures};
	int error = bpf_folder_check(directory, failures), lock;

	*cleared = (struct setup_cleared){0};
	if (error < 0 && error != -ENOENT)
		return error;
	programs_keep_library_silent();
	lock = lock_take(directory);
	if (lock == -EWOULDBLOCK)
		return -EBUSY;
	/* It may have been made since. */
	if (lock >= 0 && error == -ENOENT)
		error = bpf_folder_check(directory, failures);
	if (lock >= 0 && error < 0) {
		close(lock);
		return error;
	}
	if (lock < 0 && lock != -ENOENT) {
		fail(&clearing, "cannot open", directory, lock);
		return lock;
	}
	layouts_each(directory, clear_layout, &clearing);
	clear_own(&clearing);
	if (lock >= 0) {
		put_all_back(&clearing);
		if (clearing.error == 0 && rmdir(directory) < 0)
			fail(&clearing, "cannot remove", directory, -errno);
		close(lock);
	}
	return clearing.error;
}
