/* SPDX-License-Identifier: MIT */
/* The table's real side: Linux. */
#include "os/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/tcp.h> /* not netinet/tcp.h, whose tcp_info is a shorter one of the same name */
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define OR_ERRNO(call)                                                                             \
	({                                                                                         \
		__auto_type result_ = (call);                                                      \
		result_ < 0 ? -errno : result_;                                                    \
	})

static int linux_socket(int domain, int type)
{
	return OR_ERRNO(socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

static int linux_accept(int fd, struct sockaddr_storage *peer)
{
	socklen_t length = sizeof(*peer);

	return OR_ERRNO(
		accept4(fd, (struct sockaddr *)peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

static int linux_bind(int fd, const struct sockaddr_storage *address, socklen_t length)
{
	return OR_ERRNO(bind(fd, (const struct sockaddr *)address, length));
}

static int linux_connect(int fd, const struct sockaddr_storage *address, socklen_t length)
{
	return OR_ERRNO(connect(fd, (const struct sockaddr *)address, length));
}

static int linux_set_option(int fd, int level, int name, int value)
{
	return OR_ERRNO(setsockopt(fd, level, name, &value, sizeof(value)));
}

static int linux_socket_error(int fd)
{
	int error = 0;
	socklen_t length = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		return -errno;
	return -error;
}

static int linux_local_address(int fd, struct sockaddr_storage *address)
{
	socklen_t length = sizeof(*address);

	return OR_ERRNO(getsockname(fd, (struct sockaddr *)address, &length));
}

static int linux_path_mtu(int fd)
{
	struct sockaddr_storage local = {0};
	int mtu = 0, error = linux_local_address(fd, &local);
	socklen_t length = sizeof(mtu);

	if (error < 0)
		return error;
	if (local.ss_family == AF_INET6)
		error = getsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &mtu, &length);
	else
		error = getsockopt(fd, IPPROTO_IP, IP_MTU, &mtu, &length);
	return error < 0 ? -errno : mtu;
}

static int linux_tcp_info(int fd, struct tcp_info *info)
{
	socklen_t length = sizeof(*info);

	*info = (struct tcp_info){0};
	return OR_ERRNO(getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &length));
}

static ssize_t linux_recv(int fd, void *bytes, size_t size)
{
	return OR_ERRNO(recv(fd, bytes, size, MSG_DONTWAIT));
}

static ssize_t linux_send(int fd, const void *bytes, size_t size)
{
	return OR_ERRNO(send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static int linux_recvmmsg(int fd, struct mmsghdr *messages, unsigned count)
{
	return OR_ERRNO(recvmmsg(fd, messages, count, MSG_DONTWAIT, NULL));
}

static int linux_sendmmsg(int fd, struct mmsghdr *messages, unsigned count)
{
	return OR_ERRNO(sendmmsg(fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static uint32_t linux_dropped(int fd)
{
	uint32_t values[SK_MEMINFO_VARS] = {0};
	socklen_t length = sizeof(values);

	/* An older kernel fills fewer. */
	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, values, &length) < 0)
		return 0;
	return values[SK_MEMINFO_DROPS];
}

static ssize_t linux_splice(int from, int to, size_t size)
{
	/* splice() has no MSG_NOSIGNAL: the process ignores SIGPIPE. */
	return OR_ERRNO(splice(from, NULL, to, NULL, size, SPLICE_F_NONBLOCK | SPLICE_F_MOVE));
}

static int linux_unread(int fd)
{
	int bytes = 0;

	return ioctl(fd, SIOCINQ, &bytes) < 0 ? -errno : bytes;
}

static int linux_not_sent(int fd)
{
	int bytes = 0;

	return ioctl(fd, SIOCOUTQNSD, &bytes) < 0 ? -errno : bytes;
}

static ssize_t linux_peek(int fd, void *bytes, size_t size)
{
	return OR_ERRNO(recv(fd, bytes, size, MSG_PEEK | MSG_DONTWAIT));
}

static void linux_skip(int fd, size_t size)
{
	while (size > 0) {
		ssize_t length = recv(fd, NULL, size, MSG_TRUNC | MSG_DONTWAIT);

		if (length <= 0)
			return;
		size -= (size_t)length;
	}
}

static int get_number(int fd, int name, uint32_t *value)
{
	socklen_t length = sizeof(*value);

	return OR_ERRNO(getsockopt(fd, IPPROTO_TCP, name, value, &length));
}

static uint16_t linux_segment_size(int fd)
{
	uint32_t size = 0;

	return get_number(fd, TCP_MAXSEG, &size) == 0 ? (uint16_t)size : 0;
}

static int get_edge(int fd, uint32_t *edge)
{
	struct tcp_repair_window window;
	socklen_t length = sizeof(window);

	if (getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, &length) < 0)
		return -errno;
	*edge = window.rcv_wup + window.rcv_wnd;
	return 0;
}

/* Only a socket in repair mode tells its sequence numbers. It goes on as if nothing had been. */
static int linux_tcp_position(int fd, struct tcp_position *position)
{
	int error = linux_set_option(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);

	if (error < 0)
		return error;
	error = linux_set_option(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);
	if (error == 0)
		error = get_number(fd, TCP_QUEUE_SEQ, &position->sent);
	if (error == 0)
		error = linux_set_option(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);
	if (error == 0)
		error = get_number(fd, TCP_QUEUE_SEQ, &position->received);
	if (error == 0)
		error = get_edge(fd, &position->edge);
	if (error == 0)
		error = get_number(fd, TCP_TIMESTAMP, &position->timestamp);
	if (error == 0)
		error = get_number(fd, TCP_MAXSEG, &position->segment);
	/* Without a probe of the window, which would be a word to the peer. */
	linux_set_option(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
	/* That has taken it away, and whoever listens on its port after us would be kept out. */
	linux_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	return error;
}

static void linux_abandon(int fd)
{
	linux_set_option(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);
	close(fd);
}

static int linux_pipe(int fds[2], int size)
{
	int error, given;

	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
		return -errno;
	/* Refused past the user's page limit: the pipe keeps the size it has. */
	given = fcntl(fds[0], F_SETPIPE_SZ, size);
	if (given < 0)
		given = fcntl(fds[0], F_GETPIPE_SZ);
	if (given < 0) {
		error = -errno;
		close(fds[0]);
		close(fds[1]);
		return error;
	}
	return given;
}

static int linux_unsent(int fd)
{
	int bytes = 0;

	if (ioctl(fd, SIOCOUTQ, &bytes) < 0)
		return -errno;
	return bytes;
}

static int linux_shutdown_write(int fd)
{
	return OR_ERRNO(shutdown(fd, SHUT_WR));
}

static int linux_reset_on_close(int fd)
{
	const struct linger linger = {.l_onoff = 1, .l_linger = 0};

	return OR_ERRNO(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
}

static void linux_close(int fd)
{
	close(fd);
}

static int linux_watch(int epoll, int fd, uint32_t events, void *source, bool modify)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	return OR_ERRNO(epoll_ctl(epoll, modify ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event));
}

static void linux_unwatch(int epoll, int fd)
{
	epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
}

/* No system call: the kernel lends its clock to the process. */
static uint64_t linux_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

const struct sys sys_linux = {
	.socket = linux_socket,
	.accept = linux_accept,
	.bind = linux_bind,
	.connect = linux_connect,
	.set_option = linux_set_option,
	.socket_error = linux_socket_error,
	.local_address = linux_local_address,
	.path_mtu = linux_path_mtu,
	.tcp_info = linux_tcp_info,
	.recv = linux_recv,
	.send = linux_send,
	.recvmmsg = linux_recvmmsg,
	.sendmmsg = linux_sendmmsg,
	.dropped = linux_dropped,
	.splice = linux_splice,
	.pipe = linux_pipe,
	.unsent = linux_unsent,
	.unread = linux_unread,
	.not_sent = linux_not_sent,
	.peek = linux_peek,
	.skip = linux_skip,
	.segment_size = linux_segment_size,
	.tcp_position = linux_tcp_position,
	.abandon = linux_abandon,
	.shutdown_write = linux_shutdown_write,
	.reset_on_close = linux_reset_on_close,
	.close = linux_close,
	.watch = linux_watch,
	.unwatch = linux_unwatch,
	.clock = linux_clock,
};
