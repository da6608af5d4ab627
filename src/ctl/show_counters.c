/* SPDX-License-Identifier: MIT */
/* mmproxyctl counters and metrics: figures since the start. */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/answer.h"
#include "ctl/lines.h"
#include "ctl/options.h"
#include "ctl/show.h"
#include "ctl/table.h"

static const struct table_column columns[] = {{"COUNTER", TABLE_LEFT}, {"VALUE", TABLE_RIGHT}};

/* A pattern as for files, or a part of the name, in which - and _ are the same. */
static bool matches(const char *name, const char *pattern)
{
	char text[256];

	snprintf(text, sizeof(text), "%s", pattern);
	for (char *c = text; *c != '\0'; c++) {
		if (*c == '-' && strpbrk(pattern, "[") == NULL)
			*c = '_';
	}
	if (strpbrk(text, "*?[") != NULL)
		return fnmatch(text, name, 0) == 0;
	return strstr(name, text) != NULL;
}

/* The result with those counters alone that match; all of them where there is no pattern. */
static json_t *choose(const json_t *result, const char *pattern)
{
	json_t *chosen = json_object(), *counters = json_object();
	json_t *value;
	const char *name;

	/* The macro's cast would take const away; nothing is changed. */
	json_object_foreach(json_object_get(result, "counters"), name, value)
	{
		if (pattern == NULL || matches(name, pattern))
			json_object_set(counters, name, value);
	}
	json_object_set_new(chosen, "counters", counters);
	return chosen;
}

static void print_counters(const json_t *chosen, bool zeros)
{
	size_t zero_count = 0;
	struct table table;
	json_t *value;
	const char *name;

	table_init(&table, columns, sizeof(columns) / sizeof(columns[0]));
	json_object_foreach(json_object_get(chosen, "counters"), name, value)
	{
		json_int_t count = json_integer_value(value);

		zero_count += count == 0 ? 1 : 0;
		if (count == 0 && !zeros)
			continue;
		table_begin_row(&table, LINE_PLAIN);
		table_add(&table, "%s", name);
		table_add(&table, "%lld", (long long)count);
	}
	if (table.row_count > 0)
		table_print(&table);
	table_finish(&table);
	if (!zeros && zero_count > 0)
		printf("%zu others are zero\n", zero_count);
}

int show_counters(const struct options *options)
{
	json_t *result = answer_get(options, "counters"), *chosen;
	int status = EXIT_SUCCESS;

	if (result == NULL)
		return EXIT_FAILURE;
	chosen = choose(result, options->argument);
	if (options->argument != NULL &&
	    json_object_size(json_object_get(chosen, "counters")) == 0) {
		answer_complain("no counter matches \"%.80s\"; --json counters has all of them",
				options->argument);
		status = EXIT_FAILURE;
	} else if (options->json) {
		answer_print_json(chosen);
	} else {
		print_counters(chosen, options->argument != NULL);
	}
	json_decref(chosen);
	json_decref(result);
	return status;
}

static void print_metrics(const json_t *result, const struct options *options)
{
	const char *text = answer_text(result, "text");
	struct lines lines = {0};

	(void)options;
	/* Byte by byte for a program; a terminal gets nothing that could steer it. */
	if (!isatty(STDOUT_FILENO)) {
		fputs(text, stdout);
		return;
	}
	while (*text != '\0') {
		size_t length = strcspn(text, "\n");

		lines_add(&lines, LINE_PLAIN, "%.*s", (int)length, text);
		text += length + (text[length] == '\n' ? 1 : 0);
	}
	lines_print(&lines, 0, stdout);
	lines_finish(&lines);
}

int show_metrics(const struct options *options)
{
	return answer_show(options, "metrics", print_metrics);
}
