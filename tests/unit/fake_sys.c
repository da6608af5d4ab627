/* SPDX-License-Identifier: MIT */
/* The fake's table of calls: descriptors, faults, pipes, and what epoll would report. */
#include "fake_sys.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "fake_socket.h"

#define FIRST_FD 1000

static struct fake_sys *fake;

int fake_take_fd(struct fake_sys *of)
{
	of->open++;
	return ++of->last_fd;
}

_Noreturn static void misuse(const char *call, int fd)
{
	fprintf(stderr, "fake_sys: %s on descriptor %d, which is not there\n", call, fd);
	abort();
}

static int take_fd(void)
{
	return fake_take_fd(fake);
}

static struct fake_socket *find_socket(int fd)
{
	for (struct list *link = fake->sockets.next; link != &fake->sockets; link = link->next) {
		struct fake_socket *socket = container_of(link, struct fake_socket, link);

		if (socket->fd == fd)
			return fd >= 0 ? socket : NULL;
	}
	return NULL;
}

static struct fake_socket *socket_of(int fd, const char *call)
{
	struct fake_socket *socket = find_socket(fd);

	if (socket == NULL)
		misuse(call, fd);
	return socket;
}

static struct fake_pipe *find_pipe(int fd)
{
	for (struct list *link = fake->pipes.next; link != &fake->pipes; link = link->next) {
		struct fake_pipe *pipe = container_of(link, struct fake_pipe, link);

		if (fd >= 0 && (pipe->read_fd == fd || pipe->write_fd == fd))
			return pipe;
	}
	return NULL;
}

/* The error that is planned for this call, 0 for none. */
static int fault(enum fake_call call)
{
	int error = 0;

	fake->calls[call]++;
	for (unsigned i = 0; i < FAKE_PLANS_MAX; i++) {
		struct fake_plan *plan = &fake->plans[i];

		if (plan->in > 0 && plan->call == call && --plan->in == 0)
			error = plan->error;
	}
	if (error == 0 && fake->fault != NULL)
		error = fake->fault(fake->context, call);
	return error;
}

static int socket_fault(enum fake_call call, struct fake_socket *socket)
{
	int error = fault(call);

	if (error != -EAGAIN)
		return error;
	/* Nothing will come to a dead connection: it never says to wait. */
	if (socket->state == FAKE_DEAD)
		return 0;
	/* Edge-triggered: whoever is told to wait is told when to go on. */
	fake_socket_wake(socket, 0);
	return error;
}

static int call_socket(int domain, int type)
{
	int error = fault(FAKE_SOCKET);
	struct fake_socket *socket;

	assert((domain == AF_INET || domain == AF_INET6) && type == SOCK_STREAM);
	if (error == 0 && fake->open >= fake->descriptor_limit)
		error = -EMFILE;
	if (error < 0)
		return error;
	socket = fake_socket_create(fake);
	socket->dialled = true;
	socket->fd = take_fd();
	return socket->fd;
}

static void map_address(struct sockaddr_storage *address)
{
	const struct sockaddr_in ipv4 = *(const struct sockaddr_in *)address;
	struct sockaddr_in6 *mapped = (struct sockaddr_in6 *)address;

	*mapped = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = ipv4.sin_port};
	mapped->sin6_addr.s6_addr[10] = mapped->sin6_addr.s6_addr[11] = 0xff;
	memcpy(mapped->sin6_addr.s6_addr + 12, &ipv4.sin_addr, 4);
}

static int call_accept(int fd, struct sockaddr_storage *peer)
{
	struct fake_socket *listener = socket_of(fd, "accept"), *socket;
	int error = fault(FAKE_ACCEPT);

	assert(listener->state == FAKE_LISTENING);
	if (error < 0)
		return error;
	if (list_empty(&listener->queued))
		return -EAGAIN;
	if (fake->open >= fake->descriptor_limit)
		return -EMFILE;
	socket = container_of(listener->queued.next, struct fake_socket, queued);
	list_remove(&socket->queued);
	socket->fd = take_fd();
	for (size_t i = 0; i < listener->option_count; i++)
		socket->options[i] = listener->options[i];
	socket->option_count = listener->option_count;
	address_to_sockaddr(&socket->peer, peer);
	if (fake->dual_stack && socket->peer.family == ADDRESS_IPV4)
		map_address(peer);
	return socket->fd;
}

