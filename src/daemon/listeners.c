/* SPDX-License-Identifier: MIT */
/* From a configuration's listeners to sockets, at the start and at each reload. */
#include "daemon/listeners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/report.h"
#include "base/text.h"
#include "daemon/listeners_passed.h"
#include "daemon/server_state.h"
#include "os/log.h"

static int out_of_memory(struct report *mistakes)
{
	report_add_failure(mistakes, "listeners: out of memory");
	return -EINVAL;
}

static bool has_name(const struct config *config, const char *name, enum relay_protocol protocol)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		if (strcmp(config->listeners[i].name, name) == 0 &&
		    config->listeners[i].relay.protocol == protocol)
			return true;
	}
	return false;
}

static bool meet(const struct config_listener *a, const struct config_listener *b)
{
	for (size_t i = 0; i < a->listen_count; i++) {
		if (config_find_endpoint(b, &a->listen[i]) != NULL)
			return true;
	}
	return false;
}

size_t listeners_forerunner(const struct config *old, const struct config *new, size_t index)
{
	const struct config_listener *listener = &new->listeners[index];
	size_t renamed = LISTENERS_NONE;

	for (size_t i = 0; i < old->listener_count; i++) {
		const struct config_listener *other = &old->listeners[i];

		if (other->relay.protocol != listener->relay.protocol)
			continue;
		if (strcmp(other->name, listener->name) == 0)
			return i;
		if (renamed == LISTENERS_NONE && meet(other, listener) &&
		    !has_name(new, other->name, other->relay.protocol))
			renamed = i;
	}
	/* A name that was there before has its own past. */
	return has_name(old, listener->name, listener->relay.protocol) ? LISTENERS_NONE : renamed;
}

/* What the forerunners have. */

static struct listening *find_passed(const struct generation *before, int fd)
{
	for (size_t i = 0; before != NULL && i < before->config.listener_count; i++) {
		const struct generation_listener *listener = &before->listeners[i];

		for (size_t j = 0; j < listener->listening_count; j++) {
			if (listener->listenings[j]->passed &&
			    listener->listenings[j]->sockets[0].fd == fd)
				return listener->listenings[j];
		}
	}
	return NULL;
}

static struct listening *find_opened(const struct generation *before,
				     const struct config_listener *listener,
				     const struct listen_endpoint *endpoint)
{
	for (size_t i = 0; before != NULL && i < before->config.listener_count; i++) {
		const struct generation_listener *other = &before->listeners[i];

		if (before->config.listeners[i].relay.protocol != listener->relay.protocol ||
		    !text_equal(before->config.listeners[i].device, listener->device))
			continue;
		for (size_t j = 0; j < other->listening_count; j++) {
			if (!other->listenings[j]->passed &&
			    listen_endpoint_equal(&other->listenings[j]->endpoint, endpoint))
				return other->listenings[j];
		}
	}
	return NULL;
}

/* Opening. */

static const char *advice_for(int error, const struct listen_endpoint *endpoint)
{
	switch (error) {
	case -EACCES:
		if (endpoint->address.port < 1024)
			return "; a port below 1024 needs a start as root, or the unit "
			       "mmproxy.socket: `systemctl edit mmproxy.socket`, and write the "
			       "address there with the listener's name as FileDescriptorName=";
		return "";
	case -EADDRINUSE:
		return "; `ss -lntup` shows who has it, if it is not a listener of our own that "
		       "changes or still drains: then restart, or try again later";
	case -EADDRNOTAVAIL:
		return "; this host has no such address; freebind = true listens all the same";
	default:
		return "";
	}
}

static void report_failure(const struct config_listener *listener,
			   const struct listen_endpoint *endpoint, const char *step, int error,
			   struct report *mistakes)
{
	char address[ADDRESS_TEXT_SIZE];

	report_add_failure(mistakes, "%s: listener \"%s\" cannot listen on %s %s%s%s: %s: %s%s",
			   listener->where, listener->name,
			   relay_protocol_name(listener->relay.protocol),
			   address_format(&endpoint->address, address),
			   listener->device != NULL ? ", device " : "",
			   listener->device != NULL ? listener->device : "", step,
			   log_error_text(error), advice_for(error, endpoint));
}

/* One socket a worker. NULL after a line. */
static struct listening *open_endpoint(struct server *server,
				       const struct config_listener *listener,
				       const struct listen_endpoint *endpoint,
				       struct report *mistakes)
{
	struct listening *listening =
		listening_create(listener->relay.protocol, endpoint, server->worker_count);

	if (listening == NULL) {
		out_of_memory(mistakes);
		return NULL;
	}
	for (unsigned i = 0; i < server->worker_count; i++) {
		enum listen_sharing sharing = i > 0 ? LISTEN_JOIN : LISTEN_FIRST;
		const char *step;
		int fd;

		if (server->worker_count == 1)
			sharing = LISTEN_ALONE;
		fd = listener->relay.protocol == RELAY_PROTOCOL_UDP
			     ? listen_open_udp(endpoint, &listener->socket, sharing, &step)
			     : listen_open_tcp(endpoint, &listener->socket, sharing, &step);
		if (fd < 0) {
			report_failure(listener, endpoint, step, fd, mistakes);
			refcount_drop(&listening->refcount);
			return NULL;
		}
		listening->sockets[i] = (struct listening_socket){++server->last_socket, fd};
	}
	return listening;
}

