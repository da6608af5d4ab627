/* SPDX-License-Identifier: MIT */
/*
 * The kernel gives a datagram to the socket without changing it, so that what it was sent to says
 * whose it is.
 */
#include "relay/udp_spill.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "offload/udp_layout.h"
#include "os/sys.h"
#include "relay/relay.h"
#include "relay/udp_offload.h"
#include "relay/udp_workspace.h"

/* Missing from libc's headers: linux/in.h, linux/in6.h. */
#ifndef IP_RECVORIGDSTADDR
#define IP_RECVORIGDSTADDR 20
#endif
#ifndef IPV6_RECVORIGDSTADDR
#define IPV6_RECVORIGDSTADDR 74
#endif

/* Bytes that may wait until the worker gets to them. */
#define RECEIVE_BUFFER (1 << 20)

struct spill_socket {
	struct loop_source source;
	struct relay *relay;
	int fd; /* -1: not open */
	uint16_t port;
};

struct udp_spill {
	struct spill_socket ipv4, ipv6;
};

/* Only what the kernel leaves to us: anybody on this host may send to the socket. */
static struct udp_flow *flow_of(struct relay *relay, const struct udp_received *received)
{
	const struct address upstream = udp_route_peer(&received->route);
	const struct address client = address_from_sockaddr(&received->destination);
	struct udp_claim *claim = udp_claim_find(relay->udp_claims, &client, &upstream, relay);
	struct udp_flow *flow;

	if (claim == NULL)
		return NULL;
	flow = container_of(claim, struct udp_flow, claim);
	return flow->offload != NULL ? flow : NULL;
}

static void pass(struct relay *relay, unsigned slot)
{
	struct udp_workspace *workspace = relay->udp;
	struct udp_received received;
	struct udp_flow *flow;

	received.destination.ss_family = AF_UNSPEC;
	udp_receiver_read(&workspace->arrivals, slot, &received);
	flow = flow_of(relay, &received);
	if (flow == NULL)
		return;
	if (workspace->replying != flow->listener)
		udp_reply_flush(relay);
	workspace->replying = flow->listener;
	workspace->answers_used = slot; /* its place for a header */
	udp_reply_pass(flow, &received);
	/* The kernel has not counted it. */
	flow_table_touch(&flow->listener->flows, &flow->entry, relay->loop.now);
}

static void spill_ready(struct loop_source *source, uint32_t events)
{
	const struct spill_socket *spill = container_of(source, struct spill_socket, source);
	struct relay *relay = spill->relay;
	int count;

	(void)events;
	/* What is pending may lie in slots, and has its headers where others will stand. */
	udp_reply_flush(relay);
	count = udp_receiver_fill(&relay->udp->arrivals, relay->sys, spill->fd, 0,
				  UDP_RECEIVER_SLOTS);
	for (int slot = 0; slot < count; slot++)
		pass(relay, (unsigned)slot);
	udp_reply_flush(relay);
}

static int bind_socket(struct spill_socket *spill, const struct address *loopback)
{
	const struct sys *sys = spill->relay->sys;
	bool ipv4 = loopback->family == ADDRESS_IPV4;
	struct sockaddr_storage address;
	int error;

	sys->set_option(spill->fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
	error = sys->set_option(spill->fd, SOL_SOCKET, SO_MARK, OFFLOAD_UDP_SPILL_MARK);
	if (error == 0)
		error = ipv4 ? sys->set_option(spill->fd, IPPROTO_IP, IP_RECVORIGDSTADDR, 1)
			     : sys->set_option(spill->fd, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1);
	if (error == 0) {
		socklen_t length = address_to_sockaddr(loopback, &address);

		error = sys->bind(spill->fd, &address, length);
	}
	if (error == 0)
		error = sys->local_address(spill->fd, &address);
	if (error == 0)
		error = loop_watch(&spill->relay->loop, spill->fd, EPOLLIN, &spill->source);
	if (error == 0)
		spill->port = htons(address_from_sockaddr(&address).port);
	return error;
}

static int open_socket(struct spill_socket *spill, struct relay *relay, enum address_family family)
{
	const uint8_t loopback4[4] = {127, 0, 0, 1}, loopback6[16] = {[15] = 1};
	const struct address loopback = family == ADDRESS_IPV4 ? address_from_ipv4(loopback4, 0)
							       : address_from_ipv6(loopback6, 0);
	int error;

	spill->source.ready = spill_ready;
	spill->relay = relay;
	spill->fd = relay->sys->socket(family == ADDRESS_IPV4 ? AF_INET : AF_INET6, SOCK_DGRAM);
	if (spill->fd < 0) {
		error = spill->fd;
		spill->fd = -1;
		return error;
	}
	error = bind_socket(spill, &loopback);
	if (error < 0) {
		relay->sys->close(spill->fd);
		spill->fd = -1;
	}
	return error;
}

uint16_t udp_spill_port(struct relay *relay, enum address_family family, int *error)
{
	struct udp_workspace *workspace = relay->udp;
	struct spill_socket *spill;

	if (workspace->spill == NULL) {
		workspace->spill = calloc(1, sizeof(*workspace->spill));
		if (workspace->spill == NULL) {
			*error = -ENOMEM;
			return 0;
		}
		workspace->spill->ipv4.fd = workspace->spill->ipv6.fd = -1;
	}
	spill = family == ADDRESS_IPV4 ? &workspace->spill->ipv4 : &workspace->spill->ipv6;
	*error = spill->fd >= 0 ? 0 : open_socket(spill, relay, family);
	return *error == 0 ? spill->port : 0;
}

void udp_spill_destroy(struct udp_spill *spill)
{
	if (spill == NULL)
		return;
	if (spill->ipv4.fd >= 0)
		spill->ipv4.relay->sys->close(spill->ipv4.fd);
	if (spill->ipv6.fd >= 0)
		spill->ipv6.relay->sys->close(spill->ipv6.fd);
	free(spill);
}
