/* SPDX-License-Identifier: MIT */
/* The table of settings (settings.def), and what can be asked of it. */
#ifndef MMPROXY_CONFIG_SETTING_H
#define MMPROXY_CONFIG_SETTING_H

#include <stdbool.h>

enum setting_scope {
	SETTING_SCOPE_top,
	SETTING_SCOPE_landlock,
	SETTING_SCOPE_log,
	SETTING_SCOPE_control,
	SETTING_SCOPE_metrics,
	SETTING_SCOPE_routing,
	SETTING_SCOPE_listener,
	SETTING_SCOPE_forward,
	SETTING_SCOPE_udp,
	SETTING_SCOPE_plugin,
};

enum setting_type {
	SETTING_TYPE_INTEGER,
	SETTING_TYPE_SECONDS,
	SETTING_TYPE_TEXT,
	SETTING_TYPE_CHOICE,
	SETTING_TYPE_BOOLEAN,
	SETTING_TYPE_TEXTS,
	SETTING_TYPE_GROUP,
	SETTING_TYPE_GROUPS,
};

enum setting_id {
#define SETTING(scope, name, type, default_text, range, since) SETTING_##scope##_##name,
#include "config/settings.def"
#undef SETTING
	SETTING_COUNT,
};

struct setting {
	const char *name;
	const char *default_text;
	const char *range;
	enum setting_scope scope;
	enum setting_type type;
};

extern const struct setting setting_table[SETTING_COUNT];

/* SETTING_COUNT when the scope has no such setting. */
enum setting_id setting_find(enum setting_scope scope, const char *name);

/* The name of the scope's setting that was most likely meant, or NULL when none is near. */
const char *setting_suggest(enum setting_scope scope, const char *name);

/* Where another scope has a setting of exactly this name: a phrase for people, or NULL. */
const char *setting_elsewhere(enum setting_scope scope, const char *name);

/* Whether an INTEGER or SECONDS setting may have this value. NaN may not. */
bool setting_in_range(const struct setting *setting, double value);

/* The position of a text in a CHOICE's range, which is also its enum's value; -1 when not there. */
int setting_choice(const struct setting *setting, const char *text);

#endif
