/* SPDX-License-Identifier: MIT */
/* Handing a generation's sockets to the workers, and telling of what is new and what has gone. */
#include "daemon/listeners.h"

#include <fcntl.h>

#include "daemon/server_state.h"
#include "os/log.h"

/* A descriptor of the worker's own for one that stays open here. */
static int hand(struct listening *listening, struct listening_socket *socket)
{
	int fd = socket->fd;

	if (listening->passed)
		return fcntl(fd, F_DUPFD_CLOEXEC, 0);
	socket->fd = -1;
	return fd;
}

/* What of an address is the worker's. Returns 0, or -1 with errno set. */
static int add_sockets(struct worker_update *update, struct listening *listening,
		       const struct worker_socket *kind, unsigned worker, unsigned worker_count)
{
	for (unsigned i = 0; i < listening->socket_count; i++) {
		struct worker_socket socket = *kind;

		if (!listening_is_for(listening, i, worker, worker_count))
			continue;
		socket.id = listening->sockets[i].id;
		socket.fd = -1;
		socket.shared = listening_is_shared(listening, worker_count);
		socket.lives_on = listening->passed;
		if (kind->quota_member != NULL)
			socket.quota_member = kind->quota_member + i;
		if (!listening->handed) {
			socket.fd = hand(listening, &listening->sockets[i]);
			if (socket.fd < 0)
				return -1;
		}
		worker_update_add(update, &socket);
	}
	return 0;
}

static size_t count_sockets(const struct generation *generation)
{
	size_t count = 0;

	for (size_t i = 0; i < generation->config.listener_count; i++)
		count += generation_listener_sockets(&generation->listeners[i]);
	return count;
}

struct worker_update *listeners_update(struct server *server, struct generation *generation,
				       unsigned worker)
{
	struct worker_update *update = worker_update_create(generation, count_sockets(generation));

	for (size_t i = 0; update != NULL && i < generation->config.listener_count; i++) {
		const struct generation_listener *listener = &generation->listeners[i];
		struct worker_socket kind = {
			.listener = i,
			.budget = &listener->share->sessions,
			.header_queue = &listener->share->header_queues[worker],
			.quota = &listener->share->flows,
			.quota_member = listener->share->flows.members,
		};

		for (size_t j = 0; j < listener->listening_count; j++) {
			struct listening *listening = listener->listenings[j];

			if (add_sockets(update, listening, &kind, worker, server->worker_count) <
			    0) {
				worker_update_destroy(update);
				return NULL;
			}
			if (kind.quota_member != NULL)
				kind.quota_member += listening->socket_count;
		}
	}
	return update;
}

static bool has_listening(const struct generation *generation, const struct listening *listening)
{
	for (size_t i = 0; i < generation->config.listener_count; i++) {
		for (size_t j = 0; j < generation->listeners[i].listening_count; j++) {
			if (generation->listeners[i].listenings[j] == listening)
				return true;
		}
	}
	return false;
}

static void log_gone(const struct generation *before, const struct generation *generation)
{
	for (size_t i = 0; i < before->config.listener_count; i++) {
		for (size_t j = 0; j < before->listeners[i].listening_count; j++) {
			const struct listening *listening = before->listeners[i].listenings[j];

			if (!has_listening(generation, listening))
				log_info("listener", "no longer listening",
					 LOG_TEXT("listener", before->config.listeners[i].name),
					 LOG_TEXT("protocol",
						  relay_protocol_name(listening->protocol)),
					 LOG_ADDRESS("listen", &listening->endpoint.address));
		}
	}
}

static struct log_field optional_address(const char *key, const struct address *address)
{
	return address->family != ADDRESS_NONE ? LOG_ADDRESS(key, address) : LOG_NOTHING;
}

static void log_listening(const struct config_listener *listener,
			  const struct listener_share *share, const struct listening *listening)
{
	static const char *const framings[] = {"every", "first", "spp"};
	bool udp = listening->protocol == RELAY_PROTOCOL_UDP;

	log_info("listener", "listening", LOG_TEXT("listener", listener->name),
		 LOG_TEXT("protocol", relay_protocol_name(listening->protocol)),
		 LOG_ADDRESS("listen", &listening->endpoint.address),
		 optional_address("forward_ipv4", &listener->relay.forward_ipv4),
		 optional_address("forward_ipv6", &listener->relay.forward_ipv6),
		 udp ? LOG_TEXT("framing", framings[listener->relay.udp.framing]) : LOG_NOTHING,
		 udp ? LOG_NUMBER("max_flows", atomic_load(&share->flows.flows.limit))
		     : LOG_NOTHING,
		 LOG_NUMBER("sockets", listening->socket_count),
		 listening->passed ? LOG_TEXT("passed", "yes") : LOG_NOTHING);
}

void listeners_handed(struct generation *generation, const struct generation *before)
{
	for (size_t i = 0; i < generation->config.listener_count; i++) {
		const struct generation_listener *listener = &generation->listeners[i];

		listener_share_rename(listener->share, generation->config.listeners[i].name);
		for (size_t j = 0; j < listener->listening_count; j++) {
			struct listening *listening = listener->listenings[j];

			if (!listening->handed)
				log_listening(&generation->config.listeners[i], listener->share,
					      listening);
			listening->handed = true;
		}
	}
	if (before != NULL)
		log_gone(before, generation);
}
