/* SPDX-License-Identifier: MIT */
/*
 * How many sessions and flows the descriptors allow, decided at the start, and what a reload's new
 * listeners take of that: none is begun whose descriptor would be missing, and a flood of UDP
 * clients leaves those of TCP alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/report.h"
#include "daemon/control/control.h"
#include "daemon/listeners.h"
#include "daemon/metrics/http.h"
#include "daemon/server_state.h"
#include "os/descriptors.h"
#include "os/log.h"
#include "relay/flow_quota.h"

/* Pipes of all workers together, below what a user may have (see pipe_pool.h). */
#define PIPES_IN_ALL 192

/* Descriptors left over for what opens one for a moment: a reload, a log, a name service. */
#define SPARE_DESCRIPTORS 12

/* Descriptors of a worker's own: its loop's two and its inbox. */
#define DESCRIPTORS_PER_WORKER 3

/* What an instance of a plugin may have open; a reload has two of each for a while. */
#define DESCRIPTORS_PER_PLUGIN 8

/* Places to begin a search for a client's count at: 8 MiB of addresses, if all are used. */
#define CLIENT_BUCKETS_MAX (1 << 20)

/* Of a TCP session. A flow has one. */
#define DESCRIPTORS_PER_SESSION 2

static bool is_udp(const struct server *server, size_t listener)
{
	return server->generation->config.listeners[listener].relay.protocol == RELAY_PROTOCOL_UDP;
}

/* All sockets of a listener. */
static unsigned count_sockets(const struct server *server, size_t listener)
{
	return generation_listener_sockets(&server->generation->listeners[listener]);
}

static unsigned count_udp_listeners(const struct server *server)
{
	unsigned count = 0;

	for (size_t i = 0; i < server->generation->config.listener_count; i++)
		count += is_udp(server, i);
	return count;
}

/* Beside the flows: notices among several sockets, and what goes over the limit for a moment. */
static unsigned count_quota(unsigned sockets)
{
	return sockets > 1 ? sockets + FLOW_QUOTA_OVERDRAFT : 1;
}

/* What is open, or will be, however few clients there are. */
static unsigned count_fixed(const struct server *server)
{
	unsigned fixed = descriptors_open() + control_count_descriptors(server) + SPARE_DESCRIPTORS;

	fixed += server->worker_count * (DESCRIPTORS_PER_WORKER + 2 * server->pipes_per_worker);
	fixed += metrics_http_descriptors(server);
	fixed += 2 * DESCRIPTORS_PER_PLUGIN * (unsigned)server->generation->config.plugins.count;
	for (size_t i = 0; i < server->generation->config.listener_count; i++) {
		const struct config_listener *listener = &server->generation->config.listeners[i];

		fixed += 2 * DESCRIPTORS_PER_PLUGIN * (unsigned)listener->plugins.count;
		if (is_udp(server, i))
			fixed += count_quota(count_sockets(server, i));
	}
	return fixed;
}

static unsigned max_flows_of(const struct server *server, size_t listener)
{
	return server->generation->config.listeners[listener].relay.udp.max_flows;
}

/*
 * The most that one listener may have when `descriptors` are shared out: those that want less leave
 * the rest to the others.
 */
static unsigned fair_share(const struct server *server, unsigned descriptors, unsigned listeners)
{
	unsigned share = descriptors / listeners, before;

	do {
		unsigned left = descriptors, wanting = 0;

		before = share;
		for (size_t i = 0; i < server->generation->config.listener_count; i++) {
			if (!is_udp(server, i))
				continue;
			if (max_flows_of(server, i) <= share)
				left -= max_flows_of(server, i);
			else
				wanting++;
		}
		if (wanting > 0)
			share = left / wanting;
	} while (share > before);
	return share > 0 ? share : 1;
}

static int make_quota(struct server *server, size_t listener, unsigned share)
{
	unsigned asked = max_flows_of(server, listener);
	unsigned limit = asked < share ? asked : share;
	int error = flow_quota_init(&server->generation->listeners[listener].share->flows, limit,
				    count_sockets(server, listener));

	if (error < 0) {
		log_error("daemon", "cannot start", LOG_TEXT("step", "flow table"),
			  LOG_ERRNO("error", error));
		return -1;
	}
	if (limit < asked)
		log_warning(
			"listener", "fewer flows than max_flows: descriptors are short",
			LOG_TEXT("listener", server->generation->config.listeners[listener].name),
			LOG_NUMBER("max_flows", asked), LOG_NUMBER("allowed", limit),
			LOG_NUMBER("descriptors", server->descriptor_limit),
			LOG_TEXT("hint", "raise LimitNOFILE of the unit, or ulimit -n"));
	return 0;
}

/* What an attacker must not know, or all flows could be made to share a bucket. */
static int make_secret(struct siphash_key *secret)
{
	if (getrandom(secret, sizeof(*secret), 0) == (ssize_t)sizeof(*secret))
		return 0;
	log_error("daemon", "cannot start", LOG_TEXT("step", "getrandom"),
		  LOG_ERRNO("error", -errno));
	return -1;
}

