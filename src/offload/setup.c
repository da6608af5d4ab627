/* SPDX-License-Identifier: MIT */
/* Loading: the order is that of setup.h, and each step finds out by itself whether it is needed. */
#include "offload/setup.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/report.h"
#include "offload/bpf_folder.h"
#include "offload/filters.h"
#include "offload/layout.h"
#include "offload/layouts.h"
#include "offload/lock.h"
#include "offload/loopback.h"
#include "offload/remembered.h"

struct loading {
	const struct setup *setup;
	struct report *notes;
	struct report *failures;
	struct programs programs;
	char folder[PATH_MAX];
	int lock;       /* -1: a daemon has the directory */
	int remembered; /* the map */
	int error;      /* the first that did not stop it */
};

static int fail(struct loading *loading, const char *what, const char *path, int error)
{
	report_add_failure(loading->failures, "%s %s: %s", what, path, strerror(-error));
	return error;
}

static bool one(uint64_t count)
{
	return count == 1;
}

/* A folder of ours is damaged, or broken off. Whoever has sessions in it is asked to end them. */
static int remove_damaged(struct loading *loading, int why)
{
	uint64_t live = 0;
	int error = programs_count_live_in(loading->folder, &live);

	if (error == 0 && live == 0 && loading->lock >= 0)
		return programs_remove(loading->folder);
	report_add_failure(loading->failures,
			   "%s cannot be used (%s), and may carry sessions; `mmproxyctl offload "
			   "clear` removes it and cuts them",
			   loading->folder, strerror(-why));
	return why;
}

/* Beside its place, and then there at once: nobody finds half of it. */
static int load_programs(struct loading *loading)
{
	const struct setup *setup = loading->setup;
	char aside[PATH_MAX];
	int error;

	layouts_loading_folder(aside, setup->directory);
	if (loading->lock >= 0)
		programs_remove(aside); /* of a load that was broken off */
	error = programs_load(aside, &setup->owner, loading->failures);
	if (error < 0)
		return error;
	if (rename(aside, loading->folder) < 0) {
		error = fail(loading, "cannot put in place", loading->folder, -errno);
		programs_remove(aside);
	}
	return error;
}

static int find_programs(struct loading *loading)
{
	int error = programs_open(loading->folder, &loading->programs);

	if (error == 0)
		return 0;
	if (access(loading->folder, F_OK) == 0)
		error = remove_damaged(loading, error);
	else
		error = 0;
	if (error == 0)
		error = load_programs(loading);
	if (error == 0) {
		error = programs_open(loading->folder, &loading->programs);
		if (error < 0)
			fail(loading, "cannot open", loading->folder, error);
	}
	return error;
}

static void judge_layout(const struct layout *layout, void *context)
{
	struct loading *loading = context;
	int error;

	if (layout_is_ours(layout))
		return;
	if (layout->error < 0) {
		report_add(loading->notes,
			   "%s is of another version and cannot be counted (%s): it stays, until "
			   "`mmproxyctl offload clear`",
			   layout->folder, strerror(-layout->error));
		return;
	}
	if (layout->live > 0) {
		report_add(loading->notes,
			   "%s is of another version and still carries %" PRIu64
			   " session%s: it stays until a load finds none",
			   layout->folder, layout->live, one(layout->live) ? "" : "s");
		return;
	}
	error = setup_remove_layout(layout->folder, NULL);
	if (error < 0)
		fail(loading, "cannot remove", layout->folder, error);
}

static void attached(const struct interface *interface, int result, void *context)
{
	struct loading *loading = context;

	if (result >= 0 || !interface_takes_filter(interface))
		return;
	/* It was listed, and has gone since: that of a container that stopped, for one. */
	if (result == -ENODEV)
		return;
	fail(loading, "cannot put the program at the ingress of", interface->name, result);
	loading->error = result;
}

static void prepare_host(struct loading *loading)
{
	const struct setup_filter filter = {
		.program = loading->programs.fd[PROGRAM_INGRESS],
		.remembered = loading->remembered,
		.handle = filters_handle(loading->folder),
	};
	int error;

	if (loading->lock >= 0)
		layouts_each(loading->setup->directory, judge_layout, loading);
	error = setup_attach(&filter, attached, loading);
	if (error < 0)
		loading->error = fail(loading, "cannot list", "the interfaces", error);
	error = loopback_prepare(&loading->setup->needs, loading->remembered, loading->failures);
	if (error < 0)
		loading->error = error;
}

static int load(struct loading *loading)
{
	const struct setup *setup = loading->setup;
	int error = bpf_folder_make(setup->directory, &setup->owner, loading->failures);

	if (error < 0)
		return error;
	loading->lock = lock_take(setup->directory);
	loading->remembered = remembered_make(setup->directory, &setup->owner);
	if (loading->remembered < 0)
		return fail(loading, "cannot make a map in", setup->directory, loading->remembered);
	error = bpf_folder_open_way(setup->directory, loading->remembered, loading->failures);
	if (error == 0)
		error = find_programs(loading);
	if (error < 0)
		return error;
	prepare_host(loading);
	programs_close(&loading->programs);
	return loading->error;
}

int setup_load(const struct setup *setup, struct report *notes, struct report *failures)
{
	struct loading loading = {
		.setup = setup, .notes = notes, .failures = failures, .lock = -1, .remembered = -1};
	int error;

	programs_keep_library_silent();
	layouts_folder(loading.folder, setup->directory);
	error = load(&loading);
	if (loading.remembered >= 0)
		close(loading.remembered);
	if (loading.lock >= 0)
		close(loading.lock);
	return error;
}

static int attach_one(const struct interface *interface, const struct setup_filter *filter)
{
	struct remembered what = {.kind = REMEMBERED_QDISC, .index = interface->index};
	bool made_qdisc;
	int result;

	if (!interface_takes_filter(interface))
		return -EOPNOTSUPP;
	result = filters_attach(interface->index, filter->handle, filter->program, &made_qdisc);
	memcpy(what.name, interface->name, sizeof(what.name));
	if (made_qdisc && filter->remembered >= 0)
		remembered_add(filter->remembered, &what);
	return result;
}

int setup_attach(const struct setup_filter *filter,
		 void (*told)(const struct interface *interface, int result, void *context),
		 void *context)
{
	struct interfaces interfaces;
	int error = interfaces_read(&interfaces);

	for (size_t i = 0; error == 0 && i < interfaces.count; i++) {
		const struct interface *interface = &interfaces.list[i];

		told(interface, attach_one(interface, filter), context);
	}
	interfaces_finish(&interfaces);
	return error;
}
