/* SPDX-License-Identifier: MIT */
/* What the service manager has passed, looked at before anybody uses it. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "os/passed_sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef HAVE_LIBSYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "base/report.h"

#ifdef HAVE_LIBSYSTEMD

/* -1 when the socket will not say. */
static int get_option(int fd, int level, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	return getsockopt(fd, level, name, &value, &length) == 0 ? value : -1;
}

static bool takes_both_families(int fd, const struct sockaddr_storage *address)
{
	static const struct in6_addr any;
	const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)address;

	return address->ss_family == AF_INET6 && memcmp(&ipv6->sin6_addr, &any, sizeof(any)) == 0 &&
	       get_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0;
}

/* What makes it useless as a listener, with what would be right; NULL when it is one. */
static const char *judge(struct passed_socket *socket)
{
	struct sockaddr_storage address = {0};
	socklen_t length = sizeof(address);
	int protocol = get_option(socket->fd, SOL_SOCKET, SO_PROTOCOL);

	socket->type = get_option(socket->fd, SOL_SOCKET, SO_TYPE);
	if (getsockname(socket->fd, (struct sockaddr *)&address, &length) < 0)
		return "it is no socket; write ListenStream= or ListenDatagram= with an address";
	socket->endpoint.address = address_from_sockaddr(&address);
	socket->endpoint.both_families = takes_both_families(socket->fd, &address);
	if (socket->endpoint.address.family == ADDRESS_NONE ||
	    (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP))
		return "it is neither TCP nor UDP; write ListenStream= or ListenDatagram= with an "
		       "IP address and a port";
	if (protocol == IPPROTO_TCP && get_option(socket->fd, SOL_SOCKET, SO_ACCEPTCONN) != 1)
		return "it does not listen; write Accept=no";
	if (socket->endpoint.address.port == 0)
		return "it has no port; write one";
	return NULL;
}

static int take(struct passed_sockets *passed, char *name, int fd, struct report *mistakes)
{
	struct passed_socket *socket = &passed->sockets[passed->count++];
	const char *wrong;

	*socket = (struct passed_socket){.fd = fd, .name = name};
	wrong = judge(socket);
	if (wrong == NULL)
		return 0;
	report_add(mistakes, "socket %d, passed as \"%.64s\": %s", fd, name, wrong);
	return -EINVAL;
}

int passed_sockets_take(struct passed_sockets *passed, struct report *mistakes)
{
	char **names = NULL;
	int count = sd_listen_fds_with_names(true, &names);
	int error = 0;

	*passed = (struct passed_sockets){0};
	if (count <= 0)
		return 0;
	passed->sockets = calloc((size_t)count, sizeof(*passed->sockets));
	for (int i = 0; i < count; i++) {
		if (passed->sockets == NULL)
			free(names[i]);
		else if (take(passed, names[i], SD_LISTEN_FDS_START + i, mistakes) < 0)
			error = -EINVAL;
	}
	free(names);
	if (passed->sockets != NULL)
		return error;
	report_add_failure(mistakes, "passed sockets: out of memory");
	return -EINVAL;
}

#else

int passed_sockets_take(struct passed_sockets *passed, struct report *mistakes)
{
	const char *pid = getenv("LISTEN_PID");

	*passed = (struct passed_sockets){0};
	/* Whoever connects to them would wait for ever. */
	if (pid == NULL || strtol(pid, NULL, 10) != getpid())
		return 0;
	report_add(mistakes, "passed sockets: this mmproxy was built without libsystemd and takes "
			     "none; stop the socket unit, or use a build with it");
	return -EINVAL;
}

#endif

void passed_sockets_finish(struct passed_sockets *passed)
{
	for (size_t i = 0; i < passed->count; i++) {
		close(passed->sockets[i].fd);
		free(passed->sockets[i].name);
	}
	free(passed->sockets);
	*passed = (struct passed_sockets){0};
}
