/* SPDX-License-Identifier: MIT */
/* In order: the socket, the trace of its packets, the packets, what they met, and all of it out. */
#include "doctor/knock.h"

#include "doctor/conntrack.h"
#include "doctor/rp_filter.h"
#include "doctor/socket_diag.h"

/* Milliseconds. A datagram's refusal comes at once, its answer as soon as a server has one. */
#define PATIENCE_UDP 300

static bool read_trace(void *context)
{
	return trace_read(context);
}

static void take_trace(struct trace *trace, struct knock *result)
{
	const struct trace_decision *drop, *nat, *redirection;

	trace_end(trace);
	drop = trace_drop(trace);
	nat = trace_nat(trace);
	result->dropped = drop != NULL;
	if (drop != NULL)
		result->drop = *drop;
	result->nat = nat != NULL;
	if (nat != NULL)
		result->translation = *nat;
	redirection = trace_redirection(trace);
	result->redirected = redirection != NULL;
	if (redirection != NULL)
		result->redirection = *redirection;
	result->there = trace_way(trace, TRACE_FROM_CLIENT);
	result->back = trace_way(trace, TRACE_ANSWER);
}

/* The socket of this namespace that has this peer, at whatever address of the upstream's port. */
static bool is_seen_by_socket(const struct knock_tools *tools, const struct probe *probe,
			      const struct address *peer)
{
	struct socket_list list;
	bool found = false;

	if (probe->udp || socket_diag_connected(tools->sockets, false, 0, &list) < 0)
		return false;
	for (size_t i = 0; i < list.count && !found; i++)
		found = address_equal(&list.sockets[i].peer, peer);
	socket_list_finish(&list);
	return found;
}

static void find_seen(const struct knock_tools *tools, const struct probe *probe,
		      struct knock *result)
{
	struct conntrack_entry entry;
	bool tracked = tools->netfilter != NULL &&
		       conntrack_find(tools->netfilter, probe->udp, &probe->local, &probe->upstream,
				      &entry) == 0;
	bool changed = tracked && !address_equal_ip(&entry.reply_destination, &probe->local);

	if (tracked && !address_equal(&entry.reply_source, &probe->upstream))
		result->reached = entry.reply_source;
	if (result->outcome != PROBE_ANSWERED && !changed)
		return;
	result->seen = tracked ? entry.reply_destination : probe->local;
	if (is_seen_by_socket(tools, probe, &result->seen))
		result->seen_by = SEEN_BY_SOCKET;
	else if (tracked)
		result->seen_by = SEEN_BY_CONNTRACK;
	else if (probe->udp)
		result->seen_by = SEEN_BY_ANSWER;
	else
		result->seen = (struct address){0};
}

static void send_and_look(const struct knock_tools *tools, const struct knock_request *request,
			  struct probe *probe, struct knock *result)
{
	uint64_t filtered = rp_filter_count();
	bool traced =
		tools->trace != NULL && trace_begin(tools->trace, probe->udp, &probe->local,
						    &probe->upstream, request->unchanged) == 0;

	probe_send(probe);
	probe_await(probe, probe->udp ? PATIENCE_UDP : PROBE_PATIENCE,
		    traced ? trace_fd(tools->trace) : -1, read_trace, tools->trace);
	result->traced = traced;
	result->outcome = probe->outcome;
	result->filtered = rp_filter_count() - filtered;
	find_seen(tools, probe, result);
	if (request->connected != NULL && probe->outcome == PROBE_ANSWERED)
		request->connected(probe, request->context);
	if (traced)
		take_trace(tools->trace, result);
}

void knock(const struct knock_tools *tools, const struct knock_request *request,
	   struct knock *result)
{
	struct probe probe;

	*result = (struct knock){0};
	if (probe_open(&probe, &request->probe) == 0)
		send_and_look(tools, request, &probe, result);
	result->outcome = probe.outcome;
	/* A firewall that rejects speaks in the upstream's name. */
	if (result->dropped && result->outcome == PROBE_REFUSED)
		result->outcome = PROBE_SILENT;
	result->step = probe.step;
	result->error = probe.error;
	result->local = probe.local;
	probe_close(&probe);
	if (request->ended != NULL && probe.outcome == PROBE_ANSWERED)
		request->ended(request->context);
}
