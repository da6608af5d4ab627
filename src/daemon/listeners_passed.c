/* SPDX-License-Identifier: MIT */
/* Which listener a passed socket is for, and making it like one of ours. */
#include "daemon/listeners_passed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/report.h"
#include "daemon/server_state.h"
#include "os/log.h"

static bool is_passed_to(const struct passed_socket *socket, const struct config_listener *listener)
{
	return (socket->type == SOCK_DGRAM) == (listener->relay.protocol == RELAY_PROTOCOL_UDP);
}

size_t listeners_owner(const struct passed_socket *socket, const struct config *config)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		if (is_passed_to(socket, &config->listeners[i]) &&
		    strcmp(socket->name, config->listeners[i].name) == 0)
			return i;
	}
	for (size_t i = 0; i < config->listener_count; i++) {
		if (is_passed_to(socket, &config->listeners[i]) &&
		    config_find_endpoint(&config->listeners[i], &socket->endpoint) != NULL)
			return i;
	}
	return LISTENERS_NOBODY;
}

static void describe(const struct passed_socket *socket, char *text, size_t size)
{
	char address[ADDRESS_TEXT_SIZE];

	snprintf(text, size, "socket %d, passed as \"%.64s\" (%s %s%s)", socket->fd, socket->name,
		 socket->type == SOCK_DGRAM ? "udp" : "tcp",
		 address_format(&socket->endpoint.address, address),
		 socket->endpoint.both_families ? ", both families" : "");
}

/* Whoever came to a socket that nobody reads would wait for ever. */
static void check_nobodys(const char *text, bool starting, struct report *mistakes,
			  struct report *remarks)
{
	if (starting)
		report_add(mistakes,
			   "%s: no listener has its name and protocol, or its address in listen; "
			   "write one, or FileDescriptorName= in its unit",
			   text);
	else
		report_add(remarks,
			   "%s: no listener is there for it any more; stop its unit, or its "
			   "clients wait in vain",
			   text);
}

int listeners_check_passed(const struct passed_sockets *passed, const struct config *config,
			   bool starting, struct report *mistakes, struct report *remarks)
{
	int error = 0;

	for (size_t i = 0; i < passed->count; i++) {
		const struct passed_socket *socket = &passed->sockets[i];
		size_t owner = listeners_owner(socket, config);
		char text[192];

		describe(socket, text, sizeof(text));
		if (owner == LISTENERS_NOBODY) {
			check_nobodys(text, starting, mistakes, remarks);
			if (starting)
				error = -EINVAL;
		} else if (config->listeners[owner].listen_count > 0 &&
			   config_find_endpoint(&config->listeners[owner], &socket->endpoint) ==
				   NULL) {
			report_add(mistakes,
				   "%s: %s: listen of \"%s\" has another address; write this one, "
				   "or leave listen out",
				   config->listeners[owner].where, text,
				   config->listeners[owner].name);
			error = -EINVAL;
		}
	}
	return error;
}

/* Returns 0, or -errno after a line. */
static int adopt(const struct passed_socket *socket, const struct listen_endpoint *endpoint,
		 struct report *mistakes)
{
	const char *step;
	char text[192];
	int error = socket->type == SOCK_DGRAM ? listen_adopt_udp(socket->fd, endpoint, &step)
					       : listen_adopt_tcp(socket->fd, &step);

	if (error < 0) {
		describe(socket, text, sizeof(text));
		report_add_failure(mistakes, "%s: %s: %s", text, step, log_error_text(error));
	}
	return error;
}

struct listening *listeners_adopt(struct server *server, const struct config *config, size_t index,
				  const struct listen_endpoint *endpoint, struct report *mistakes)
{
	const struct config_listener *listener = &config->listeners[index];
	struct listening *listening = listening_create(listener->relay.protocol, endpoint,
						       (unsigned)server->passed.count);
	unsigned count = 0;
	bool failed = false;

	if (listening == NULL) {
		report_add_failure(mistakes, "listeners: out of memory");
		return NULL;
	}
	listening->passed = true;
	for (size_t i = 0; i < server->passed.count; i++) {
		const struct passed_socket *socket = &server->passed.sockets[i];

		if (listeners_owner(socket, config) != index ||
		    !listen_endpoint_equal(&socket->endpoint, endpoint))
			continue;
		listening->sockets[count++] =
			(struct listening_socket){++server->last_socket, socket->fd};
		failed = adopt(socket, endpoint, mistakes) < 0 || failed;
	}
	listening->socket_count = count;
	if (!failed)
		return listening;
	refcount_drop(&listening->refcount);
	return NULL;
}
