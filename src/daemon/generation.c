/* SPDX-License-Identifier: MIT */
/* Generations: made and freed by the main thread, let go by whichever thread is the last. */
#include "daemon/generation.h"

#include <stdlib.h>
#include <sys/eventfd.h>

#include "daemon/listening.h"
#include "daemon/routing.h"
#include "host/plugin_set.h"

static void generation_free(struct generation *generation)
{
	plugin_set_destroy(generation->plugins);
	routing_release(generation->routing);
	for (size_t i = 0; generation->listeners != NULL && i < generation->config.listener_count;
	     i++)
		generation_listener_finish(&generation->listeners[i]);
	free(generation->listeners);
	config_finish(&generation->config);
	free(generation);
}

static void generation_retire(struct refcount *refcount)
{
	struct generation *generation = container_of(refcount, struct generation, refcount);
	struct generation_retirement *retirement = generation->retirement;

	if (retirement == NULL) {
		generation_free(generation);
		return;
	}
	pthread_mutex_lock(&retirement->lock);
	list_append(&retirement->generations, &generation->link);
	if (retirement->wake >= 0)
		eventfd_write(retirement->wake, 1);
	pthread_mutex_unlock(&retirement->lock);
}

struct generation *generation_create(struct config *config, uint64_t number,
				     struct generation_retirement *retirement)
{
	struct generation *generation = calloc(1, sizeof(*generation));

	if (generation == NULL)
		return NULL;
	refcount_init(&generation->refcount, generation_retire);
	generation->number = number;
	generation->retirement = retirement;
	generation->config = *config;
	*config = (struct config){0};
	for (size_t i = 0; i < generation->config.listener_count; i++)
		generation->config.listeners[i].relay.owner = &generation->refcount;
	return generation;
}

void generation_retirement_init(struct generation_retirement *retirement)
{
	pthread_mutex_init(&retirement->lock, NULL);
	list_init(&retirement->generations);
	retirement->wake = -1;
}

void generation_retirement_finish(struct generation_retirement *retirement)
{
	pthread_mutex_destroy(&retirement->lock);
}

void generation_free_retired(struct generation_retirement *retirement)
{
	struct list retired;

	list_init(&retired);
	pthread_mutex_lock(&retirement->lock);
	list_splice(&retired, &retirement->generations);
	pthread_mutex_unlock(&retirement->lock);
	while (!list_empty(&retired)) {
		struct generation *generation = container_of(retired.next, struct generation, link);

		list_remove(&generation->link);
		generation_free(generation);
	}
}
