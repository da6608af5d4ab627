/* SPDX-License-Identifier: MIT */
/* Listening sockets. */
#include "os/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int set_flag(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

static int prepare(int fd, const struct listen_endpoint *endpoint,
		   const struct listen_options *options, enum listen_sharing sharing,
		   const char **step)
{
	struct sockaddr_storage address;
	socklen_t length = address_to_sockaddr(&endpoint->address, &address);

	*step = "SO_REUSEADDR";
	if (set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0)
		return -errno;
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
	/* Urgent data is a part of the stream; accepted sockets inherit this. */
	set_flag(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	*step = "bind";
	if (bind(fd, (struct sockaddr *)&address, length) < 0)
		return -errno;
	*step = "SO_REUSEPORT";
	if (sharing == LISTEN_FIRST && set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1) < 0)
		return -errno;
	*step = "listen";
	if (listen(fd, options->backlog) < 0)
		return -errno;
	return 0;
}

static int open_endpoint(const struct listen_endpoint *endpoint,
			 const struct listen_options *options, enum listen_sharing sharing,
			 const char **step)
{
	int domain = endpoint->address.family == ADDRESS_IPV4 ? AF_INET : AF_INET6;
	int fd, error;

	*step = "socket";
	fd = socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0)
		return -errno;
	error = prepare(fd, endpoint, options, sharing, step);
	if (error < 0) {
		close(fd);
		return error;
	}
	return fd;
}

int listen_open_tcp(const struct listen_endpoint *endpoint, const struct listen_options *options,
		    enum listen_sharing sharing, const char **step)
{
	int fd = open_endpoint(endpoint, options, sharing, step);

	/* "*" on a host without IPv6 means all the addresses there are. */
	if (endpoint->both_families && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL)) {
		const struct listen_endpoint ipv4_only = {
			.address = {.family = ADDRESS_IPV4, .port = endpoint->address.port},
		};

		fd = open_endpoint(&ipv4_only, options, sharing, step);
	}
	return fd;
}