static int call_bind(int fd, const struct sockaddr_storage *address, socklen_t length)
{
	struct fake_socket *socket = socket_of(fd, "bind");
	const struct address to = address_from_sockaddr(address);
	int error = fault(FAKE_BIND);

	assert(length > 0 && length <= sizeof(*address) && socket->state == FAKE_NEW);
	if (error < 0)
		return error;
	if (to.port != 0 && to.port < fake->privileged_below)
		return -EACCES;
	if (to.port != 0 && to.port == (socket->repair ? fake->repair_port : fake->taken_port))
		return -EADDRINUSE;
	socket->bound = to;
	return 0;
}

static int call_connect(int fd, const struct sockaddr_storage *address, socklen_t length)
{
	struct fake_socket *socket = socket_of(fd, "connect");
	int error = fault(FAKE_CONNECT);

	assert(length > 0 && socket->state == FAKE_NEW && !socket->repair);
	if (error < 0 && error != -EINPROGRESS)
		return error;
	if (socket->bound.port != 0 && socket->bound.port == fake->twin_port)
		return -EADDRNOTAVAIL;
	socket->peer = address_from_sockaddr(address);
	fake_socket_connect(socket, fake->hold_connects);
	return -EINPROGRESS;
}

static int call_set_option(int fd, int level, int name, int value)
{
	struct fake_socket *socket = socket_of(fd, "setsockopt");
	int error = fault(FAKE_SET_OPTION);

	if (error < 0)
		return error;
	assert(socket->option_count < FAKE_OPTIONS_MAX);
	socket->options[socket->option_count++] = (struct fake_option){level, name, value};
	if (level == IPPROTO_TCP && name == TCP_REPAIR) {
		socket->repair = value > 0;
		/* tcp_repair_off(): leaving repair mode takes SO_REUSEADDR along. */
		if (value <= 0)
			socket->options[socket->option_count++] =
				(struct fake_option){SOL_SOCKET, SO_REUSEADDR, 0};
	}
	return 0;
}

static int call_socket_error(int fd)
{
	struct fake_socket *socket = socket_of(fd, "SO_ERROR");
	int error = socket->error;

	socket->error = 0;
	return error;
}

static int call_local_address(int fd, struct sockaddr_storage *address)
{
	address_to_sockaddr(&socket_of(fd, "getsockname")->bound, address);
	return 0;
}

static int call_tcp_info(int fd, struct tcp_info *info)
{
	struct fake_socket *socket = socket_of(fd, "TCP_INFO");
	int error = fault(FAKE_TCP_INFO);

	if (error == 0)
		fake_socket_info(socket, info);
	return error;
}

static ssize_t call_recv(int fd, void *bytes, size_t size)
{
	struct fake_socket *socket = socket_of(fd, "recv");
	int error = socket_fault(FAKE_RECV, socket);

	assert(size > 0);
	return error < 0 ? error : fake_socket_read(socket, bytes, size, false);
}

static ssize_t call_send(int fd, const void *bytes, size_t size)
{
	struct fake_socket *socket = socket_of(fd, "send");
	int error = socket_fault(FAKE_SEND, socket);

	assert(size > 0);
	return error < 0 ? error : fake_socket_write(socket, bytes, size);
}

