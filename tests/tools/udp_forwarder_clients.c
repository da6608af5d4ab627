/* SPDX-License-Identifier: MIT */
/* The table of clients, each with its socket toward the target. */
#include "udp_forwarder.h"

#include <err.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

static uint32_t hash_more(uint32_t hash, const struct address *address)
{
	for (size_t i = 0; i < sizeof(address->ip); i++)
		hash = (hash ^ address->ip[i]) * 16777619;
	hash = (hash ^ (address->port & 0xff)) * 16777619;
	return (hash ^ (address->port >> 8)) * 16777619;
}

static struct client **bucket_of(struct forwarder *forwarder, const struct address *address,
				 const struct address *destination)
{
	uint32_t hash = hash_more(hash_more(2166136261, address), destination);

	return &forwarder->buckets[hash % BUCKETS];
}

struct client *client_find(struct forwarder *forwarder, const struct address *address,
			   const struct address *destination)
{
	struct client *client = *bucket_of(forwarder, address, destination);

	while (client != NULL && !(address_equal(&client->address, address) &&
				   address_equal(&client->destination, destination)))
		client = client->next;
	return client;
}

void forwarder_watch(struct forwarder *forwarder, int fd, void *owner)
{
	struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = owner}};

	if (epoll_ctl(forwarder->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		err(EXIT_FAILURE, "epoll_ctl");
}

int forwarder_open_toward_target(const struct forwarder *forwarder)
{
	struct timeval patience = {.tv_sec = SEND_SECONDS};
	struct sockaddr_storage name;
	socklen_t length;
	int on = 1, fd = udp_open(&forwarder->target);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
	length = address_to_sockaddr(&forwarder->source, &name);
	if (length == 0 || bind(fd, (struct sockaddr *)&name, length) == 0) {
		length = address_to_sockaddr(&forwarder->target, &name);
		if (connect(fd, (struct sockaddr *)&name, length) == 0)
			return fd;
	}
	close(fd);
	return -1;
}

struct client *client_add(struct forwarder *forwarder, const struct client *seen)
{
	struct client *client, **bucket = bucket_of(forwarder, &seen->address, &seen->destination);
	int fd = forwarder->shared_fd;

	if (forwarder->clients_count == forwarder->clients_max)
		return NULL;
	if (!forwarder->shared)
		fd = forwarder_open_toward_target(forwarder);
	if (fd < 0)
		return NULL;

	client = &forwarder->clients[forwarder->clients_count++];
	*client = *seen;
	client->next = *bucket;
	*bucket = client;
	client->fd = fd;
	client->segment_max = SIZE_MAX;
	client->header_length = framing_write(forwarder->framing, &client->address,
					      &client->destination, client->header);
	if (!forwarder->shared)
		forwarder_watch(forwarder, fd, client);
	return client;
}
