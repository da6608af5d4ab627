/* SPDX-License-Identifier: MIT */
/*
 * udp_plain: the UDP bench's yardstick, a transparent relay that takes one datagram a system call.
 *
 *   udp_plain [--two-threads] LISTEN UPSTREAM     (IPv4, ADDRESS:PORT each)
 *
 * It makes the system calls that mmproxy-rs makes for a datagram, and hardly anything else: no
 * subnets, no clock, no log, no timeouts, no tasks, and buffers in which nothing is lost. What is
 * faster than this by some factor is faster than mmproxy-rs by more.
 *
 * What mmproxy-rs 0.2.2 does, read from its src/listener/udp.rs and src/util.rs, and from tokio and
 * mio below it:
 *
 *   request   recvfrom on the listener, with the sender's address; the v2 header, which every
 *             datagram has to have, is read and cut off; send on the flow's socket
 *   reply     recv on the flow's socket; sendto on the listener, to where the flow's first
 *             datagram came from
 *   flow      socket, IP_TRANSPARENT, SO_REUSEADDR, SO_MARK, bind to the client's address and
 *             port, epoll_ctl, connect
 *   waiting   epoll_wait for up to 1024 events. All sockets are watched edge-triggered for reading
 *             and, for as long as they live, for writing: when the kernel is done with what was
 *             sent, that is an event too, of which nothing follows. A socket once found readable is
 *             read from until EAGAIN, so that each event costs one call that brings nothing.
 *
 * No call takes two datagrams, and none is split or joined in the kernel. So a datagram that goes
 * there and comes back costs four calls, and its share of epoll_wait and of the reads that bring
 * nothing: a large one when datagrams come singly.
 *
 * What is left out: mmproxy-rs reads from the listener on its main thread, and waits for events and
 * relays replies on others, so that it also makes futex calls to wake one from the other. In return
 * requests and replies can be on two cores at once. --two-threads allows that here, without futex
 * calls. Which is faster depends on how many cores are left for the proxy: a bound is the faster.
 * With many cores it is none, for mmproxy-rs has as many threads for the replies of many flows.
 *
 * Flows are known by the client in the header. mmproxy-rs knows them by the sender, which is the
 * same as long as the balancer has a socket for each client.
 *
 * Needs CAP_NET_ADMIN. SIGTERM ends it, as it ends whoever has nothing to clean up.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "udp_batch.h"

#define EVENTS_MAX 1024
#define FLOWS_MAX  4096

/* Twice the flows, so that the search for one is short: 2 to the power of SLOT_BITS. */
#define SLOT_BITS 13
#define SLOTS     (1U << SLOT_BITS)

/* A v2 header: signature, version and command, family, length; then the client, for IPv4. */
enum { V2_VERSION = 12, V2_FAMILY = 13, V2_LENGTH = 14, V2_CLIENT = 16, V2_CLIENT_PORT = 24 };
enum { V2_PROXY = 0x21, V2_INET_DGRAM = 0x12, V2_INET_LENGTH = 12 };
static const uint8_t v2_signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
					 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

struct flow {
	uint64_t client; /* address and port as in the header; 0: the slot is free */
	int fd;
	struct sockaddr_in sender; /* of its first datagram */
};

struct plain {
	int listener;
	int epoll;   /* of the listener */
	int replies; /* epoll of the flows: the same, or another thread's */
	struct sockaddr_in upstream;
	unsigned flow_count;
	struct flow flows[SLOTS];
};

static struct plain plain;

static void watch(int epoll, int fd, struct flow *flow)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data = {.ptr = flow},
	};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		err(EXIT_FAILURE, "epoll_ctl");
}

/* After a read that brought nothing: may there be more? Any error but those two may stay. */
static bool worth_reading_again(void)
{
	if (errno == EAGAIN)
		return false;
	if (errno != EINTR && !error_is_from_network(errno))
		err(EXIT_FAILURE, "recv");
	return true;
}

/* Flows. */

/* Everything that has to be done before the flow's first datagram can leave. */
static int dial(const uint8_t *header)
{
	static const struct address any = {.family = ADDRESS_IPV4};
	struct sockaddr_in client = {.sin_family = AF_INET};
	int on = 1, fd = udp_open(&any);

	memcpy(&client.sin_addr, header + V2_CLIENT, sizeof(client.sin_addr));
	memcpy(&client.sin_port, header + V2_CLIENT_PORT, sizeof(client.sin_port));
	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&client, sizeof(client)) < 0 ||
	    connect(fd, (struct sockaddr *)&plain.upstream, sizeof(plain.upstream)) < 0)
		err(EXIT_FAILURE, "a socket toward the upstream");
	return fd;
}

/* The flow of the client in the header; NULL for nobody, and when there are too many. */
static struct flow *find_flow(const uint8_t *header, const struct sockaddr_in *sender)
{
	uint64_t client = 0;
	struct flow *flow;
	unsigned i;

