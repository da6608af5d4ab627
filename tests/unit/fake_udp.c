/* SPDX-License-Identifier: MIT */
/* The fake's table of calls: sockets, faults, and what is received and sent. */
#include "fake_udp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "fake_message.h"

#define FIRST_FD                1000
#define ANY_PORT                50000 /* and on: what the kernel picks */
#define IPV6_TRANSPARENT_OPTION 75    /* linux/in6.h */
#define INTERFACE               7     /* that datagrams come by, unless the test says another */
#define LOOPBACK_MTU            65536

static struct fake_udp *fake;

_Noreturn static void misuse(const char *call, int fd)
{
	fprintf(stderr, "fake_udp: %s on descriptor %d, which is not there\n", call, fd);
	abort();
}

static struct fake_udp_socket *socket_of(int fd, const char *call)
{
	for (struct list *link = fake->sockets.previous; link != &fake->sockets;
	     link = link->previous) {
		struct fake_udp_socket *socket = container_of(link, struct fake_udp_socket, link);

		if (fd >= 0 && socket->fd == fd)
			return socket;
	}
	misuse(call, fd);
}

/* The error that is planned for this call, 0 for none. */
static int fault(enum fake_udp_call call)
{
	int error = 0;

	fake->calls[call]++;
	for (unsigned i = 0; i < FAKE_UDP_PLANS_MAX; i++) {
		struct fake_udp_plan *plan = &fake->plans[i];

		if (plan->in > 0 && plan->call == call && --plan->in == 0)
			error = plan->error;
	}
	if (error == 0 && fake->fault != NULL)
		error = fake->fault(fake->context, call);
	return error;
}

static struct fake_udp_socket *socket_create(struct fake_udp *of)
{
	struct fake_udp_socket *socket = calloc(1, sizeof(*socket));

	assert(socket != NULL);
	socket->fd = ++of->last_fd;
	list_init(&socket->arrivals);
	list_append(&of->sockets, &socket->link);
	of->open++;
	return socket;
}

static int call_socket(int domain, int type)
{
	int error = fault(FAKE_UDP_SOCKET);
	struct fake_udp_socket *socket;

	assert((domain == AF_INET || domain == AF_INET6) && type == SOCK_DGRAM);
	if (error < 0)
		return error;
	socket = socket_create(fake);
	socket->dialled = true;
	return socket->fd;
}

static bool is_transparent(const struct fake_udp_socket *socket, uint8_t family)
{
	return family == ADDRESS_IPV4
		       ? fake_udp_option(socket, IPPROTO_IP, IP_TRANSPARENT) == 1
		       : fake_udp_option(socket, IPPROTO_IPV6, IPV6_TRANSPARENT_OPTION) == 1;
}

static bool is_loopback(const struct address *address)
{
	const uint8_t loopback6[16] = {[15] = 1};

	return address->family == ADDRESS_IPV4 ? address->ip[0] == IN_LOOPBACKNET
					       : memcmp(address->ip, loopback6, 16) == 0;
}

static int call_bind(int fd, const struct sockaddr_storage *address, socklen_t length)
{
	struct fake_udp_socket *socket = socket_of(fd, "bind");
	const struct address to = address_from_sockaddr(address);
	int error = fault(FAKE_UDP_BIND);

	assert(length > 0 && length <= sizeof(*address) && socket->bound.family == ADDRESS_NONE);
	if (error < 0)
		return error;
	if (!is_transparent(socket, to.family)) {
		/* What the kernel leaves to the program comes there, of all flows. */
		assert(is_loopback(&to));
		socket->dialled = false;
	}
	if (to.port != 0 && to.port < fake->privileged_below)
		return -EACCES;
	if (to.port != 0 && to.port == fake->taken_port)
		return -EADDRINUSE;
	socket->bound = to;
	if (to.port == 0)
		socket->bound.port = (uint16_t)(ANY_PORT + fd - FIRST_FD);
	return 0;
}