static ssize_t splice_in(struct fake_socket *socket, struct fake_pipe *pipe, size_t size)
{
	size_t room = pipe->size - (pipe->bytes.length - pipe->start);
	int error = socket_fault(FAKE_SPLICE_IN, socket);
	ssize_t length;

	if (error < 0)
		return error;
	if (room == 0)
		return -EAGAIN;
	if (size > room)
		size = room;
	if (size > fake->splice_limit)
		size = fake->splice_limit;
	/* Room in the pipe's memory first, then the bytes in place. */
	if (pipe->start == pipe->bytes.length)
		pipe->start = pipe->bytes.length = 0;
	if (pipe->bytes.capacity - pipe->bytes.length < size) {
		pipe->bytes.capacity = pipe->bytes.length + size;
		pipe->bytes.bytes = realloc(pipe->bytes.bytes, pipe->bytes.capacity);
		assert(pipe->bytes.bytes != NULL);
	}
	length = fake_socket_read(socket, pipe->bytes.bytes + pipe->bytes.length, size, true);
	if (length > 0)
		pipe->bytes.length += (size_t)length;
	return length;
}

static ssize_t splice_out(struct fake_pipe *pipe, struct fake_socket *socket, size_t size)
{
	size_t length = pipe->bytes.length - pipe->start;
	int error = socket_fault(FAKE_SPLICE_OUT, socket);
	ssize_t moved;

	if (error < 0)
		return error;
	if (length == 0)
		return -EAGAIN;
	moved = fake_socket_write(socket, pipe->bytes.bytes + pipe->start,
				  size < length ? size : length);
	if (moved > 0)
		pipe->start += (size_t)moved;
	return moved;
}

static ssize_t call_splice(int from, int to, size_t size)
{
	struct fake_pipe *pipe = find_pipe(to);

	assert(size > 0);
	if (pipe != NULL && pipe->write_fd == to)
		return splice_in(socket_of(from, "splice"), pipe, size);
	pipe = find_pipe(from);
	if (pipe == NULL || pipe->read_fd != from)
		misuse("splice", from);
	return splice_out(pipe, socket_of(to, "splice"), size);
}

static int call_pipe(int fds[2], int size)
{
	int error = fault(FAKE_PIPE);
	struct fake_pipe *pipe;

	if (error == 0 && fake->open + 2 > fake->descriptor_limit)
		error = -EMFILE;
	if (error < 0)
		return error;
	pipe = calloc(1, sizeof(*pipe));
	assert(pipe != NULL);
	pipe->size = fake->pipe_size != 0 ? fake->pipe_size : (size_t)size;
	fds[0] = pipe->read_fd = take_fd();
	fds[1] = pipe->write_fd = take_fd();
	list_append(&fake->pipes, &pipe->link);
	return (int)pipe->size;
}

static int call_unsent(int fd)
{
	struct fake_socket *socket = socket_of(fd, "SIOCOUTQ");
	int error = fault(FAKE_UNSENT);

	return error < 0 ? error : fake_socket_unsent(socket);
}

static int call_unread(int fd)
{
	struct fake_socket *socket = socket_of(fd, "SIOCINQ");
	int error = fault(FAKE_UNREAD);

	return error < 0 ? error : (int)(socket->in_arrived - socket->in_read);
}

static int call_not_sent(int fd)
{
	struct fake_socket *socket = socket_of(fd, "SIOCOUTQNSD");
	int error = fault(FAKE_NOT_SENT);

	return error < 0 ? error : fake_socket_not_sent(socket);
}

static ssize_t call_peek(int fd, void *bytes, size_t size)
{
	struct fake_socket *socket = socket_of(fd, "recv with MSG_PEEK");
	int error = fault(FAKE_PEEK);

	assert(size > 0);
	return error < 0 ? error : fake_socket_peek(socket, bytes, size);
}

static void call_skip(int fd, size_t size)
{
	fake_socket_skip(socket_of(fd, "recv with MSG_TRUNC"), size);
}

static uint16_t call_segment_size(int fd)
{
	return socket_of(fd, "TCP_MAXSEG")->segment;
}

static int call_tcp_position(int fd, struct tcp_position *position)
{
	struct fake_socket *socket = socket_of(fd, "TCP_QUEUE_SEQ");
	int error = fault(FAKE_POSITION);

	if (error == 0)
		fake_socket_position(socket, position);
	return error;
}

