/* SPDX-License-Identifier: MIT */
/* What plugins share: made, found, freed. */
#include "host/plugin_host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/report.h"
#include "host/plugin_entry.h"

int plugin_host_init(struct plugin_host *host, unsigned worker_count)
{
	*host = (struct plugin_host){
		.worker_count = worker_count,
		.pools = calloc(worker_count, sizeof(*host->pools)),
	};
	if (host->pools == NULL)
		return -ENOMEM;
	for (unsigned worker = 0; worker < worker_count; worker++)
		ticket_pool_init(&host->pools[worker], worker);
	return 0;
}

void plugin_host_finish(struct plugin_host *host)
{
	for (unsigned worker = 0; host->pools != NULL && worker < host->worker_count; worker++)
		ticket_pool_finish(&host->pools[worker]);
	free(host->pools);
	while (host->counters != NULL) {
		struct plugin_counter *counter = host->counters;

		host->counters = counter->next;
		free(counter);
	}
	*host = (struct plugin_host){0};
}

static struct plugin_counter *add_counter(struct plugin_counter **end, const char *whole,
					  const char *entry, const char *name)
{
	struct plugin_counter *counter = calloc(1, sizeof(*counter));

	if (counter == NULL)
		return NULL;
	snprintf(counter->name, sizeof(counter->name), "%s", whole);
	snprintf(counter->entry, sizeof(counter->entry), "%s", entry);
	snprintf(counter->counter, sizeof(counter->counter), "%s", name);
	*end = counter;
	return counter;
}

int plugin_host_counter(struct plugin_host *host, const struct plugin_entry *entry,
			const char *name, struct plugin_counter **counter, struct report *mistakes)
{
	struct plugin_counter **end = &host->counters;
	char whole[PLUGIN_COUNTER_NAME_SIZE];

	snprintf(whole, sizeof(whole), "plugin_%s_%s", entry->name, name);
	for (char *c = whole; *c != '\0'; c++) {
		if (*c == '-') /* an entry may be called "acl-dns"; no counter has a dash */
			*c = '_';
	}
	while (*end != NULL && strcmp((*end)->name, whole) != 0)
		end = &(*end)->next;
	*counter = *end != NULL ? *end : add_counter(end, whole, entry->name, name);
	if (*counter == NULL)
		return -ENOMEM;
	/* The same text, divided elsewhere. */
	if (strlen((*counter)->entry) == strlen(entry->name))
		return 0;
	report_add(
		mistakes,
		"%s: plugin \"%s\": its counter \"%s\" would be %s, as \"%s\" of plugin \"%s\" is; "
		"write another name (counters last until a restart)",
		entry->where, entry->name, name, whole, (*counter)->counter, (*counter)->entry);
	return -EEXIST;
}
