/* SPDX-License-Identifier: MIT */
/*
 * A flow is the worker's that its number belongs to, if only that one has the flow's socket. All
 * workers have, of a listener's own sockets. One that was passed to mmproxy is one worker's alone,
 * and another's than before when there are more workers now, or other sockets.
 */
#include "daemon/heirs.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/server_state.h"
#include "offload/udp_datapath.h"
#include "os/sys.h"
#include "relay/session_view.h"
#include "relay/udp.h"

static bool is_for_flows(const struct generation_listener *listener)
{
	return listener->share->protocol == RELAY_PROTOCOL_UDP;
}

static bool is_any_passed(const struct generation *generation)
{
	for (size_t i = 0; i < generation->config.listener_count; i++) {
		const struct generation_listener *listener = &generation->listeners[i];

		for (size_t j = 0; j < listener->listening_count; j++)
			if (is_for_flows(listener) && listener->listenings[j]->passed)
				return true;
	}
	return false;
}

struct choice {
	const struct offload_udp_record *record;
	unsigned worker_count;
	unsigned usual; /* the worker that the flow's number belongs to */
	unsigned heir;
	unsigned fit; /* of the heir's socket */
};

static void consider_socket(struct choice *choice, const struct listening *listening,
			    unsigned index, unsigned worker)
{
	unsigned fit = udp_adopt_fit(&sys_linux, listening->sockets[index].fd, choice->record);

	if (fit > choice->fit || (fit > 0 && fit == choice->fit && worker == choice->usual)) {
		choice->fit = fit;
		choice->heir = worker;
	}
}

static void consider(struct choice *choice, const struct listening *listening)
{
	if (!listening->passed) {
		consider_socket(choice, listening, choice->usual, choice->usual);
		return;
	}
	for (unsigned i = 0; i < listening->socket_count; i++) {
		unsigned worker = 0;

		while (!listening_is_for(listening, i, worker, choice->worker_count))
			worker++;
		consider_socket(choice, listening, i, worker);
	}
}

static unsigned heir_of(const struct server *server, uint64_t flow)
{
	const struct generation *generation = server->generation;
	struct offload_udp_record record;
	struct choice choice = {
		.record = &record,
		.worker_count = server->worker_count,
		.usual = session_worker(flow, server->worker_count),
	};

	choice.heir = choice.usual;
	if (udp_datapath_read_record(server->datapath, flow, &record) < 0)
		return choice.usual;
	for (size_t i = 0; i < generation->config.listener_count; i++) {
		const struct generation_listener *listener = &generation->listeners[i];

		if (!is_for_flows(listener) ||
		    strncmp(generation->config.listeners[i].name, record.listener,
			    sizeof(record.listener)) != 0)
			continue;
		for (size_t j = 0; j < listener->listening_count; j++)
			consider(&choice, listener->listenings[j]);
	}
	return choice.heir;
}

void heirs_choose(struct server *server)
{
	struct heritage *heritage = &server->heritage;

	if (heritage->flows.count == 0 || !is_any_passed(server->generation))
		return;
	heritage->flow_workers = calloc(heritage->flows.count, sizeof(heritage->flow_workers[0]));
	for (size_t i = 0; heritage->flow_workers != NULL && i < heritage->flows.count; i++)
		heritage->flow_workers[i] = heir_of(server, heritage->flows.ids[i]);
}