/* The plan of one listener. */

static bool listens_on(const struct generation_listener *listener,
		       const struct listen_endpoint *endpoint)
{
	for (size_t i = 0; i < listener->listening_count; i++) {
		if (listen_endpoint_meant(endpoint, &listener->listenings[i]->endpoint))
			return true;
	}
	return false;
}

/*
 * `listening` is NULL where there is none, which has been reported; it is let go of in any case.
 * This and what follows returns 0, or -EINVAL after a line.
 */
static int add_listening(struct generation_listener *target, struct listening *listening,
			 struct report *mistakes)
{
	int error;

	if (listening == NULL)
		return -EINVAL;
	error = generation_listener_add(target, listening);
	refcount_drop(&listening->refcount);
	return error < 0 ? out_of_memory(mistakes) : 0;
}

static struct listening *take(struct listening *listening)
{
	if (listening != NULL)
		refcount_take(&listening->refcount);
	return listening;
}

static int take_passed(struct server *server, struct generation *generation,
		       const struct generation *before, size_t index, struct report *mistakes)
{
	struct generation_listener *target = &generation->listeners[index];

	for (size_t i = 0; i < server->passed.count; i++) {
		const struct passed_socket *socket = &server->passed.sockets[i];
		struct listening *listening;

		if (listeners_owner(socket, &generation->config) != index ||
		    listens_on(target, &socket->endpoint))
			continue;
		listening = take(find_passed(before, socket->fd));
		if (listening == NULL)
			listening = listeners_adopt(server, &generation->config, index,
						    &socket->endpoint, mistakes);
		if (add_listening(target, listening, mistakes) < 0)
			return -EINVAL;
	}
	return 0;
}

/* All its addresses are tried, so that each one that cannot be had is named. */
static int take_or_open(struct server *server, struct generation *generation,
			const struct generation *before, size_t index, struct report *mistakes)
{
	struct generation_listener *target = &generation->listeners[index];
	const struct config_listener *listener = &generation->config.listeners[index];
	int error = 0;

	for (size_t i = 0; i < listener->listen_count; i++) {
		const struct listen_endpoint *endpoint = &listener->listen[i];
		struct listening *listening;

		if (listens_on(target, endpoint)) /* passed */
			continue;
		listening = take(find_opened(before, listener, endpoint));
		if (listening == NULL)
			listening = open_endpoint(server, listener, endpoint, mistakes);
		if (add_listening(target, listening, mistakes) < 0)
			error = -EINVAL;
	}
	if (target->listening_count > 0 || listener->listen_count > 0)
		return error;
	report_add(mistakes,
		   "%s: listener \"%s\": listen is missing, and no %s socket was passed under this "
		   "name; write listen = \"*:8443\"",
		   listener->where, listener->name, relay_protocol_name(listener->relay.protocol));
	return -EINVAL;
}

static int take_share(struct server *server, struct generation *generation,
		      const struct generation *before, size_t index, struct report *mistakes)
{
	const struct config_listener *listener = &generation->config.listeners[index];
	struct generation_listener *target = &generation->listeners[index];
	size_t forerunner = LISTENERS_NONE;

	if (before != NULL)
		forerunner = listeners_forerunner(&before->config, &generation->config, index);
	if (before != NULL && forerunner != LISTENERS_NONE) {
		target->share = before->listeners[forerunner].share;
		refcount_take(&target->share->refcount);
		return 0;
	}
	target->share = listener_share_create(&server->shares, listener->name,
					      listener->relay.protocol, server->worker_count);
	return target->share != NULL ? 0 : out_of_memory(mistakes);
}

static int prepare_one(struct server *server, struct generation *generation,
		       const struct generation *before, size_t index, struct report *mistakes)
{
	if (take_passed(server, generation, before, index, mistakes) < 0 ||
	    take_or_open(server, generation, before, index, mistakes) < 0)
		return -EINVAL;
	return take_share(server, generation, before, index, mistakes);
}

int listeners_prepare(struct server *server, struct generation *generation,
		      const struct generation *before, struct report *mistakes)
{
	struct config *config = &generation->config;
	int error;

	generation->listeners = calloc(config->listener_count, sizeof(*generation->listeners));
	if (generation->listeners == NULL)
		return out_of_memory(mistakes);
	dial_hint_attach(&server->dial_hint, generation);
	error = listeners_check_passed(&server->passed, config, before == NULL, mistakes,
				       &config->remarks);
	for (size_t i = 0; i < config->listener_count && error == 0; i++)
		error = prepare_one(server, generation, before, i, mistakes);
	return error;
}
