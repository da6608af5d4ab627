/* SPDX-License-Identifier: MIT */
/* Sockets of one use: opened, sent from, waited for, reset. */
#include "doctor/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>

#include "os/sys.h"

/* Missing from libc's headers: linux/in6.h. */
#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif

static const struct sys *const sys = &sys_linux;

static int fail(struct probe *probe, const char *step, int error)
{
	probe->outcome = PROBE_FAILED;
	probe->step = step;
	probe->error = error;
	return error;
}

static int domain_of(const struct address *address)
{
	return address->family == ADDRESS_IPV4 ? AF_INET : AF_INET6;
}

static void read_local(int fd, struct address *local)
{
	struct sockaddr_storage storage;

	if (sys->local_address(fd, &storage) == 0)
		*local = address_from_sockaddr(&storage);
}

/*
 * The address that this host itself would speak from. A UDP socket that is connected has it, and
 * nothing is sent for that.
 */
static int find_own_source(const struct address *upstream, struct address *source)
{
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(upstream, &storage);
	int fd = sys->socket(domain_of(upstream), SOCK_DGRAM), error;

	if (fd < 0)
		return fd;
	error = sys->connect(fd, &storage, length);
	if (error == 0)
		read_local(fd, source);
	source->port = 0;
	sys->close(fd);
	return error;
}

static int set_options(struct probe *probe, const struct probe_request *request)
{
	bool ipv4 = request->upstream.family == ADDRESS_IPV4;
	int error = 0;

	if (request->source.family != ADDRESS_NONE)
		error = ipv4 ? sys->set_option(probe->fd, IPPROTO_IP, IP_TRANSPARENT, 1)
			     : sys->set_option(probe->fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1);
	if (error < 0)
		return fail(probe, "IP_TRANSPARENT", error);
	if (request->mark != 0)
		error = sys->set_option(probe->fd, SOL_SOCKET, SO_MARK, (int)request->mark);
	return error < 0 ? fail(probe, "SO_MARK", error) : 0;
}

int probe_open(struct probe *probe, const struct probe_request *request)
{
	struct address source = request->source;
	struct sockaddr_storage storage;
	socklen_t length;
	int error;

	*probe = (struct probe){.fd = -1, .udp = request->udp, .upstream = request->upstream};
	if (source.family == ADDRESS_NONE) {
		error = find_own_source(&request->upstream, &source);
		if (error < 0)
			return fail(probe, "connect", error);
	}
	probe->fd = sys->socket(domain_of(&source), request->udp ? SOCK_DGRAM : SOCK_STREAM);
	if (probe->fd < 0)
		return fail(probe, "socket", probe->fd);
	error = set_options(probe, request);
	if (error < 0)
		return error;
	length = address_to_sockaddr(&source, &storage);
	error = sys->bind(probe->fd, &storage, length);
	if (error < 0)
		return fail(probe, "bind", error);
	read_local(probe->fd, &probe->local);
	return 0;
}

void probe_send(struct probe *probe)
{
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(&probe->upstream, &storage);
	int error = sys->connect(probe->fd, &storage, length);
	ssize_t sent;

	if (error == -ECONNREFUSED)
		probe->outcome = PROBE_REFUSED;
	else if (error == 0 && !probe->udp)
		probe->outcome = PROBE_ANSWERED;
	else if (error < 0 && error != -EINPROGRESS)
		fail(probe, "connect", error);
	if (!probe->udp || probe->outcome != PROBE_NOT_TRIED)
		return;
	sent = sys->send(probe->fd, "", 0);
	/* What the output hook drops is said at once, which TCP keeps to itself. */
	if (sent == -EPERM)
		probe->outcome = PROBE_SILENT;
	else if (sent < 0)
		fail(probe, "send", (int)sent);
}

/* The socket has something to say. */
static void read_outcome(struct probe *probe)
{
	char byte;
	ssize_t error = probe->udp ? sys->recv(probe->fd, &byte, sizeof(byte))
				   : sys->socket_error(probe->fd);

	if (error == -EAGAIN)
		return;
	if (error >= 0) {
		probe->outcome = PROBE_ANSWERED;
		if (!probe->udp)
			read_local(probe->fd, &probe->local);
	} else if (error == -ECONNREFUSED || error == -ECONNRESET) {
		probe->outcome = PROBE_REFUSED;
	} else if (error == -ETIMEDOUT) {
		probe->outcome = PROBE_SILENT;
	} else {
		fail(probe, probe->udp ? "recv" : "connect", (int)error);
	}
}

static int milliseconds_until(uint64_t deadline)
{
	uint64_t now = sys->clock();

	return now >= deadline ? 0 : (int)((deadline - now + 999) / 1000);
}

void probe_await(struct probe *probe, int patience, int other_fd, bool (*other)(void *context),
		 void *context)
{
	uint64_t deadline = sys->clock() + (uint64_t)patience * 1000;
	struct pollfd waited[2] = {
		{.fd = probe->fd, .events = probe->udp ? POLLIN : POLLOUT},
		{.fd = other_fd, .events = POLLIN},
	};
	int ready;

	while (probe->outcome == PROBE_NOT_TRIED) {
		ready = poll(waited, 2, milliseconds_until(deadline));
		if (ready < 0 && errno != EINTR)
			fail(probe, "poll", -errno);
		else if (ready > 0 && waited[0].revents != 0)
			read_outcome(probe);
		else if (ready == 0 || (ready > 0 && other(context)) ||
			 milliseconds_until(deadline) == 0)
			probe->outcome = PROBE_SILENT; /* what is always readable ends it, too */
	}
}

bool probe_await_end(const struct probe *probe, int patience)
{
	struct pollfd waited = {.fd = probe->fd, .events = POLLRDHUP};

	return poll(&waited, 1, patience) > 0;
}

void probe_close(struct probe *probe)
{
	if (probe->fd < 0)
		return;
	if (!probe->udp)
		sys->reset_on_close(probe->fd);
	sys->close(probe->fd);
	probe->fd = -1;
}
