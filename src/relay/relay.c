/* SPDX-License-Identifier: MIT */
/* A worker's relay: made, kept up to date, taken down. */
#include "relay/relay.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "os/dial.h"
#include "os/sys.h"
#include "os/wall_clock.h"
#include "relay/tcp_listener.h"
#include "relay/tcp_offload.h"
#include "relay/tcp_room.h"

int relay_init(struct relay *relay, const struct relay_options *options)
{
	int error;

	*relay = (struct relay){
		.sys = options->sys,
		.descriptors = options->descriptors,
		.tickets = options->tickets,
		.udp_claims = options->udp_claims,
		.client_counts = options->client_counts,
		.datapath = options->datapath,
		.worker_count = options->worker_count,
		.last_session = (uint64_t)options->worker + 1 - options->worker_count,
	};
	list_init(&relay->sessions);
	tcp_offload_init(relay);
	list_init(&relay->listeners);
	list_init(&relay->udp_listeners);
	timer_init(&relay->room, tcp_room_leave);
	pipe_pool_init(&relay->pipes, options->sys, options->pipe_limit);
	relay->own_addresses = options->own_addresses;
	relay->hot = malloc(RELAY_HOT_SIZE);
	error = relay->hot != NULL ? loop_init(&relay->loop, options->sys) : -ENOMEM;
	if (error < 0) {
		free(relay->hot);
		refcount_drop(&relay->own_addresses->refcount);
	}
	return error;
}

void relay_finish(struct relay *relay)
{
	assert(list_empty(&relay->sessions) && list_empty(&relay->listeners));
	timer_drop(&relay->room);
	tcp_offload_finish(relay);
	pipe_pool_finish(&relay->pipes);
	loop_finish(&relay->loop);
	free(relay->hot);
	refcount_drop(&relay->own_addresses->refcount);
}

void relay_set_own_addresses(struct relay *relay, struct own_addresses *own)
{
	refcount_drop(&relay->own_addresses->refcount);
	relay->own_addresses = own;
}

bool relay_admit_line(struct relay *relay, const struct address *peer, unsigned subject,
		      uint64_t *suppressed)
{
	bool admitted =
		log_limiter_admit(&relay->log_limiter, peer, subject, relay->loop.now, suppressed);

	if (!admitted)
		counter_add(&relay->counters, COUNTER_LOG_SUPPRESSED, 1);
	return admitted;
}

void relay_count_dial(struct relay *relay, const struct dial_result *result)
{
	if (result->repair_bind)
		counter_add(&relay->counters, COUNTER_DIAL_REPAIR_BINDS, 1);
	if (result->port_conflict)
		counter_add(&relay->counters, COUNTER_PORT_CONFLICTS, 1);
	if (result->port_privileged)
		counter_add(&relay->counters, COUNTER_CLIENT_PORT_PRIVILEGED, 1);
}

uint64_t relay_time_of(const struct relay *relay, uint64_t seconds)
{
	uint64_t now = wall_clock_seconds(), age = now > seconds ? (now - seconds) * 1000 : 0;

	return age < relay->loop.now ? relay->loop.now - age : 0;
}

void relay_number_after(struct relay *relay, uint64_t session, unsigned worker)
{
	const uint64_t count = relay->worker_count, first = worker + 1;

	relay->last_session =
		session < first ? first - count : first + (session - first) / count * count;
}

uint64_t relay_new_session_id(struct relay *relay)
{
	relay->last_session += relay->worker_count;
	return relay->last_session;
}
