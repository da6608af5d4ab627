/* SPDX-License-Identifier: MIT */
#include "doctor/offload_facts.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "config/config.h"
#include "offload/filters.h"
#include "offload/interfaces.h"
#include "offload/layouts.h"
#include "offload/loopback.h"
#include "offload/programs.h"

/* From here on who has a map or a program open may use it. */
#define KERNEL_MAJOR 5
#define KERNEL_MINOR 19

static void count_other(const struct layout *layout, void *context)
{
	if (!layout_is_ours(layout))
		(*(unsigned *)context)++;
}

static void read_programs(struct offload_facts *facts, const char *folder)
{
	struct programs programs;

	facts->programs = programs_open(folder, &programs);
	if (facts->programs < 0)
		return;
	if (programs_count_live(&programs, &facts->live) < 0)
		facts->live = 0;
	programs_close(&programs);
}

static void read_interface(struct offload_facts *facts, const struct interface *interface,
			   uint32_t handle)
{
	int64_t number = filters_find(interface->index, handle);

	if (number >= 0)
		facts->filters++;
	else if (number == -ENOENT)
		snprintf(facts->without, sizeof(facts->without), "%s", interface->name);
	else if (number != -ENODEV) /* it may have gone meanwhile */
		facts->error = (int)number;
}

static void read_interfaces(struct offload_facts *facts, uint32_t handle)
{
	struct interfaces interfaces;
	int error = interfaces_read(&interfaces);

	for (size_t i = 0; i < interfaces.count; i++) {
		const struct interface *interface = &interfaces.list[i];

		if (interface_takes_filter(interface))
			read_interface(facts, interface, handle);
	}
	interfaces_finish(&interfaces);
	if (error < 0)
		facts->error = error;
}

static void read_settings(struct offload_facts *facts, const struct loopback_needs *needs)
{
	struct loopback_lack lacks[LOOPBACK_SETTING_COUNT];
	int count = loopback_look(needs, lacks);

	if (count < 0)
		facts->error = count;
	if (count <= 0)
		return;
	snprintf(facts->setting, sizeof(facts->setting), "%s",
		 loopback_setting_name(lacks[0].setting));
	facts->should_be = lacks[0].should_be;
}

static bool kernel_refuses(void)
{
	unsigned major = 0, minor = 0;
	struct utsname names;
	int disabled = 0;
	FILE *file;

	if (uname(&names) < 0 || sscanf(names.release, "%u.%u", &major, &minor) != 2 ||
	    major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR))
		return false;
	file = fopen("/proc/sys/kernel/unprivileged_bpf_disabled", "re");
	if (file == NULL)
		return false;
	if (fscanf(file, "%d", &disabled) != 1)
		disabled = 0;
	fclose(file);
	return disabled != 0;
}

void offload_facts_read(struct offload_facts *facts, const struct config *config)
{
	struct loopback_needs needs = {0};
	char folder[PATH_MAX];

	*facts = (struct offload_facts){
		.built = true,
		.wanted = config_wants_offload(config, &needs),
		.directory = config->offload_directory,
	};
	if (!facts->wanted)
		return;
	layouts_folder(folder, config->offload_directory);
	layouts_each(config->offload_directory, count_other, &facts->others);
	read_programs(facts, folder);
	read_interfaces(facts, filters_handle(folder));
	read_settings(facts, &needs);
	facts->refused = kernel_refuses();
}
