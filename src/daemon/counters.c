/* SPDX-License-Identifier: MIT */
/* All workers' counters together, and the log lines that have them. */
#include <stdio.h>

#include "base/counter.h"
#include "daemon/server_state.h"
#include "os/log.h"

/*
 * Bytes. A counter takes most as JSON, `,"name":18446744073709551615`; beside them a line has its
 * time, its level, what it is about, and whether another follows.
 */
#define NAME_MOST                                                                                  \
	(COUNTER_NAME_SIZE > PLUGIN_COUNTER_NAME_SIZE ? COUNTER_NAME_SIZE                          \
						      : PLUGIN_COUNTER_NAME_SIZE)
#define COUNTER_MOST (NAME_MOST + 4 + 20)
#define BESIDE_MOST  256

/* As many as surely fit: a line that is too long would be cut, or lost. */
#define COUNTERS_PER_LINE ((LOG_LINE_SIZE - BESIDE_MOST) / COUNTER_MOST)

/* The counters of the next line, behind the field that says whether another follows. */
struct line {
	struct log_field fields[1 + COUNTERS_PER_LINE];
	char names[COUNTERS_PER_LINE][NAME_MOST];
	size_t count;
};

uint64_t server_sum_counter(const struct server *server, enum counter counter)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < server->worker_count; i++)
		sum += counter_read(&server->workers[i].relay.counters, counter);
	return sum;
}

static void write_line(struct line *line, bool another_follows)
{
	line->fields[0] = another_follows ? LOG_TEXT("continued", "yes") : LOG_NOTHING;
	log_event(LOG_LEVEL_INFO, "daemon", "counters", line->fields, 1 + line->count);
	line->count = 0;
}

/* Those that were never raised are left out. */
static void add(struct line *line, const char *name, uint64_t value)
{
	char *kept;

	if (value == 0)
		return;
	if (line->count == COUNTERS_PER_LINE)
		write_line(line, true);
	kept = line->names[line->count++];
	snprintf(kept, NAME_MOST, "%s", name);
	line->fields[line->count] = LOG_NUMBER(kept, value);
}

void server_log_counters(const struct server *server)
{
	struct line line = {.count = 0};
	char name[COUNTER_NAME_SIZE];

	for (enum counter counter = 0; counter < COUNTER_COUNT; counter++) {
		counter_name(counter, name);
		add(&line, name, server_sum_counter(server, counter));
	}
	add(&line, "log_lines_dropped", log_lines_dropped());
	for (const struct plugin_counter *counter = server->plugins.counters; counter != NULL;
	     counter = counter->next)
		add(&line, counter->name, atomic_load(&counter->value));
	write_line(&line, false);
}