	memcpy(&client, header + V2_CLIENT, 4);
	memcpy((uint8_t *)&client + 4, header + V2_CLIENT_PORT, 2);
	/* A multiplication by 2^64 over the golden ratio spreads neighbours, in its high bits. */
	i = (unsigned)(client * UINT64_C(0x9e3779b97f4a7c15) >> (64 - SLOT_BITS));
	while (plain.flows[i].client != client) {
		if (plain.flows[i].client == 0)
			break;
		i = (i + 1) % SLOTS;
	}
	flow = &plain.flows[i];
	if (flow->client == client && client != 0)
		return flow;
	if (client == 0 || plain.flow_count == FLOWS_MAX)
		return NULL;
	plain.flow_count++;
	*flow = (struct flow){.client = client, .fd = dial(header), .sender = *sender};
	watch(plain.replies, flow->fd, flow);
	return flow;
}

/* Relaying. A call that sends waits for room; what the network refuses is lost. */

/* The bytes of the header, or 0 when there is none that names a client. */
static size_t header_length(const uint8_t *bytes, size_t length)
{
	size_t rest;

	if (length < V2_CLIENT + V2_INET_LENGTH ||
	    memcmp(bytes, v2_signature, sizeof(v2_signature)) != 0 ||
	    bytes[V2_VERSION] != V2_PROXY || bytes[V2_FAMILY] != V2_INET_DGRAM)
		return 0;
	rest = (size_t)(bytes[V2_LENGTH] << 8 | bytes[V2_LENGTH + 1]);
	return rest >= V2_INET_LENGTH && V2_CLIENT + rest <= length ? V2_CLIENT + rest : 0;
}

static void relay_requests(void)
{
	static uint8_t bytes[DATAGRAM_MAX];

	for (;;) {
		struct sockaddr_in sender;
		socklen_t sender_length = sizeof(sender);
		ssize_t length = recvfrom(plain.listener, bytes, sizeof(bytes), MSG_DONTWAIT,
					  (struct sockaddr *)&sender, &sender_length);
		struct flow *flow;
		size_t header;

		if (length < 0) {
			if (worth_reading_again())
				continue;
			return;
		}
		header = header_length(bytes, (size_t)length);
		flow = header > 0 ? find_flow(bytes, &sender) : NULL;
		if (flow != NULL)
			send(flow->fd, bytes + header, (size_t)length - header, 0);
	}
}

static void relay_replies(const struct flow *flow)
{
	static uint8_t bytes[DATAGRAM_MAX];

	for (;;) {
		ssize_t length = recv(flow->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (length >= 0)
			sendto(plain.listener, bytes, (size_t)length, 0,
			       (const struct sockaddr *)&flow->sender, sizeof(flow->sender));
		else if (!worth_reading_again())
			return;
	}
}

/* Until the process ends. The listener is watched without a flow. */
static void run(int epoll)
{
	struct epoll_event events[EVENTS_MAX];

	for (;;) {
		int count = epoll_wait(epoll, events, EVENTS_MAX, -1);

		if (count < 0 && errno != EINTR)
			err(EXIT_FAILURE, "epoll_wait");
		for (int i = 0; i < count; i++) {
			/* Nobody waits to write, so that EPOLLOUT alone is of no use to anyone. */
			if (!(events[i].events & (EPOLLIN | EPOLLERR)))
				continue;
			if (events[i].data.ptr == NULL)
				relay_requests();
			else
				relay_replies(events[i].data.ptr);
		}
	}
}

static void *run_replies(void *unused)
{
	(void)unused;
	run(plain.replies);
	return NULL;
}

/* The start. */

static struct address ipv4_argument(const char *text)
{
	struct address address;

	if (address_parse_endpoint(text, &address) != 0 || address.family != ADDRESS_IPV4)
		errx(EXIT_FAILURE, "not an IPv4 ADDRESS:PORT: %s", text);
	return address;
}

static int open_epoll(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		err(EXIT_FAILURE, "epoll_create1");
	return fd;
}

static void start(const struct address *listen, const struct address *upstream, bool two_threads)
{
	struct sockaddr_storage name;
	pthread_t thread;
	int error = 0;

	address_to_sockaddr(upstream, &name);
	memcpy(&plain.upstream, &name, sizeof(plain.upstream));
	plain.listener = udp_open(listen);
	if (plain.listener < 0)
		err(EXIT_FAILURE, "socket");
	udp_bind(plain.listener, listen);
	plain.epoll = open_epoll();
	plain.replies = two_threads ? open_epoll() : plain.epoll;
	watch(plain.epoll, plain.listener, NULL);
	if (two_threads)
		error = pthread_create(&thread, NULL, run_replies, NULL);
	if (error != 0)
		errx(EXIT_FAILURE, "pthread_create: %s", strerror(error));
}

int main(int argc, char **argv)
{
	bool two_threads = argc > 1 && strcmp(argv[1], "--two-threads") == 0;
	struct address listen, upstream;

	if (argc != (two_threads ? 4 : 3)) {
		fputs("Usage: udp_plain [--two-threads] LISTEN UPSTREAM\n", stderr);
		return EXIT_FAILURE;
	}
	listen = ipv4_argument(argv[argc - 2]);
	upstream = ipv4_argument(argv[argc - 1]);
	start(&listen, &upstream, two_threads);
	run(plain.epoll);
}
