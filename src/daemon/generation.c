/* SPDX-License-Identifier: MIT */
/* Generations: made by the main thread, freed by whichever thread drops the last hold. */
#include "daemon/generation.h"

#include <stdlib.h>

#include "base/list.h"

static void generation_destroy(struct refcount *refcount)
{
	struct generation *generation = container_of(refcount, struct generation, refcount);

	config_finish(&generation->config);
	free(generation);
}

struct generation *generation_create(struct config *config, uint64_t number)
{
	struct generation *generation = calloc(1, sizeof(*generation));

	if (generation == NULL)
		return NULL;
	refcount_init(&generation->refcount, generation_destroy);
	generation->number = number;
	generation->config = *config;
	*config = (struct config){0};
	for (size_t i = 0; i < generation->config.listener_count; i++)
		generation->config.listeners[i].relay.owner = &generation->refcount;
	return generation;
}
