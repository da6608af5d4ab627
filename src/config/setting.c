/* SPDX-License-Identifier: MIT */
/*
 * The table itself. Ranges are kept as the text that the manual prints and read from there, so that
 * what is documented is what is enforced.
 */
#include "config/setting.h"

#include <stdlib.h>
#include <string.h>

/* Characters. Longer than any name in the table, short enough for a table on the stack. */
#define SETTING_SUGGEST_MAX 32

const struct setting setting_table[SETTING_COUNT] = {
#define SETTING(scope, name, type, default_text, range)                                            \
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

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

/*
 * How many single mistakes make `b` of `a`: a letter too many, too few, wrong, or two letters
 * swapped. Both have at most SETTING_SUGGEST_MAX letters. Cell [i][j] is the distance of the first
 * i letters of `a` from the first j of `b`.
 */
static unsigned edit_distance(const char *a, const char *b)
{
	unsigned cells[SETTING_SUGGEST_MAX + 1][SETTING_SUGGEST_MAX + 1];
	size_t height = strlen(a), width = strlen(b);

	for (unsigned i = 0; i <= height; i++)
		cells[i][0] = i;
	for (unsigned j = 0; j <= width; j++)
		cells[0][j] = j;
	for (unsigned i = 1; i <= height; i++) {
		for (unsigned j = 1; j <= width; j++) {
			unsigned changed = a[i - 1] != b[j - 1] ? 1 : 0;
			bool swapped =
				i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];

			cells[i][j] = min3(cells[i - 1][j] + 1, cells[i][j - 1] + 1,
					   cells[i - 1][j - 1] + changed);
			if (swapped && cells[i - 2][j - 2] + 1 < cells[i][j])
				cells[i][j] = cells[i - 2][j - 2] + 1;
		}
	}
	return cells[height][width];
}

const char *setting_suggest(enum setting_scope scope, const char *name)
{
	const char *nearest = NULL;
	unsigned least;

	if (strlen(name) > SETTING_SUGGEST_MAX)
		return NULL;
	/* A third of the letters may be wrong, and one always: "usr" means "user". */
	least = (unsigned)strlen(name) / 3 + 1;
	least = least < 2 ? 2 : least;
	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		unsigned distance;

		if (setting_table[id].scope != scope)
			continue;
		distance = edit_distance(name, setting_table[id].name);
		if (distance < least) {
			least = distance;
			nearest = setting_table[id].name;
		}
	}
	return nearest;
}

const char *setting_elsewhere(enum setting_scope scope, const char *name)
{
	static const char *const phrases[] = {
		[SETTING_SCOPE_top] = "at the top of the file",
		[SETTING_SCOPE_log] = "in log = { }",
		[SETTING_SCOPE_control] = "in control = { }",
		[SETTING_SCOPE_metrics] = "in metrics = { }",
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
