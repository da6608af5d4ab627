/* SPDX-License-Identifier: MIT */
/* The null table's calls: no list, no allocation, nothing that grows with use. */
#include "null_sys.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "base/address.h"
#include "os/loop.h"

/* What the clock moves by whenever it is read, in microseconds: a usual wait for a header. */
#define CLOCK_STEP 250

struct null_socket {
	struct loop_source *source; /* who watches it */
	const void *bytes;
	size_t length;      /* of one datagram, or of all that waits */
	unsigned datagrams; /* that wait */
	bool finished;
};

static struct null_socket sockets[NULL_FD_COUNT];
static uint64_t calls_made;
static bool connection_waits;
static struct sockaddr_storage peer;
static socklen_t peer_length;
/* IP_PKTINFO, as a wildcard socket has it with each datagram. */
static union {
	uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
	struct cmsghdr head;
} arrival;

void null_init(const struct address *balancer)
{
	const struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(INADDR_LOOPBACK)};

	peer_length = address_to_sockaddr(balancer, &peer);
	arrival.head = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof(info)),
		.cmsg_level = IPPROTO_IP,
		.cmsg_type = IP_PKTINFO,
	};
	memcpy(CMSG_DATA(&arrival.head), &info, sizeof(info));
}

void null_connect(void)
{
	connection_waits = true;
}

void null_receive(enum null_fd fd, const void *bytes, size_t length)
{
	sockets[fd].bytes = bytes;
	sockets[fd].length = length;
}

void null_receive_datagrams(enum null_fd fd, const void *bytes, size_t length, unsigned count)
{
	null_receive(fd, bytes, length);
	sockets[fd].datagrams = count;
}

void null_finish(enum null_fd fd)
{
	sockets[fd].finished = true;
}

void null_report(enum null_fd fd, uint32_t events)
{
	sockets[fd].source->ready(sockets[fd].source, events);
}

uint64_t null_calls(void)
{
	return calls_made;
}

static int call_socket(int domain, int type)
{
	calls_made++;
	(void)domain;
	(void)type;
	return NULL_UPSTREAM;
}

static int call_accept(int fd, struct sockaddr_storage *from)
{
	calls_made++;
	(void)fd;
	if (!connection_waits)
		return -EAGAIN;
	connection_waits = false;
	memcpy(from, &peer, sizeof(struct sockaddr_in));
	return NULL_CLIENT;
}

/* bind() and connect(). */
static int call_with_address(int fd, const struct sockaddr_storage *address, socklen_t length)
{
	calls_made++;
	(void)fd;
	(void)address;
	(void)length;
	return 0;
}

static int call_set_option(int fd, int level, int name, int value)
{
	calls_made++;
	(void)fd;
	(void)level;
	(void)name;
	(void)value;
	return 0;
}

/* Questions about a socket's troubles, and what only prepares its end: all is well. */
static int call_on_socket(int fd)
{
	calls_made++;
	(void)fd;
	return 0;
}

/* What a read of at most `size` bytes gets, or what it says instead. */
static ssize_t take_bytes(struct null_socket *socket, size_t size)
{
	size_t length = socket->length < size ? socket->length : size;

	socket->length = 0;
	if (length > 0)
		return (ssize_t)length;
	return socket->finished ? 0 : -EAGAIN;
}

static ssize_t call_recv(int fd, void *bytes, size_t size)
{
	calls_made++;
	ssize_t length = take_bytes(&sockets[fd], size);

	if (length > 0)
		memcpy(bytes, sockets[fd].bytes, (size_t)length);
	return length;
}

static ssize_t call_send(int fd, const void *bytes, size_t size)
{
	calls_made++;
	(void)fd;
	(void)bytes;
	return (ssize_t)size;
}

static void fill_message(const struct null_socket *socket, struct mmsghdr *message)
{
	struct msghdr *header = &message->msg_hdr;

	memcpy(header->msg_iov->iov_base, socket->bytes, socket->length);
	message->msg_len = (unsigned)socket->length;
	header->msg_controllen = 0;
	/* A connected socket's peer is known, and so is its own address. */
	if (header->msg_name == NULL)
		return;
	memcpy(header->msg_name, &peer, sizeof(struct sockaddr_in));
	header->msg_namelen = peer_length;
	memcpy(header->msg_control, &arrival, sizeof(arrival));
	header->msg_controllen = sizeof(arrival);
}

static int call_recvmmsg(int fd, struct mmsghdr *messages, unsigned count)
{
	calls_made++;
	struct null_socket *socket = &sockets[fd];
	unsigned taken = socket->datagrams < count ? socket->datagrams : count;

	for (unsigned i = 0; i < taken; i++)
		fill_message(socket, &messages[i]);
	socket->datagrams -= taken;
	return taken > 0 ? (int)taken : -EAGAIN;
}

static int call_sendmmsg(int fd, struct mmsghdr *messages, unsigned count)
{
	calls_made++;
	(void)fd;
	(void)messages;
	return (int)count;
}

static uint32_t call_dropped(int fd)
{
	calls_made++;
	(void)fd;
	return 0;
}

static ssize_t call_splice(int from, int to, size_t size)
{
	calls_made++;
	return to == NULL_PIPE_WRITE ? take_bytes(&sockets[from], size) : (ssize_t)size;
}

static int call_pipe(int fds[2], int size)
{
	calls_made++;
	fds[0] = NULL_PIPE_READ;
	fds[1] = NULL_PIPE_WRITE;
	return size;
}

static void call_close(int fd)
{
	calls_made++;
	sockets[fd] = (struct null_socket){0};
}

static int call_watch(int epoll, int fd, uint32_t events, void *source, bool modify)
{
	calls_made++;
	(void)epoll;
	(void)events;
	(void)modify;
	sockets[fd].source = source;
	return 0;
}

static void call_unwatch(int epoll, int fd)
{
	calls_made++;
	(void)epoll;
	sockets[fd].source = NULL;
}

static uint64_t call_clock(void)
{
	static uint64_t now;

	return now += CLOCK_STEP;
}

/*
 * The host and the log read the clock past the table. Here (by the linker's --wrap) it stands
 * still, for a hook that another process interrupted would be a slow one, and a longer date a
 * longer line.
 */
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
	(void)clock;
	*time = (struct timespec){.tv_sec = 1000000000};
	return 0;
}

const struct sys null_table = {
	.socket = call_socket,
	.accept = call_accept,
	.bind = call_with_address,
	.connect = call_with_address,
	.set_option = call_set_option,
	.socket_error = call_on_socket,
	.recv = call_recv,
	.send = call_send,
	.recvmmsg = call_recvmmsg,
	.sendmmsg = call_sendmmsg,
	.dropped = call_dropped,
	.splice = call_splice,
	.pipe = call_pipe,
	.unsent = call_on_socket,
	.shutdown_write = call_on_socket,
	.reset_on_close = call_on_socket,
	.close = call_close,
	.watch = call_watch,
	.unwatch = call_unwatch,
	.clock = call_clock,
};
