/* SPDX-License-Identifier: MIT */
/*
 * Making a socket that speaks for the client, and keeping the client's port where the host's own
 * sockets are in the way.
 */
#include "os/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "os/socket.h"
#include "os/sys.h"

/* Both names are missing from libc's headers: linux/in6.h, linux/tcp.h. */
#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif
#ifndef TCP_REPAIR_OFF_NO_WP
#define TCP_REPAIR_OFF_NO_WP (-1)
#endif

static int fail(struct dial_result *result, enum close_reason reason, const char *step, int error)
{
	result->reason = reason;
	result->step = step;
	result->error = error;
	return -1;
}

static int open_transparent(const struct sys *sys, const struct dial_request *request, int type,
			    struct dial_result *result)
{
	bool ipv4 = request->source.family == ADDRESS_IPV4;
	int fd, error;

	fd = sys->socket(ipv4 ? AF_INET : AF_INET6, type);
	if (fd < 0)
		return fail(result, CLOSE_CONNECT_FAILED, "socket", fd);
	result->fd = fd;
	error = ipv4 ? sys->set_option(fd, IPPROTO_IP, IP_TRANSPARENT, 1)
		     : sys->set_option(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1);
	if (error < 0)
		return fail(result, CLOSE_CONNECT_FAILED, "IP_TRANSPARENT", error);
	if (request->mark != 0) {
		error = sys->set_option(fd, SOL_SOCKET, SO_MARK, (int)request->mark);
		if (error < 0)
			return fail(result, CLOSE_CONNECT_FAILED, "SO_MARK", error);
	}
	/*
	 * Lets a local service bind and listen on this port while we hold it for a client; without
	 * it, a client could keep a service from restarting. (A UDP service must set it, too.) Also
	 * lets one client port serve connections to several upstreams. But a UDP socket that asks
	 * for any port with it may be given one that another such socket has.
	 */
	if (type == SOCK_STREAM || request->source.port != 0)
		sys->set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	return 0;
}

/*
 * A wildcard listener on this host, or the client's own socket when it lives here, makes the plain
 * bind fail. In repair mode the kernel skips that check; the four-tuple is still checked by
 * connect(). Leaving repair mode resets SO_REUSEADDR.
 */
static int bind_in_repair_mode(const struct sys *sys, int fd, const struct sockaddr_storage *source,
			       socklen_t length)
{
	int error = sys->set_option(fd, IPPROTO_TCP, TCP_REPAIR, 1);

	if (error < 0)
		return error;
	error = sys->bind(fd, source, length);
	if (error < 0)
		return error;
	/* Left on, connect() would pretend to be connected without sending anything. */
	error = sys->set_option(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
	if (error < 0)
		return error;
	return sys->set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
}

static int bind_source(const struct sys *sys, const struct dial_request *request, int type,
		       struct dial_result *result)
{
	struct sockaddr_storage source;
	socklen_t length = address_to_sockaddr(&request->source, &source);
	int error;

	/* Without a port of its own the kernel picks one at connect(), by four-tuple. */
	if (type == SOCK_STREAM && request->source.port == 0)
		sys->set_option(result->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	error = sys->bind(result->fd, &source, length);
	if (error == -EADDRINUSE && type == SOCK_DGRAM)
		return fail(result, CLOSE_PORT_CONFLICT, "bind", error);
	if (error == -EADDRINUSE) {
		error = bind_in_repair_mode(sys, result->fd, &source, length);
		if (error < 0)
			return fail(result, CLOSE_PORT_CONFLICT, "bind", error);
		result->repair_bind = true;
	}
	if (error == -EACCES)
		return fail(result, CLOSE_CLIENT_PORT_PRIVILEGED, "bind", error);
	if (error < 0)
		return fail(result, CLOSE_CONNECT_FAILED, "bind", error);
	return 0;
}

static int connect_upstream(const struct sys *sys, const struct dial_request *request, int type,
			    struct dial_result *result)
{
	struct sockaddr_storage upstream;
	socklen_t length = address_to_sockaddr(&request->upstream, &upstream);
	int error;

	if (type == SOCK_STREAM) {
		socket_set_liveness(sys, result->fd, request->user_timeout, request->keepalive);
		/* Urgent data is a part of the stream, on this side as on the listener's. */
		sys->set_option(result->fd, SOL_SOCKET, SO_OOBINLINE, 1);
		if (request->segment != 0)
			sys->set_option(result->fd, IPPROTO_TCP, TCP_MAXSEG, request->segment);
	}
	error = sys->connect(result->fd, &upstream, length);
	if (error == 0 || error == -EINPROGRESS)
		return 0;
	/* The same client is, or a moment ago was, connected from that very port. */
	if (error == -EADDRNOTAVAIL)
		return fail(result, CLOSE_PORT_CONFLICT, "connect", error);
	return fail(result, error == -ECONNREFUSED ? CLOSE_CONNECT_REFUSED : CLOSE_CONNECT_FAILED,
		    "connect", error);
}

static int dial_once(const struct sys *sys, const struct dial_request *request, int type,
		     struct dial_result *result)
{
	result->fd = -1;
	if (open_transparent(sys, request, type, result) == 0 &&
	    bind_source(sys, request, type, result) == 0 &&
	    connect_upstream(sys, request, type, result) == 0)
		return 0;
	if (result->fd >= 0)
		sys->close(result->fd);
	result->fd = -1;
	return -1;
}

static int dial(const struct sys *sys, const struct dial_request *request, int type,
		struct dial_result *result)
{
	struct dial_request other_port = *request;

	*result = (struct dial_result){.fd = -1};
	if (dial_once(sys, request, type, result) == 0)
		return 0;
	result->port_conflict = result->reason == CLOSE_PORT_CONFLICT;
	result->port_privileged = result->reason == CLOSE_CLIENT_PORT_PRIVILEGED;
	result->repair_bind = false;
	if (request->keep_port || request->source.port == 0 ||
	    !(result->port_conflict || result->port_privileged))
		return -1;
	other_port.source.port = 0;
	return dial_once(sys, &other_port, type, result);
}

int dial_tcp(const struct sys *sys, const struct dial_request *request, struct dial_result *result)
{
	return dial(sys, request, SOCK_STREAM, result);
}

int dial_udp(const struct sys *sys, const struct dial_request *request, struct dial_result *result)
{
	return dial(sys, request, SOCK_DGRAM, result);
}

int dial_plain(const struct sys *sys, const struct address *upstream)
{
	struct sockaddr_storage address;
	socklen_t length = address_to_sockaddr(upstream, &address);
	int fd = sys->socket(address.ss_family, SOCK_STREAM), error;

	if (fd < 0)
		return fd;
	error = sys->connect(fd, &address, length);
	if (error == 0 || error == -EINPROGRESS)
		return fd;
	sys->close(fd);
	return error;
}
