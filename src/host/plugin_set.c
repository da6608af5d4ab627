/* SPDX-License-Identifier: MIT */
/* A generation's plugins, from open to close, and the workers' seats. */
#include "host/plugin_set.h"

#include <assert.h>
#include <stdlib.h>

#include "base/report.h"
#include "host/instance.h"
#include "host/plugin_host.h"

struct plugin_set {
	struct plugin_host *host;
	struct refcount *owner;
	struct plugin_chain *chains; /* the last opened first */
	/*
	 * One a worker, and that worker's alone: its sessions of this generation, and one for the
	 * worker itself while this is its current generation.
	 */
	unsigned users[];
};

struct plugin_set *plugin_set_create(struct plugin_host *host, struct refcount *owner)
{
	struct plugin_set *set =
		calloc(1, sizeof(*set) + host->worker_count * sizeof(set->users[0]));

	if (set != NULL) {
		set->host = host;
		set->owner = owner;
	}
	return set;
}

void plugin_set_destroy(struct plugin_set *set)
{
	if (set == NULL)
		return;
	while (set->chains != NULL) {
		struct plugin_chain *chain = set->chains;

		set->chains = chain->next;
		while (chain->count > 0)
			instance_close(chain->instances[--chain->count]);
		free(chain);
	}
	free(set);
}

const struct plugin_chain *plugin_set_open(struct plugin_set *set, const struct plugin_list *list,
					   struct report *mistakes, struct report *warnings)
{
	struct plugin_chain *chain =
		calloc(1, sizeof(*chain) + list->count * sizeof(struct mmproxy_instance *));
	bool sound = true;

	if (chain == NULL) {
		report_add_failure(mistakes, "%s: out of memory", list->entries[0].where);
		return NULL;
	}
	chain->set = set;
	chain->next = set->chains;
	set->chains = chain;
	/* All of them, whatever becomes of the first: each mistake is told at once. */
	for (size_t i = 0; i < list->count; i++) {
		struct mmproxy_instance *instance =
			instance_open(set->host, &list->entries[i], mistakes, warnings);

		if (instance != NULL)
			chain->instances[chain->count++] = instance;
		else
			sound = false;
	}
	return sound ? chain : NULL;
}

static void each_instance(struct plugin_set *set, struct ticket_pool *worker,
			  void (*call)(struct mmproxy_instance *instance,
				       struct ticket_pool *worker))
{
	for (struct plugin_chain *chain = set->chains; chain != NULL; chain = chain->next) {
		for (size_t i = 0; i < chain->count; i++)
			call(chain->instances[i], worker);
	}
}

void plugin_set_seat_take(struct plugin_set *set, struct ticket_pool *worker)
{
	if (set == NULL)
		return;
	refcount_take(set->owner);
	set->users[worker->worker] = 1;
	each_instance(set, worker, instance_worker_start);
}

void plugin_set_seat_share(struct plugin_set *set, struct ticket_pool *worker)
{
	if (set == NULL)
		return;
	assert(set->users[worker->worker] > 0);
	set->users[worker->worker]++;
}

void plugin_set_seat_leave(struct plugin_set *set, struct ticket_pool *worker)
{
	if (set == NULL || --set->users[worker->worker] > 0)
		return;
	each_instance(set, worker, instance_worker_stop);
	refcount_drop(set->owner);
}
