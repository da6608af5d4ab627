/* SPDX-License-Identifier: MIT */
/* Sockets and shares: made for one generation, passed on to the next, gone with the last. */
#include "daemon/listening.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void give_back(struct budget *descriptors, unsigned charged)
{
	if (charged > 0)
		atomic_fetch_add(&descriptors->limit, charged);
}

static void listening_free(struct refcount *refcount)
{
	struct listening *listening = container_of(refcount, struct listening, refcount);

	for (unsigned i = 0; i < listening->socket_count && !listening->passed; i++) {
		if (listening->sockets[i].fd >= 0)
			close(listening->sockets[i].fd);
	}
	give_back(listening->descriptors, listening->charged);
	free(listening);
}

struct listening *listening_create(enum relay_protocol protocol,
				   const struct listen_endpoint *endpoint, unsigned sockets)
{
	struct listening *listening =
		calloc(1, sizeof(*listening) + sockets * sizeof(listening->sockets[0]));

	if (listening == NULL)
		return NULL;
	refcount_init(&listening->refcount, listening_free);
	listening->protocol = protocol;
	listening->endpoint = *endpoint;
	listening->socket_count = sockets;
	for (unsigned i = 0; i < sockets; i++)
		listening->sockets[i].fd = -1;
	return listening;
}

static void share_free(struct refcount *refcount)
{
	struct listener_share *share = container_of(refcount, struct listener_share, refcount);

	list_remove(&share->link);
	flow_quota_finish(&share->flows);
	give_back(share->descriptors, share->charged);
	free(share->header_queues);
	free(share->name);
	free(share);
}

static struct header_queue *create_header_queues(unsigned workers)
{
	struct header_queue *queues =
		aligned_alloc(_Alignof(struct header_queue), workers * sizeof(*queues));

	for (unsigned i = 0; queues != NULL && i < workers; i++)
		header_queue_init(&queues[i]);
	return queues;
}

struct listener_share *listener_share_create(struct list *shares, const char *name,
					     enum relay_protocol protocol, unsigned workers)
{
	struct listener_share *share = calloc(1, sizeof(*share));

	if (share == NULL)
		return NULL;
	refcount_init(&share->refcount, share_free);
	list_append(shares, &share->link);
	share->protocol = protocol;
	share->name = strdup(name);
	share->header_queues = create_header_queues(workers);
	if (share->name == NULL || share->header_queues == NULL) {
		refcount_drop(&share->refcount);
		return NULL;
	}
	return share;
}

void listener_share_rename(struct listener_share *share, const char *name)
{
	char *copy = strcmp(share->name, name) != 0 ? strdup(name) : NULL;

	if (copy == NULL)
		return;
	free(share->name);
	share->name = copy;
}

struct listener_figures listener_share_figures(const struct listener_share *share,
					       const struct budget *descriptors)
{
	const struct budget *budget =
		share->protocol == RELAY_PROTOCOL_UDP ? &share->flows.flows : &share->sessions;
	unsigned limit = atomic_load(&budget->limit);

	return (struct listener_figures){
		.name = share->name,
		.protocol = share->protocol,
		.sessions = atomic_load(&budget->alive),
		.begun = atomic_load(&budget->begun),
		.limit = limit > 0 ? limit : atomic_load(&descriptors->limit),
	};
}

bool listening_is_for(const struct listening *listening, unsigned index, unsigned worker,
		      unsigned worker_count)
{
	if (!listening->passed)
		return index == worker;
	/* A flow must stay with one worker. By the number, so that listeners spread over them. */
	if (listening->protocol == RELAY_PROTOCOL_UDP)
		return listening->sockets[index].id % worker_count == worker;
	if (listening_is_shared(listening, worker_count))
		return worker % listening->socket_count == index;
	return index % worker_count == worker;
}

bool listening_is_shared(const struct listening *listening, unsigned worker_count)
{
	return listening->passed && listening->protocol == RELAY_PROTOCOL_TCP &&
	       listening->socket_count < worker_count;
}

unsigned generation_listener_sockets(const struct generation_listener *listener)
{
	unsigned sockets = 0;

	for (size_t i = 0; i < listener->listening_count; i++)
		sockets += listener->listenings[i]->socket_count;
	return sockets;
}

int generation_listener_add(struct generation_listener *listener, struct listening *listening)
{
	struct listening **listenings = reallocarray(
		listener->listenings, listener->listening_count + 1, sizeof(struct listening *));

	if (listenings == NULL)
		return -ENOMEM;
	listener->listenings = listenings;
	refcount_take(&listening->refcount);
	listenings[listener->listening_count++] = listening;
	return 0;
}

void generation_listener_finish(struct generation_listener *listener)
{
	for (size_t i = 0; i < listener->listening_count; i++)
		refcount_drop(&listener->listenings[i]->refcount);
	free(listener->listenings);
	if (listener->share != NULL)
		refcount_drop(&listener->share->refcount);
	*listener = (struct generation_listener){0};
}
