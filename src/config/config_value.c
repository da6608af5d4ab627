/* SPDX-License-Identifier: MIT */
/*
 * Plain values out of libconfig's tree, each checked for its type and its range, and the way a
 * mistake or a remark is worded: "file:line: path: what is wrong; what would be right".
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/report.h"
#include "config/config_loader.h"

/* Characters of a path in a message; ours need 40. */
#define CONFIG_PATH_MAX 256

static void append(char *path, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void append(char *path, size_t size, const char *format, ...)
{
	size_t length = strlen(path);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(path + length, size - length, format, arguments);
	va_end(arguments);
}

void config_path(const config_setting_t *setting, char *path, size_t size)
{
	const config_setting_t *parent = config_setting_parent(setting);

	if (parent == NULL) {
		path[0] = '\0';
		return;
	}
	config_path(parent, path, size);
	if (config_setting_name(setting) == NULL)
		append(path, size, "[%d]", config_setting_index(setting));
	else
		append(path, size, "%s%s", path[0] != '\0' ? "." : "",
		       config_setting_name(setting));
}

static void add_line(struct config_loader *loader, struct report *report,
		     const config_setting_t *setting, const char *format, va_list arguments)
	__attribute__((format(printf, 4, 0)));

static void add_line(struct config_loader *loader, struct report *report,
		     const config_setting_t *setting, const char *format, va_list arguments)
{
	struct config_place place =
		config_scan_place(loader->scan, config_setting_source_line(setting));
	char path[CONFIG_PATH_MAX], text[768];

	vsnprintf(text, sizeof(text), format, arguments);
	config_path(setting, path, sizeof(path));
	report_add(report, "%s:%u: %s%s%s", place.file, place.line, path,
		   path[0] != '\0' ? ": " : "", text);
}

char *config_where(const struct config_loader *loader, const config_setting_t *setting)
{
	struct config_place place =
		config_scan_place(loader->scan, config_setting_source_line(setting));
	char path[CONFIG_PATH_MAX];
	char *where;

	config_path(setting, path, sizeof(path));
	return asprintf(&where, "%s:%u: %s", place.file, place.line, path) < 0 ? NULL : where;
}

char *config_place_of(struct config_loader *loader, const config_setting_t *setting)
{
	struct config_place place =
		config_scan_place(loader->scan, config_setting_source_line(setting));
	char *where;

	if (asprintf(&where, "%s:%u", place.file, place.line) >= 0)
		return where;
	config_out_of_memory(loader, setting);
	return NULL;
}

void config_mistake(struct config_loader *loader, const config_setting_t *setting,
		    const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_line(loader, loader->report, setting, format, arguments);
	va_end(arguments);
	loader->failed = true;
}

void config_fail(struct config_loader *loader, const config_setting_t *setting, const char *format,
		 ...)
{
	size_t before = loader->report->count;
	va_list arguments;

	va_start(arguments, format);
	add_line(loader, loader->report, setting, format, arguments);
	va_end(arguments);
	report_excuse(loader->report, before);
	loader->failed = true;
}

void config_remark(struct config_loader *loader, const config_setting_t *setting,
		   const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_line(loader, &loader->config->remarks, setting, format, arguments);
	va_end(arguments);
}

void config_mistake_missing(struct config_loader *loader, const config_setting_t *group,
			    const char *name, const char *advice)
{
	struct config_place place =
		config_scan_place(loader->scan, config_setting_source_line(group));
	char path[CONFIG_PATH_MAX];

	config_path(group, path, sizeof(path));
	report_add(loader->report, "%s:%u: %s%s%s: it is missing; %s", place.file, place.line, path,
		   path[0] != '\0' ? "." : "", name, advice);
	loader->failed = true;
}

void config_out_of_memory(struct config_loader *loader, const config_setting_t *setting)
{
	config_fail(loader, setting, "out of memory");
}

static const char *type_name(const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_GROUP:
		return "a group { }";
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "a whole number";
	case CONFIG_TYPE_FLOAT:
		return "a number with a point";
	case CONFIG_TYPE_STRING:
		return "a text";
	case CONFIG_TYPE_BOOL:
		return "true or false";
	case CONFIG_TYPE_ARRAY:
		return "an array [ ]";
	case CONFIG_TYPE_LIST:
		return "a list ( )";
	default:
		return "nothing";
	}
}

