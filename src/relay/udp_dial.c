/* SPDX-License-Identifier: MIT */
/* The socket of a UDP flow: dialled from the client's address, if that is nobody else's, and
 * closed. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/epoll.h>

#include "host/plugin_session.h"
#include "os/dial.h"
#include "os/sys.h"
#include "relay/relay.h"
#include "relay/settings.h"
#include "relay/udp.h"
#include "relay/udp_offload.h"

/* Bytes that an upstream's burst may take up until its worker gets to it. */
#define RECEIVE_BUFFER (1 << 20)

/* Of a flow that other workers open at the same moment: each of them can come between once. */
#define DIAL_ATTEMPTS 64

/* May this flow use the client's port towards the upstream? If not, *port is any. */
static bool claim_port(struct udp_flow *flow, uint16_t *port)
{
	struct relay *relay = flow->listener->relay;

	if (*port == 0 || udp_claim_make(relay->udp_claims, &flow->claim) != UDP_CLAIM_REFUSED)
		return true;
	counter_add(&relay->counters, COUNTER_PORT_CONFLICTS, 1);
	*port = 0;
	return flow->settings->port_conflict == RELAY_PORT_CONFLICT_ANY_PORT;
}

/*
 * The kernel has picked a port: is it another flow's? It does not pick one that a socket has, but a
 * flow that it carries has none.
 */
static bool is_carried_port(const struct udp_flow *flow, int fd)
{
	const struct relay *relay = flow->listener->relay;
	struct sockaddr_storage local;
	struct address source;

	if (!udp_offload_is_possible(relay) || relay->sys->local_address(fd, &local) < 0)
		return false;
	source = address_from_sockaddr(&local);
	return udp_claim_exists(relay->udp_claims, &source, &flow->claim.upstream);
}

/*
 * Has a socket that has just been dialled the answers to itself? Another worker may have taken the
 * claim over meanwhile, and had its socket connected before this one: then this one would be the
 * newest and get the answers, for a balancer that the client has left. So it is closed.
 */
static bool keep_if_own(struct udp_flow *flow, bool replaced, struct dial_result *result)
{
	struct relay *relay = flow->listener->relay;

	if (replaced ? !is_carried_port(flow, result->fd)
		     : udp_claim_stands(relay->udp_claims, &flow->claim))
		return true;
	relay->sys->close(result->fd);
	*result = (struct dial_result){
		.fd = -1,
		.reason = replaced ? CLOSE_PORT_CONFLICT : CLOSE_FLOW_MOVED,
	};
	return false;
}

enum attempt { ATTEMPT_DIALLED, ATTEMPT_FAILED, ATTEMPT_LOST };

/* Dials with the claim, if the client's port can be claimed. */
static enum attempt attempt_dial(struct udp_flow *flow, struct dial_request *request,
				 struct dial_result *result)
{
	struct relay *relay = flow->listener->relay;
	bool replaced;

	if (!claim_port(flow, &request->source.port)) {
		*result = (struct dial_result){.fd = -1, .reason = CLOSE_PORT_CONFLICT};
		return ATTEMPT_FAILED;
	}
	dial_udp(relay->sys, request, result);
	relay_count_dial(relay, result);
	if (result->fd < 0)
		return ATTEMPT_FAILED;
	replaced = request->source.port == 0 || result->port_conflict || result->port_privileged;
	return keep_if_own(flow, replaced, result) ? ATTEMPT_DIALLED : ATTEMPT_LOST;
}

static bool dial_claimed(struct udp_flow *flow, struct dial_request *request,
			 struct dial_result *result)
{
	struct udp_claims *claims = flow->listener->relay->udp_claims;
	enum attempt attempt = attempt_dial(flow, request, result);

	if (attempt == ATTEMPT_LOST) {
		udp_claims_take_turn(claims);
		for (unsigned i = 1; i < DIAL_ATTEMPTS && attempt == ATTEMPT_LOST; i++)
			attempt = attempt_dial(flow, request, result);
		udp_claims_end_turn(claims);
	}
	return attempt == ATTEMPT_DIALLED;
}

static bool fail(struct udp_flow *flow, enum close_reason reason, const char *step, int error)
{
	if (flow->plugins != NULL)
		plugin_session_connected(flow->plugins, error < 0 ? error : -EADDRINUSE);
	udp_flow_end(flow, reason, step, error);
	return false;
}

static struct dial_request request_of(const struct udp_flow *flow)
{
	const struct relay_settings *settings = flow->settings;

	return (struct dial_request){
		.source = flow->claim.client,
		.upstream = flow->claim.upstream,
		.mark = settings->mark,
		.keep_port = settings->port_conflict == RELAY_PORT_CONFLICT_REFUSE,
	};
}

/* 0 or -errno. */
static int watch_socket(struct udp_flow *flow, int fd)
{
	struct relay *relay = flow->listener->relay;

	flow->fd = fd;
	flow->source.ready = udp_reply_ready;
	/* Both make it faster, no more. */
	relay->sys->set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
	relay->sys->set_option(fd, IPPROTO_UDP, UDP_GRO, 1);
	return loop_watch(&relay->loop, fd, EPOLLIN, &flow->source);
}

bool udp_dial(struct udp_flow *flow)
{
	struct dial_request request = request_of(flow);
	struct dial_result result;
	int error;

	if (!dial_claimed(flow, &request, &result))
		return fail(flow, result.reason, result.step, result.error);
	flow->port_replaced =
		result.port_conflict || result.port_privileged || request.source.port == 0;
	error = watch_socket(flow, result.fd);
	if (error < 0)
		return fail(flow, CLOSE_SYSTEM_ERROR, "epoll_ctl", error);
	if (flow->plugins != NULL)
		plugin_session_connected(flow->plugins, 0);
	return true;
}

bool udp_dial_again(struct udp_flow *flow)
{
	struct dial_request request = request_of(flow);
	struct relay *relay = flow->listener->relay;
	struct dial_result result;
	int error;

	dial_udp(relay->sys, &request, &result);
	relay_count_dial(relay, &result);
	flow->port_replaced = result.port_conflict || result.port_privileged;
	if (result.fd < 0 || !keep_if_own(flow, flow->port_replaced, &result)) {
		udp_flow_end(flow, result.reason, result.step, result.error);
		return false;
	}
	error = watch_socket(flow, result.fd);
	if (error < 0)
		udp_flow_end(flow, CLOSE_SYSTEM_ERROR, "epoll_ctl", error);
	return error == 0;
}

void udp_dial_close(struct udp_flow *flow)
{
	struct relay *relay = flow->listener->relay;

	if (flow->fd < 0)
		return;
	counter_add(&relay->counters, COUNTER_REPLIES_DROPPED_QUEUE, relay->sys->dropped(flow->fd));
	flow->source.ready = loop_ignore;
	relay->sys->close(flow->fd);
	flow->fd = -1;
}
