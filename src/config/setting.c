/* SPDX-License-Identifier: MIT */
/*
 * The table itself. Ranges are kept as the text that the manual prints and read from there, so that
 * what is documented is what is enforced.
 */
#include "config/setting.h"

#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"

const struct setting setting_table[SETTING_COUNT] = {
#define SETTING(scope, name, type, default_text, range, since)                                     \
	{#name, default_text, range, SETTING_SCOPE_##scope, SETTING_TYPE_##type},
#include "config/settings.def"
#undef SETTING
};

enum setting_id setting_find(enum setting_scope scope, const char *name)
{
	unsigned id;

	for (id = 0; id < SETTING_COUNT; id++) {
		if (setting_table[id].scope == scope && strcmp(setting_table[id].name, name) == 0)
			break;
	}
	return (enum setting_id)id;
}

const char *setting_suggest(enum setting_scope scope, const char *name)
{
	const char *names[SETTING_COUNT];
	size_t count = 0;

	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		if (setting_table[id].scope == scope)
			names[count++] = setting_table[id].name;
	}
	return suggest_nearest(name, names, count);
}

const char *setting_elsewhere(enum setting_scope scope, const char *name)
{
	static const char *const phrases[] = {
		[SETTING_SCOPE_top] = "at the top of the file",
		[SETTING_SCOPE_landlock] = "in landlock = { }",
		[SETTING_SCOPE_log] = "in log = { }",
		[SETTING_SCOPE_control] = "in control = { }",
		[SETTING_SCOPE_metrics] = "in metrics = { }",
		[SETTING_SCOPE_routing] = "in routing = { }",
		[SETTING_SCOPE_listener] = "in a listener",
		[SETTING_SCOPE_forward] = "in a listener's forward = { }",
		[SETTING_SCOPE_udp] = "in a listener's udp = { }",
		[SETTING_SCOPE_plugin] = "in a plugin's group",
	};

	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		if (setting_table[id].scope != scope && strcmp(setting_table[id].name, name) == 0)
			return phrases[setting_table[id].scope];
	}
	return NULL;
}

bool setting_in_range(const struct setting *setting, double value)
{
	static const char or_zero[] = "0 or ";
	const char *range = setting->range, *dots;
	double least, most;

	if (strncmp(range, or_zero, sizeof(or_zero) - 1) == 0) {
		if (value == 0)
			return true;
		range += sizeof(or_zero) - 1;
	}
	least = strtod(range, NULL); /* stops at, or in, the ".." */
	dots = strstr(range, "..");
	most = dots != NULL ? strtod(dots + 2, NULL) : least;
	return value >= least && value <= most;
}

int setting_choice(const struct setting *setting, const char *text)
{
	size_t length = strlen(text);
	const char *word = setting->range;

	if (strchr(text, '|') != NULL)
		return -1;
	for (int i = 0; word != NULL; i++) {
		if (strncmp(word, text, length) == 0 &&
		    (word[length] == '|' || word[length] == '\0'))
			return i;
		word = strchr(word, '|');
		if (word != NULL)
			word++;
	}
	return -1;
}