static void mistake_type(struct config_loader *loader, const config_setting_t *setting,
			 const char *wanted)
{
	config_mistake(loader, setting, "wrong type, this is %s; write %s", type_name(setting),
		       wanted);
}

/* "0 or 1..32767" as people say it: "0 or 1 to 32767". */
static void mistake_range(struct config_loader *loader, const config_setting_t *setting,
			  const struct setting *known, const char *value)
{
	const char *dots = strstr(known->range, "..");

	config_mistake(loader, setting, "%s is out of range; write %.*s to %s%s", value,
		       (int)(dots - known->range), known->range, dots + 2,
		       known->type == SETTING_TYPE_SECONDS ? " seconds" : "");
}

/* The line that its number's width is noted at: that of the setting whose name stands above it. */
static unsigned line_of_name(const config_setting_t *setting)
{
	while (config_setting_name(setting) == NULL && config_setting_parent(setting) != NULL)
		setting = config_setting_parent(setting);
	return config_setting_source_line(setting);
}

bool config_get_integer(struct config_loader *loader, const config_setting_t *setting,
			long long *value)
{
	*value = config_setting_get_int64(setting);
	switch (config_scan_integer(loader->scan, line_of_name(setting))) {
	case CONFIG_INTEGER_PLAIN:
		return true;
	case CONFIG_INTEGER_NEEDS_L:
		config_mistake(loader, setting,
			       "a number past 32 bits takes an L behind it; write %lldL", *value);
		return false;
	case CONFIG_INTEGER_TOO_BIG:
		config_mistake(loader, setting, "this number does not fit into 64 bits");
		return false;
	}
	return false;
}

/* An integer of either width, in range, and written so that libconfig reads all of it. */
static bool get_integer(struct config_loader *loader, const config_setting_t *setting,
			const struct setting *known, long long *value)
{
	enum config_integer_width width =
		config_scan_integer(loader->scan, config_setting_source_line(setting));
	bool hex = config_setting_get_format(setting) == CONFIG_FORMAT_HEX;
	char text[32];

	*value = config_setting_get_int64(setting);
	if (hex)
		snprintf(text, sizeof(text), "0x%llX", (unsigned long long)*value);
	else
		snprintf(text, sizeof(text), "%lld", *value);
	if (width == CONFIG_INTEGER_TOO_BIG)
		mistake_range(loader, setting, known, "this number");
	else if (!setting_in_range(known, (double)*value))
		mistake_range(loader, setting, known, text);
	else if (width == CONFIG_INTEGER_NEEDS_L)
		config_mistake(loader, setting,
			       "a number past 32 bits takes an L behind it; write %sL", text);
	else
		return true;
	return false;
}

static bool is_integer(const config_setting_t *setting)
{
	return config_setting_type(setting) == CONFIG_TYPE_INT ||
	       config_setting_type(setting) == CONFIG_TYPE_INT64;
}

void config_read_uint32(struct config_loader *loader, config_setting_t *setting,
			const struct setting *known, void *field)
{
	long long value;

	if (!is_integer(setting))
		mistake_type(loader, setting, "a whole number");
	else if (get_integer(loader, setting, known, &value))
		*(uint32_t *)field = (uint32_t)value;
}

void config_read_seconds(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field)
{
	long long whole;
	double value;
	char text[32];

	if (is_integer(setting)) {
		if (get_integer(loader, setting, known, &whole))
			*(uint32_t *)field = (uint32_t)whole * 1000;
		return;
	}
	if (config_setting_type(setting) != CONFIG_TYPE_FLOAT) {
		mistake_type(loader, setting, "a number of seconds");
		return;
	}
	value = config_setting_get_float(setting);
	if (setting_in_range(known, value)) {
		*(uint32_t *)field = (uint32_t)(value * 1000 + 0.5);
		return;
	}
	snprintf(text, sizeof(text), "%g", value);
	mistake_range(loader, setting, known, text);
}

