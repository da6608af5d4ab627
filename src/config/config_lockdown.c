/* SPDX-License-Identifier: MIT */
/* What the process forbids itself: `seccomp` and the group `landlock`. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>

#include "config/config_loader.h"

/* Not asked of os/seccomp.c, so that mmproxyctl need not be linked with libseccomp. */
#ifdef HAVE_LIBSECCOMP
static const bool has_libseccomp = true;
#else
static const bool has_libseccomp = false;
#endif

void config_read_seccomp(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field)
{
	int choice = config_get_choice(loader, setting, known);

	if (choice < 0)
		return;
	*(enum seccomp_use *)field = (enum seccomp_use)choice;
	if (choice != SECCOMP_USE_OFF && !has_libseccomp)
		config_remark(loader, setting,
			      "no system call is filtered: that needs libseccomp, which this "
			      "program was built without; write \"off\"");
}

static void read_mode(struct config_loader *loader, config_setting_t *setting,
		      const struct setting *known, void *field)
{
	int choice = config_get_choice(loader, setting, known);

	if (choice >= 0)
		*(bool *)field = choice > 0;
}

static void add_path(struct config_loader *loader, config_setting_t *element, const char *text,
		     void *context)
{
	char *path;

	if (text[0] == '\0') {
		config_mistake(loader, element, "it is empty; write the path of a file or folder");
		return;
	}
	path = config_scan_resolve(loader->scan, text);
	if (path == NULL || text_list_add(context, path) < 0)
		config_out_of_memory(loader, element);
	free(path);
}

static void read_paths(struct config_loader *loader, config_setting_t *setting,
		       const struct setting *known, void *field)
{
	(void)known;
	config_each_text(loader, setting, add_path, field);
}

static const struct config_rule landlock_rules[SETTING_COUNT] = {
	[SETTING_landlock_mode] = {read_mode, offsetof(struct config_landlock, off)},
	[SETTING_landlock_paths] = {read_paths, offsetof(struct config_landlock, paths)},
};

void config_read_landlock(struct config_loader *loader, config_setting_t *setting,
			  const struct setting *known, void *field)
{
	struct config_landlock *landlock = field;

	(void)known;
	if (!config_setting_is_group(setting)) {
		config_mistake(loader, setting,
			       "wrong type; write landlock = { paths = [ \"/srv/lists\" ]; }");
		return;
	}
	landlock->where = config_place_of(loader, setting);
	config_read_group(loader, setting, SETTING_SCOPE_landlock, landlock_rules, field);
	if (landlock->off && landlock->paths.count > 0)
		config_remark(loader, config_setting_get_member(setting, "paths"),
			      "it has no effect with mode = \"off\"; remove it");
}