static int call_connect(int fd, const struct sockaddr_storage *address, socklen_t length)
{
	struct fake_udp_socket *socket = socket_of(fd, "connect");
	int error = fault(FAKE_UDP_CONNECT);

	assert(length > 0 && socket->bound.family != ADDRESS_NONE);
	if (error < 0)
		return error;
	socket->peer = address_from_sockaddr(address);
	assert(socket->peer.family == socket->bound.family);
	return 0;
}

static int call_set_option(int fd, int level, int name, int value)
{
	struct fake_udp_socket *socket = socket_of(fd, "setsockopt");
	int error = fault(FAKE_UDP_SET_OPTION);

	if (error < 0)
		return error;
	assert(socket->option_count < FAKE_UDP_OPTIONS_MAX);
	socket->options[socket->option_count++] = (struct fake_udp_option){level, name, value};
	return 0;
}

static int call_local_address(int fd, struct sockaddr_storage *address)
{
	struct fake_udp_socket *socket = socket_of(fd, "getsockname");
	int error = fault(FAKE_UDP_LOCAL_ADDRESS);

	if (error == 0)
		address_to_sockaddr(&socket->bound, address);
	return error;
}

static void map_address(struct sockaddr_storage *address)
{
	const struct sockaddr_in ipv4 = *(const struct sockaddr_in *)address;
	struct sockaddr_in6 *mapped = (struct sockaddr_in6 *)address;

	*mapped = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = ipv4.sin_port};
	mapped->sin6_addr.s6_addr[10] = mapped->sin6_addr.s6_addr[11] = 0xff;
	memcpy(mapped->sin6_addr.s6_addr + 12, &ipv4.sin_addr, 4);
}

static struct cmsghdr *put_control(struct msghdr *header, struct cmsghdr *at, size_t *left,
				   int level, int type, const void *data, size_t size)
{
	assert(*left >= CMSG_SPACE(size)); /* else the kernel would cut it short */
	*left -= CMSG_SPACE(size);
	at->cmsg_level = level;
	at->cmsg_type = type;
	at->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(at), data, size);
	header->msg_controllen += CMSG_SPACE(size);
	return (struct cmsghdr *)(void *)((uint8_t *)at + CMSG_SPACE(size));
}