static int plan_flows(struct server *server, unsigned descriptors, unsigned *taken)
{
	unsigned listeners = count_udp_listeners(server), share;
	struct siphash_key secret;

	*taken = 0;
	share = listeners > 0 ? fair_share(server, descriptors, listeners) : 0;
	for (size_t i = 0; i < server->generation->config.listener_count; i++) {
		if (!is_udp(server, i))
			continue;
		if (make_quota(server, i, share) < 0)
			return -1;
		*taken += atomic_load(&server->generation->listeners[i].share->flows.flows.limit);
	}
	if (make_secret(&secret) < 0)
		return -1;
	/* A reload may bring more flows: half of the descriptors at most. */
	if (udp_claims_init(&server->udp_claims, *taken > 0 ? *taken : descriptors / 2, &secret) ==
		    0 &&
	    client_counts_init(&server->client_counts,
			       server->descriptor_limit < CLIENT_BUCKETS_MAX
				       ? server->descriptor_limit
				       : CLIENT_BUCKETS_MAX,
			       &secret) == 0)
		return 0;
	log_error("daemon", "cannot start", LOG_TEXT("step", "flow table"),
		  LOG_ERRNO("error", -ENOMEM));
	return -1;
}

static void plan_sessions(struct server *server, unsigned descriptors)
{
	unsigned sessions = descriptors / DESCRIPTORS_PER_SESSION;

	atomic_store(&server->descriptors.limit, sessions > 0 ? sessions : 1);
	for (size_t i = 0; i < server->generation->config.listener_count; i++)
		atomic_store(&server->generation->listeners[i].share->sessions.limit,
			     server->generation->config.listeners[i].relay.max_sessions);
}

int capacity_plan(struct server *server)
{
	unsigned pipes = PIPES_IN_ALL, fixed, left, for_flows, flows;

	if (pipes > server->descriptor_limit / 32)
		pipes = server->descriptor_limit / 32;
	server->pipes_per_worker =
		pipes / server->worker_count > 0 ? pipes / server->worker_count : 1;
	fixed = count_fixed(server);
	left = server->descriptor_limit > fixed ? server->descriptor_limit - fixed : 0;
	/* Half of them, where there is TCP as well. */
	for_flows = left;
	if (count_udp_listeners(server) < server->generation->config.listener_count)
		for_flows = left / 2;
	if (plan_flows(server, for_flows, &flows) < 0)
		return -1;
	plan_sessions(server, left > flows ? left - flows : 0);
	return 0;
}

/* Takes descriptors from the sessions' that nobody uses now. False: there are not so many. */
static bool charge(struct server *server, unsigned descriptors, struct budget **from,
		   unsigned *charged)
{
	unsigned sessions = (descriptors + DESCRIPTORS_PER_SESSION - 1) / DESCRIPTORS_PER_SESSION;
	unsigned limit = atomic_load(&server->descriptors.limit);
	unsigned used = atomic_load(&server->descriptors.used);

	/* A worker that finds no room has taken one too many for a moment. */
	if (sessions >= limit || used >= limit || sessions > limit - used)
		return false;
	atomic_fetch_sub(&server->descriptors.limit, sessions);
	*from = &server->descriptors;
	*charged = sessions;
	return true;
}

static int no_descriptors(const struct config_listener *listener, struct report *mistakes)
{
	report_add_failure(
		mistakes,
		"%s: listener \"%s\": no descriptors are left for it; raise LimitNOFILE of the "
		"unit, or ulimit -n, and restart",
		listener->where, listener->name);
	return -EINVAL;
}

/* At most half of what is left: a new listener must not starve the others. */
static int admit_flows(struct server *server, struct generation *generation, size_t index,
		       struct report *mistakes)
{
	const struct config_listener *listener = &generation->config.listeners[index];
	struct listener_share *share = generation->listeners[index].share;
	unsigned sockets = generation_listener_sockets(&generation->listeners[index]);
	unsigned beside = count_quota(sockets);
	unsigned limit = atomic_load(&server->descriptors.limit);
	unsigned used = atomic_load(&server->descriptors.used);
	unsigned left = used < limit ? (limit - used) / 2 * DESCRIPTORS_PER_SESSION : 0;
	unsigned flows = listener->relay.udp.max_flows;
	int error;

	if (left <= beside)
		return no_descriptors(listener, mistakes);
	if (flows > left - beside) {
		flows = left - beside;
		report_add(&generation->config.remarks,
			   "%s: listener \"%s\": %u flows instead of max_flows, descriptors are "
			   "short; raise LimitNOFILE of the unit, or ulimit -n, and restart",
			   listener->where, listener->name, flows);
	}
	if (!charge(server, flows + beside, &share->descriptors, &share->charged))
		return no_descriptors(listener, mistakes);
	error = flow_quota_init(&share->flows, flows, sockets);
	if (error == 0)
		return 0;
	report_add_failure(mistakes, "%s: listener \"%s\": no flow table can be had: %s",
			   listener->where, listener->name, log_error_text(error));
	return -EINVAL;
}

int capacity_admit(struct server *server, struct generation *generation,
		   const struct generation *before, struct report *mistakes)
{
	const struct config *config = &generation->config;

	for (size_t i = 0; i < config->listener_count; i++) {
		struct generation_listener *listener = &generation->listeners[i];

		for (size_t j = 0; j < listener->listening_count; j++) {
			struct listening *listening = listener->listenings[j];

			if (!listening->handed && listening->descriptors == NULL &&
			    !charge(server, listening->socket_count, &listening->descriptors,
				    &listening->charged))
				return no_descriptors(&config->listeners[i], mistakes);
		}
		if (config->listeners[i].relay.protocol == RELAY_PROTOCOL_UDP &&
		    listeners_forerunner(&before->config, config, i) == LISTENERS_NONE &&
		    admit_flows(server, generation, i, mistakes) < 0)
			return -EINVAL;
	}
	return 0;
}
