/* SPDX-License-Identifier: MIT */
/* What plugins share: made, found, freed. */
#include "host/plugin_host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

struct plugin_counter *plugin_host_counter(struct plugin_host *host, const char *plugin,
					   const char *name)
{
	struct plugin_counter **end = &host->counters;
	char whole[PLUGIN_COUNTER_NAME_SIZE];

	snprintf(whole, sizeof(whole), "plugin_%s_%s", plugin, name);
	for (char *c = whole; *c != '\0'; c++) {
		if (*c == '-') /* an entry may be called "acl-dns"; no counter has a dash */
			*c = '_';
	}
	while (*end != NULL && strcmp((*end)->name, whole) != 0)
		end = &(*end)->next;
	if (*end == NULL) {
		*end = calloc(1, sizeof(**end));
		if (*end != NULL) {
			memcpy((*end)->name, whole, sizeof(whole));
			snprintf((*end)->entry, sizeof((*end)->entry), "%s", plugin);
			snprintf((*end)->counter, sizeof((*end)->counter), "%s", name);
		}
	}
	return *end;
}
