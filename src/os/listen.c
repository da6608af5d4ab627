/* SPDX-License-Identifier: MIT */
/* Listening sockets. */
#include "os/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int set_flag(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

/*
 * Bytes that may wait for a worker that is busy: some milliseconds of traffic at full speed. The
 * kernel counts its own overhead too, more than half of it where datagrams are small.
 */
#define UDP_RECEIVE_BUFFER (8 << 20)

bool listen_endpoint_equal(const struct listen_endpoint *a, const struct listen_endpoint *b)
{
	return address_equal(&a->address, &b->address) && a->both_families == b->both_families;
}

bool listen_endpoint_meant(const struct listen_endpoint *written,
			   const struct listen_endpoint *bound)
{
	return listen_endpoint_equal(written, bound) ||
	       (written->both_families && bound->address.family == ADDRESS_IPV4 &&
		bound->address.port == written->address.port &&
		address_is_wildcard(&bound->address));
}

static int bind_endpoint(int fd, const struct listen_endpoint *endpoint,
			 const struct listen_options *options, enum listen_sharing sharing,
			 const char **step)
{
	struct sockaddr_storage address;
	socklen_t length = address_to_sockaddr(&endpoint->address, &address);

	*step = "SO_REUSEPORT";
	if (sharing == LISTEN_JOIN && set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1) < 0)
		return -errno;
	*step = "IPV6_V6ONLY";
	if (endpoint->address.family == ADDRESS_IPV6 &&
	    set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, !endpoint->both_families) < 0)
		return -errno;
	*step = "IP_FREEBIND";
	if (options->freebind && set_flag(fd, IPPROTO_IP, IP_FREEBIND, 1) < 0)
		return -errno;
	*step = "SO_BINDTODEVICE";
	if (options->device != NULL && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, options->device,
						  (socklen_t)strlen(options->device)) < 0)
		return -errno;
	*step = "bind";
	if (bind(fd, (struct sockaddr *)&address, length) < 0)
		return -errno;
	*step = "SO_REUSEPORT";
	if (sharing == LISTEN_FIRST && set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1) < 0)
		return -errno;
	return 0;
}

/* Urgent data is a part of the stream; accepted sockets inherit this. */
static void take_urgent_data_inline(int fd)
{
	set_flag(fd, SOL_SOCKET, SO_OOBINLINE, 1);
}

static int bind_tcp(int fd, const struct listen_endpoint *endpoint,
		    const struct listen_options *options, enum listen_sharing sharing,
		    const char **step)
{
	*step = "SO_REUSEADDR";
	if (set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0)
		return -errno;
	return bind_endpoint(fd, endpoint, options, sharing, step);
}

static int prepare_tcp(int fd, const struct listen_endpoint *endpoint,
		       const struct listen_options *options, enum listen_sharing sharing,
		       const char **step)
{
	int error = bind_tcp(fd, endpoint, options, sharing, step);

	if (error < 0)
		return error;
	take_urgent_data_inline(fd);
	*step = "listen";
	return listen(fd, options->backlog) < 0 ? -errno : 0;
}

static int set_up_udp(int fd, const struct listen_endpoint *endpoint, const char **step)
{
	bool ipv4 = endpoint->address.family == ADDRESS_IPV4;

	*step = "IP_PKTINFO";
	if (address_is_wildcard(&endpoint->address) &&
	    (ipv4 ? set_flag(fd, IPPROTO_IP, IP_PKTINFO, 1)
		  : set_flag(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)) < 0)
		return -errno;
	/* Without these it works as well, if not as fast or as well counted. */
	if (set_flag(fd, SOL_SOCKET, SO_RCVBUFFORCE, UDP_RECEIVE_BUFFER) < 0)
		set_flag(fd, SOL_SOCKET, SO_RCVBUF, UDP_RECEIVE_BUFFER);
	set_flag(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
	set_flag(fd, IPPROTO_UDP, UDP_GRO, 1);
	return 0;
}

/* No SO_REUSEADDR: on UDP it would let anybody bind the same address and take what comes. */
static int prepare_udp(int fd, const struct listen_endpoint *endpoint,
		       const struct listen_options *options, enum listen_sharing sharing,
		       const char **step)
{
	int error = set_up_udp(fd, endpoint, step);

	return error < 0 ? error : bind_endpoint(fd, endpoint, options, sharing, step);
}

typedef int prepare_socket(int fd, const struct listen_endpoint *endpoint,
			   const struct listen_options *options, enum listen_sharing sharing,
			   const char **step);

static int open_endpoint(const struct listen_endpoint *endpoint,
			 const struct listen_options *options, enum listen_sharing sharing,
			 int type, prepare_socket *prepare, const char **step)
{
	int domain = endpoint->address.family == ADDRESS_IPV4 ? AF_INET : AF_INET6;
	int fd, error;

	*step = "socket";
	fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	error = prepare(fd, endpoint, options, sharing, step);
	if (error < 0) {
		close(fd);
		return error;
	}
	return fd;
}

static int open_any(const struct listen_endpoint *endpoint, const struct listen_options *options,
		    enum listen_sharing sharing, int type, prepare_socket *prepare,
		    const char **step)
{
	int fd = open_endpoint(endpoint, options, sharing, type, prepare, step);

	/* "*" on a host without IPv6 means all the addresses there are. */
	if (endpoint->both_families && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL)) {
		const struct listen_endpoint ipv4_only = {
			.address = {.family = ADDRESS_IPV4, .port = endpoint->address.port},
		};

		fd = open_endpoint(&ipv4_only, options, sharing, type, prepare, step);
	}
	return fd;
}

int listen_open_tcp(const struct listen_endpoint *endpoint, const struct listen_options *options,
		    enum listen_sharing sharing, const char **step)
{
	return open_any(endpoint, options, sharing, SOCK_STREAM, prepare_tcp, step);
}

int listen_open_udp(const struct listen_endpoint *endpoint, const struct listen_options *options,
		    enum listen_sharing sharing, const char **step)
{
	return open_any(endpoint, options, sharing, SOCK_DGRAM, prepare_udp, step);
}

int listen_try(const struct listen_endpoint *endpoint, const struct listen_options *options,
	       bool udp, const char **step)
{
	int fd = open_any(endpoint, options, LISTEN_ALONE, udp ? SOCK_DGRAM : SOCK_STREAM,
			  udp ? bind_endpoint : bind_tcp, step);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int make_private(int fd, const char **step)
{
	int flags = fcntl(fd, F_GETFL);

	*step = "fcntl";
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return 0;
}

int listen_adopt_tcp(int fd, const char **step)
{
	int error = make_private(fd, step);

	if (error < 0)
		return error;
	take_urgent_data_inline(fd);
	return 0;
}

int listen_adopt_udp(int fd, const struct listen_endpoint *endpoint, const char **step)
{
	int error = make_private(fd, step);

	return error < 0 ? error : set_up_udp(fd, endpoint, step);
}