static void call_abandon(int fd)
{
	fake->open--;
	fake_socket_abandon(socket_of(fd, "abandon"));
}

static int call_shutdown_write(int fd)
{
	struct fake_socket *socket = socket_of(fd, "shutdown");
	int error = fault(FAKE_SHUTDOWN);

	return error < 0 ? error : fake_socket_shutdown(socket);
}

static int call_reset_on_close(int fd)
{
	struct fake_socket *socket = socket_of(fd, "SO_LINGER");
	int error = fault(FAKE_LINGER);

	if (error == 0)
		socket->linger = true;
	return error;
}

static void pipe_free(struct fake_pipe *pipe)
{
	list_remove(&pipe->link);
	free(pipe->bytes.bytes);
	free(pipe);
}

static void call_close(int fd)
{
	struct fake_pipe *pipe = find_pipe(fd);

	fake->open--;
	if (pipe == NULL) {
		fake_socket_close(socket_of(fd, "close"));
		return;
	}
	if (pipe->read_fd == fd)
		pipe->read_fd = -1;
	else
		pipe->write_fd = -1;
	if (pipe->read_fd < 0 && pipe->write_fd < 0)
		pipe_free(pipe);
}

static int call_watch(int epoll, int fd, uint32_t events, void *source, bool modify)
{
	struct fake_socket *socket = socket_of(fd, "epoll_ctl");
	int error = fault(FAKE_WATCH);

	(void)epoll;
	if (error < 0)
		return error;
	if (socket->watch.active != modify)
		return modify ? -ENOENT : -EEXIST;
	socket->watch.active = true;
	socket->watch.source = source;
	socket->watch.events = events;
	fake_socket_wake(socket, 0);
	return 0;
}

static void call_unwatch(int epoll, int fd)
{
	(void)epoll;
	fake_socket_unwatch(socket_of(fd, "epoll_ctl"));
}

/* The fake has no time but the test's. */
static uint64_t call_clock(void)
{
	return fake->now * 1000;
}

const struct sys fake_table = {
	.socket = call_socket,
	.accept = call_accept,
	.bind = call_bind,
	.connect = call_connect,
	.set_option = call_set_option,
	.socket_error = call_socket_error,
	.local_address = call_local_address,
	.tcp_info = call_tcp_info,
	.recv = call_recv,
	.send = call_send,
	.splice = call_splice,
	.pipe = call_pipe,
	.unsent = call_unsent,
	.unread = call_unread,
	.not_sent = call_not_sent,
	.peek = call_peek,
	.skip = call_skip,
	.segment_size = call_segment_size,
	.tcp_position = call_tcp_position,
	.abandon = call_abandon,
	.shutdown_write = call_shutdown_write,
	.reset_on_close = call_reset_on_close,
	.close = call_close,
	.watch = call_watch,
	.unwatch = call_unwatch,
	.clock = call_clock,
};

void fake_init(struct fake_sys *of)
{
	*of = (struct fake_sys){
		.last_fd = FIRST_FD,
		.descriptor_limit = UINT32_MAX,
		.receive_limit = 4 << 20,
		.send_limit = 4 << 20,
		.peer_window = 4 << 20,
		.splice_limit = FAKE_NO_LIMIT,
	};
	list_init(&of->sockets);
	list_init(&of->pipes);
	list_init(&of->ready);
	fake = of;
}

void fake_finish(struct fake_sys *of)
{
	while (!list_empty(&of->sockets)) {
		struct fake_socket *socket =
			container_of(of->sockets.next, struct fake_socket, link);

		list_remove(&socket->link);
		list_remove(&socket->watch.ready);
		free(socket->in.bytes);
		free(socket->out.bytes);
		free(socket);
	}
	while (!list_empty(&of->pipes))
		pipe_free(container_of(of->pipes.next, struct fake_pipe, link));
	fake = NULL;
}
