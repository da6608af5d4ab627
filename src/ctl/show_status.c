/* SPDX-License-Identifier: MIT */
/* mmproxyctl status: a label and a figure a line. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/answer.h"
#include "ctl/clock.h"
#include "ctl/format.h"
#include "ctl/lines.h"
#include "ctl/show.h"

#define LABEL "%-14s"

static void add_process(struct lines *lines, const json_t *status)
{
	char since[FORMAT_SIZE];

	lines_add(lines, LINE_PLAIN, LABEL "%s, up %s, process %" PRIu64, "mmproxy",
		  answer_text(status, "version"),
		  format_duration(answer_number(status, "uptime"), since),
		  answer_count(status, "pid"));
	lines_add(lines, LINE_PLAIN, LABEL "%s", "state", answer_text(status, "state"));
}

static void add_generation(struct lines *lines, const json_t *status)
{
	double loaded = answer_number(status, "loaded");
	char at[FORMAT_SIZE], age[FORMAT_SIZE];

	lines_add(lines, LINE_PLAIN, LABEL "%" PRIu64 ", loaded %s (%s ago)", "generation",
		  answer_count(status, "generation"), format_time(loaded, at),
		  format_duration(clock_wall() - loaded, age));
}

static void add_reload(struct lines *lines, const json_t *reload)
{
	char at[FORMAT_SIZE];
	const json_t *mistake;
	size_t i;

	if (!json_is_object(reload)) {
		lines_add(lines, LINE_PLAIN, LABEL "none so far", "last reload");
		return;
	}
	lines_add(lines, LINE_PLAIN, LABEL "%s, %s", "last reload",
		  format_time(answer_number(reload, "time"), at),
		  json_is_true(json_object_get(reload, "ok")) ? "put in place"
							      : "refused; nothing was changed");
	json_array_foreach (answer_array(reload, "mistakes"), i, mistake) {
		if (json_is_string(mistake))
			lines_add(lines, LINE_PLAIN, LABEL "%s", "", json_string_value(mistake));
	}
}

/* While mmproxy drains, workers end one by one. */
static void add_worker(struct lines *lines, const json_t *worker)
{
	uint64_t number = answer_count(worker, "worker");

	if (json_is_true(json_object_get(worker, "ended")))
		lines_add(lines, LINE_PLAIN, LABEL "worker %" PRIu64 " has ended", "", number);
	else if (!json_is_true(json_object_get(worker, "alive")))
		lines_add(lines, LINE_ALERT, LABEL "worker %" PRIu64 " is stuck", "", number);
	else if (json_object_get(worker, "sessions") != NULL)
		lines_add(lines, LINE_PLAIN, LABEL "worker %" PRIu64 " has %" PRIu64 " sessions",
			  "", number, answer_count(worker, "sessions"));
}

static void add_workers(struct lines *lines, const json_t *workers)
{
	size_t count = json_array_size(workers), alive = 0, i;
	const json_t *worker;

	json_array_foreach (workers, i, worker) {
		alive += json_is_true(json_object_get(worker, "alive")) ? 1 : 0;
	}
	lines_add(lines, LINE_PLAIN, LABEL "%zu of %zu alive", "workers", alive, count);
	json_array_foreach (workers, i, worker) {
		add_worker(lines, worker);
	}
}

static void add_routing(struct lines *lines, const json_t *routing)
{
	uint64_t missing = answer_count(routing, "missing");

	if (json_object_get(routing, "managed") == NULL)
		lines_add(lines, LINE_PLAIN, LABEL "%s", "routing", answer_text(routing, "mode"));
	else if (missing == 0)
		lines_add(lines, LINE_PLAIN, LABEL "managed, all is in place", "routing");
	else
		lines_add(lines, LINE_ALERT,
			  LABEL "managed, %" PRIu64 " of %" PRIu64
				" rules and routes are missing; the log says why",
			  "routing", missing, answer_count(routing, "managed"));
}

static void add_offload(struct lines *lines, const json_t *offload)
{
	if (json_is_true(json_object_get(offload, "in_use")))
		lines_add(lines, LINE_PLAIN, LABEL "%" PRIu64 " sessions in the kernel, at %s",
			  "offload", answer_count(offload, "live"),
			  answer_text(offload, "interfaces"));
	else if (strcmp(answer_text(offload, "mode"), "off") == 0)
		lines_add(lines, LINE_PLAIN, LABEL "off", "offload");
	else
		lines_add(lines, LINE_ALERT, LABEL "sessions stay relays: %s", "offload",
			  answer_text(offload, "why"));
}

static void print_status(const json_t *status, const struct options *options)
{
	const json_t *descriptors = json_object_get(status, "descriptors");
	struct lines lines = {0};

	(void)options;
	add_process(&lines, status);
	add_generation(&lines, status);
	add_reload(&lines, json_object_get(status, "last_reload"));
	lines_add(&lines, LINE_PLAIN, LABEL "%" PRIu64 " of %" PRIu64, "sessions",
		  answer_count(status, "sessions"), answer_count(status, "max_sessions"));
	add_workers(&lines, answer_array(status, "workers"));
	lines_add(&lines, LINE_PLAIN, LABEL "%" PRIu64 " of %" PRIu64, "descriptors",
		  answer_count(descriptors, "open"), answer_count(descriptors, "limit"));
	if (json_object_get(status, "routing") != NULL)
		add_routing(&lines, json_object_get(status, "routing"));
	if (json_object_get(status, "offload") != NULL)
		add_offload(&lines, json_object_get(status, "offload"));
	lines_add(&lines, LINE_PLAIN, LABEL "%s", "log level", answer_text(status, "log_level"));
	lines_print(&lines, lines_terminal_width(), stdout);
	lines_finish(&lines);
}

int show_status(const struct options *options)
{
	return answer_show(options, "status", print_status);
}