void config_read_bool(struct config_loader *loader, config_setting_t *setting,
		      const struct setting *known, void *field)
{
	(void)known;
	if (config_setting_type(setting) == CONFIG_TYPE_BOOL)
		*(bool *)field = config_setting_get_bool(setting) != 0;
	else
		mistake_type(loader, setting, "true or false");
}

const char *config_get_text(struct config_loader *loader, const config_setting_t *setting)
{
	if (config_setting_type(setting) == CONFIG_TYPE_STRING)
		return config_setting_get_string(setting);
	mistake_type(loader, setting, "a text in double quotes");
	return NULL;
}

void config_read_text(struct config_loader *loader, config_setting_t *setting,
		      const struct setting *known, void *field)
{
	const char *text = config_get_text(loader, setting);
	char **kept = field;

	if (text == NULL)
		return;
	if (text[0] == '\0') {
		config_mistake(loader, setting, "it is empty; write %s, or leave the setting out",
			       known->range);
		return;
	}
	free(*kept);
	*kept = strdup(text);
	if (*kept == NULL)
		config_out_of_memory(loader, setting);
}

int config_get_choice(struct config_loader *loader, config_setting_t *setting,
		      const struct setting *known)
{
	const char *text = config_get_text(loader, setting);
	char choices[128] = "";
	const char *word = known->range;
	int choice;

	if (text == NULL)
		return -1;
	choice = setting_choice(known, text);
	if (choice >= 0)
		return choice;
	while (*word != '\0') {
		size_t length = strcspn(word, "|");

		append(choices, sizeof(choices), "%s\"%.*s\"", word == known->range ? "" : " or ",
		       (int)length, word);
		word += length + (word[length] == '|');
	}
	config_mistake(loader, setting, "\"%.60s\" is not known; write %s", text, choices);
	return -1;
}

void config_each_text(struct config_loader *loader, config_setting_t *setting,
		      void (*each)(struct config_loader *loader, config_setting_t *element,
				   const char *text, void *context),
		      void *context)
{
	int length;

	if (!config_setting_is_list(setting) && !config_setting_is_array(setting)) {
		mistake_type(loader, setting, "a list of texts, such as [ \"...\", \"...\" ]");
		return;
	}
	length = config_setting_length(setting);
	for (int i = 0; i < length; i++) {
		config_setting_t *element = config_setting_get_elem(setting, (unsigned)i);
		const char *text = config_get_text(loader, element);

		if (text != NULL)
			each(loader, element, text, context);
	}
}

static void mistake_unknown(struct config_loader *loader, const config_setting_t *setting,
			    enum setting_scope scope)
{
	const char *name = config_setting_name(setting);
	const char *elsewhere = setting_elsewhere(scope, name);
	const char *near = setting_suggest(scope, name);

	if (elsewhere != NULL)
		config_mistake(loader, setting, "unknown setting; it stands %s", elsewhere);
	else if (near != NULL)
		config_mistake(loader, setting, "unknown setting; did you mean \"%s\"?", near);
	else
		config_mistake(loader, setting,
			       "unknown setting; mmproxy.conf(5) lists those there are");
}

bool config_group_has(const config_setting_t *group, enum setting_scope scope, const char *name)
{
	int length = config_setting_length(group);

	for (int i = 0; i < length; i++) {
		const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
		const char *written = config_setting_name(setting), *meant = written;

		if (setting_find(scope, written) == SETTING_COUNT)
			meant = setting_suggest(scope, written);
		if (meant != NULL && strcmp(meant, name) == 0)
			return true;
	}
	return false;
}

void config_read_group(struct config_loader *loader, config_setting_t *group,
		       enum setting_scope scope, const struct config_rule *rules, void *target)
{
	int length = config_setting_length(group);

	for (int i = 0; i < length; i++) {
		config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
		enum setting_id id = setting_find(scope, config_setting_name(setting));

		if (id == SETTING_COUNT)
			mistake_unknown(loader, setting, scope);
		else
			rules[id].read(loader, setting, &setting_table[id],
				       (char *)target + rules[id].offset);
	}
}
