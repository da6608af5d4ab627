/* SPDX-License-Identifier: MIT */
#include "ctl/offload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/report.h"
#include "config/config.h"
#include "ctl/answer.h"
#include "ctl/command.h"
#include "ctl/offload_status.h"
#include "ctl/options.h"
#include "offload/layout.h"
#include "offload/lock.h"
#include "offload/setup.h"

/* Says all of it, and lets go of it. */
static void complain_all(struct report *report)
{
	for (size_t i = 0; i < report->count; i++)
		answer_complain("offload: %s", report->lines[i]);
	report_finish(report);
}

static json_t *lines_json(const struct report *report)
{
	json_t *list = json_array();

	for (size_t i = 0; i < report->count; i++)
		json_array_append_new(list, json_string(report->lines[i]));
	return list;
}

static int load(const struct options *options, const struct config *config)
{
	struct setup setup = {.directory = config->offload_directory};
	struct report notes, failures;
	json_t *result;
	int error = config_offload_owner(config, &setup.owner);

	if (error < 0)
		return EXIT_FAILURE;
	report_init(&notes);
	report_init(&failures);
	if (!config_wants_offload(config, &setup.needs))
		report_add(&notes,
			   "no listener of %s has offload = \"auto\", so nobody will use it",
			   options->config);
	error = setup_load(&setup, &notes, &failures);
	if (error == 0 && options->json) {
		result = json_pack("{s:b, s:s, s:i, s:o}", "ok", true, "directory", setup.directory,
				   "layout", OFFLOAD_LAYOUT, "notes", lines_json(&notes));
		answer_print_json(result);
		json_decref(result);
	} else if (error == 0) {
		printf("loaded: layout %d in %s\n", OFFLOAD_LAYOUT, setup.directory);
	}
	complain_all(&notes);
	complain_all(&failures);
	return error < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void complain_busy(const char *directory)
{
	pid_t holder = lock_holder(directory);

	if (holder > 0)
		answer_complain("offload: process %d has %s; stop it first", (int)holder,
				directory);
	else
		answer_complain("offload: another process has %s; stop it first", directory);
}

static void print_cleared(const struct options *options, const char *directory,
			  const struct setup_cleared *cleared, const struct report *notes)
{
	json_t *result;

	if (options->json) {
		result = json_pack("{s:b, s:s, s:i, s:i, s:I, s:o}", "ok", true, "directory",
				   directory, "layouts", (int)cleared->layouts, "interfaces",
				   (int)cleared->interfaces, "sessions_cut",
				   (json_int_t)cleared->live, "notes", lines_json(notes));
		answer_print_json(result);
		json_decref(result);
	} else if (cleared->layouts == 0 && cleared->interfaces == 0) {
		printf("nothing was loaded in %s\n", directory);
	} else {
		printf("cleared: %u interface%s, %" PRIu64 " session%s cut\n", cleared->interfaces,
		       cleared->interfaces == 1 ? "" : "s", cleared->live,
		       cleared->live == 1 ? "" : "s");
	}
}

static int clear(const struct options *options, const struct config *config)
{
	const char *directory = config->offload_directory;
	struct setup_cleared cleared;
	struct report notes, failures;
	int error;

	report_init(&notes);
	report_init(&failures);
	error = setup_clear(directory, &cleared, &notes, &failures);
	if (error == -EBUSY)
		complain_busy(directory);
	else if (error == 0)
		print_cleared(options, directory, &cleared, &notes);
	complain_all(&notes);
	complain_all(&failures);
	return error < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const struct {
	const char *name;
	int (*run)(const struct options *options, const struct config *config);
	bool root;
} actions[] = {
	{"load", load, true},
	{"clear", clear, true},
	{"status", offload_status, false},
};

/* Whoever may not is told so in one line, rather than in one for each thing that does not work. */
static int run(const struct options *options, const struct config *config, size_t action)
{
	if (actions[action].root && geteuid() != 0) {
		answer_complain("offload: %s is root's to do", actions[action].name);
		return EXIT_FAILURE;
	}
	return actions[action].run(options, config);
}

int offload_run(const struct options *options)
{
	const size_t count = sizeof(actions) / sizeof(actions[0]);
	int status = COMMAND_MISTAKE;
	struct config config;
	struct report report;
	size_t action = 0;

	while (action < count && strcmp(actions[action].name, options->argument) != 0)
		action++;
	if (action == count) {
		answer_complain("offload: \"%.80s\" is not known; write mmproxyctl offload load, "
				"clear or status",
				options->argument);
		return COMMAND_MISTAKE;
	}
	report_init(&report);
	if (config_load_file(options->config, &config, &report) == 0) {
		status = run(options, &config, action);
		config_finish(&config);
	}
	for (size_t i = 0; i < report.count; i++)
		fprintf(stderr, "%s\n", report.lines[i]);
	report_finish(&report);
	return status;
}