static void put_controls(const struct fake_udp_socket *socket,
			 const struct fake_udp_arrival *arrival, struct msghdr *header)
{
	struct cmsghdr *at = header->msg_control;
	size_t left = header->msg_controllen;
	int segment = (int)arrival->segment;

	header->msg_controllen = 0;
	if (socket->wildcard && !socket->dual_stack && arrival->to.family == ADDRESS_IPV4) {
		struct in_pktinfo info = {.ipi_ifindex = (int)fake->interface};

		memcpy(&info.ipi_spec_dst, arrival->to.ip, 4);
		at = put_control(header, at, &left, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else if (socket->wildcard) {
		struct in6_pktinfo info = {.ipi6_ifindex = fake->interface};
		struct sockaddr_storage to;

		address_to_sockaddr(&arrival->to, &to);
		if (arrival->to.family == ADDRESS_IPV4)
			map_address(&to);
		info.ipi6_addr = ((const struct sockaddr_in6 *)&to)->sin6_addr;
		at = put_control(header, at, &left, IPPROTO_IPV6, IPV6_PKTINFO, &info,
				 sizeof(info));
	}
	if (fake_udp_option(socket, IPPROTO_IP, FAKE_UDP_RECVORIGDSTADDR) == 1) {
		struct sockaddr_storage to;

		address_to_sockaddr(&arrival->to, &to);
		at = put_control(header, at, &left, IPPROTO_IP, FAKE_UDP_RECVORIGDSTADDR, &to,
				 sizeof(struct sockaddr_in));
	}
	if (arrival->overflow > 0)
		at = put_control(header, at, &left, SOL_SOCKET, SO_RXQ_OVFL, &arrival->overflow,
				 sizeof(arrival->overflow));
	if (segment > 0)
		put_control(header, at, &left, IPPROTO_UDP, UDP_GRO, &segment, sizeof(segment));
}

static void put_name(const struct fake_udp_socket *socket, const struct fake_udp_arrival *arrival,
		     struct msghdr *header)
{
	struct sockaddr_storage name;
	socklen_t length = address_to_sockaddr(&arrival->from, &name);

	if (header->msg_name == NULL)
		return;
	if (socket->dual_stack && arrival->from.family == ADDRESS_IPV4) {
		map_address(&name);
		length = sizeof(struct sockaddr_in6);
	}
	assert(header->msg_namelen >= length);
	memcpy(header->msg_name, &name, length);
	header->msg_namelen = length;
}

static int call_recvmmsg(int fd, struct mmsghdr *messages, unsigned count)
{
	struct fake_udp_socket *socket = socket_of(fd, "recvmmsg");
	int error = fault(FAKE_UDP_RECVMMSG);
	unsigned taken = 0;

	assert(count > 0);
	if (error == 0) {
		error = socket->error;
		socket->error = 0;
	}
	if (error < 0)
		return error;
	while (taken < count && (fake->at_most == 0 || taken < fake->at_most) &&
	       !list_empty(&socket->arrivals)) {
		struct fake_udp_arrival *arrival =
			container_of(socket->arrivals.next, struct fake_udp_arrival, link);
		struct msghdr *header = &messages[taken].msg_hdr;

		assert(header->msg_iovlen == 1 && header->msg_iov[0].iov_len >= arrival->length);
		memcpy(header->msg_iov[0].iov_base, arrival->bytes, arrival->length);
		messages[taken++].msg_len = (unsigned)arrival->length;
		put_name(socket, arrival, header);
		put_controls(socket, arrival, header);
		list_remove(&arrival->link);
		free(arrival);
	}
	return taken > 0 ? (int)taken : -EAGAIN;
}

static struct address local_of(const struct fake_udp_socket *socket,
			       const struct fake_message *message)
{
	uint8_t ip[4];

	if (message->has_local6)
		return address_from_ipv6(message->local6.ipi6_addr.s6_addr, socket->bound.port);
	if (!message->has_local4)
		return socket->bound;
	memcpy(ip, &message->local4.ipi_spec_dst, 4);
	return address_from_ipv4(ip, socket->bound.port);
}

static struct address peer_of(const struct fake_udp_socket *socket,
			      const struct fake_message *message)
{
	struct sockaddr_storage name = {0};

	assert((socket->peer.family == ADDRESS_NONE) == (message->name_length > 0));
	if (message->name_length == 0)
		return socket->peer;
	memcpy(&name, &message->name, message->name_length);
	return address_from_sockaddr(&name);
}

static void log_sent(struct fake_udp_socket *socket, const struct fake_message *message,
		     const uint8_t *bytes, size_t length)
{
	struct fake_udp_sent *sent;

	if (fake->sent_count == fake->sent_capacity) {
		fake->sent_capacity = 2 * fake->sent_capacity + 64;
		fake->sent = realloc(fake->sent, fake->sent_capacity * sizeof(*fake->sent));
		assert(fake->sent != NULL);
	}
	sent = &fake->sent[fake->sent_count++];
	*sent = (struct fake_udp_sent){
		.socket = socket,
		.from = local_of(socket, message),
		.to = peer_of(socket, message),
		.call = fake->calls[FAKE_UDP_SENDMMSG],
		.of = message->datagrams,
		.length = length,
		.bytes = malloc(length + 1),
	};
	assert(sent->bytes != NULL);
	memcpy(sent->bytes, bytes, length);
}

static int send_message(struct fake_udp_socket *socket, const struct msghdr *header)
{
	const struct fake_message message = fake_message_read(header);
	size_t longest = message.segment > 0 ? message.segment : message.length;
	int error = socket->error < 0 ? socket->error : fake_message_verdict(&message);
	uint8_t *bytes;

	socket->error = 0;
	if (error == 0 && message.segment > 0)
		error = fake->run_error;
	if (error == 0 && fake->mtu > 0 && longest > fake->mtu)
		error = message.segment > 0 ? -EINVAL : -EMSGSIZE;
	if (error < 0)
		return error;
	bytes = fake_message_bytes(header, &message);
	for (size_t offset = 0, i = 0; i < message.datagrams; i++) {
		size_t length = fake_message_cut(&message, offset);

		log_sent(socket, &message, bytes + offset, length);
		offset += length;
	}
	free(bytes);
	return (int)message.length;
}

static int call_sendmmsg(int fd, struct mmsghdr *messages, unsigned count)
{
	struct fake_udp_socket *socket = socket_of(fd, "sendmmsg");
	int error = fault(FAKE_UDP_SENDMMSG);
	unsigned taken = 0;

	assert(count > 0);
	while (error == 0 && taken < count && (fake->at_most == 0 || taken < fake->at_most)) {
		int sent = send_message(socket, &messages[taken].msg_hdr);

		if (sent < 0)
			error = sent;
		else
			messages[taken++].msg_len = (unsigned)sent;
	}
	return taken > 0 ? (int)taken : error;
}

static int call_path_mtu(int fd)
{
	assert(socket_of(fd, "IP_MTU")->peer.family != ADDRESS_NONE);
	return LOOPBACK_MTU;
}

/* It stands still: nothing here takes shorter than a round. */
static uint64_t call_clock(void)
{
	return 0;
}

static uint32_t call_dropped(int fd)
{
	return socket_of(fd, "SO_MEMINFO")->dropped;
}

static void forget_arrivals(struct fake_udp *of, struct fake_udp_socket *socket)
{
	while (!list_empty(&socket->arrivals)) {
		struct fake_udp_arrival *arrival =
			container_of(socket->arrivals.next, struct fake_udp_arrival, link);
		size_t segment = arrival->segment > 0 ? arrival->segment : arrival->length;

		of->unread += segment > 0 ? (arrival->length + segment - 1) / segment : 1;
		list_remove(&arrival->link);
		free(arrival);
	}
}

static void call_close(int fd)
{
	struct fake_udp_socket *socket = socket_of(fd, "close");

	assert(!socket->notices);
	forget_arrivals(fake, socket);
	socket->fd = -1;
	socket->watched = false;
	fake->open--;
}

static int call_watch(int epoll, int fd, uint32_t events, void *source, bool modify)
{
	struct fake_udp_socket *socket = socket_of(fd, "epoll_ctl");
	int error = fault(FAKE_UDP_WATCH);

	(void)epoll;
	if (error < 0)
		return error;
	assert(socket->watched == modify);
	socket->watched = true;
	socket->source = source;
	socket->events = events;
	return 0;
}

static void call_unwatch(int epoll, int fd)
{
	(void)epoll;
	socket_of(fd, "epoll_ctl")->watched = false;
}

const struct sys fake_udp_table = {
	.socket = call_socket,
	.bind = call_bind,
	.connect = call_connect,
	.set_option = call_set_option,
	.local_address = call_local_address,
	.path_mtu = call_path_mtu,
	.recvmmsg = call_recvmmsg,
	.sendmmsg = call_sendmmsg,
	.dropped = call_dropped,
	.close = call_close,
	.watch = call_watch,
	.unwatch = call_unwatch,
	.clock = call_clock,
};

void fake_udp_init(struct fake_udp *of)
{
	*of = (struct fake_udp){.last_fd = FIRST_FD, .interface = INTERFACE};
	list_init(&of->sockets);
	fake = of;
}

void fake_udp_finish(struct fake_udp *of)
{
	while (!list_empty(&of->sockets)) {
		struct fake_udp_socket *socket =
			container_of(of->sockets.next, struct fake_udp_socket, link);

		forget_arrivals(of, socket);
		list_remove(&socket->link);
		free(socket);
	}
	for (size_t i = 0; i < of->sent_count; i++)
		free(of->sent[i].bytes);
	free(of->sent);
	fake = NULL;
}

struct fake_udp_socket *fake_udp_open(struct fake_udp *of, const struct address *bound)
{
	struct fake_udp_socket *socket = socket_create(of);

	socket->bound = *bound;
	return socket;
}
