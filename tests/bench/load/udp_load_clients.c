/* SPDX-License-Identifier: MIT */
/* The load's clients: their addresses, their headers, their sockets. */
#include "udp_load_parts.h"

#include <err.h>
#include <stdlib.h>
#include <sys/epoll.h>

/*
 * Room for the datagrams of all clients from the oldest on its way to the newest. At LOAD_RATE_MAX
 * these are a second's, until the oldest is given up. A window, too, goes on behind one that is
 * lost.
 */
#define ROOM_FOR_ALL (1 << 20)
#define ROOM_WINDOWS 4 /* at least, of a client */

static int open_socket(struct load *load, struct client *receiver)
{
	struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = receiver}};
	struct sockaddr_storage name;
	socklen_t length = address_to_sockaddr(&load->options->target, &name);
	int fd = udp_open(&load->options->target);

	if (fd < 0 || connect(fd, (struct sockaddr *)&name, length) < 0)
		err(EXIT_FAILURE, "a socket toward the target");
	if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		err(EXIT_FAILURE, "epoll_ctl");
	return fd;
}

/* Client 0 has the network's first address behind its own; in a small network they go round. */
static struct address client_address(const struct load_options *options, unsigned number)
{
	struct address address = options->client_net;
	unsigned ip_length = address.family == ADDRESS_IPV4 ? 4 : 16;
	unsigned free_bits = ip_length * 8 - options->client_bits;
	/* Without the network's own address and, as IPv4 has it, its broadcast address. */
	unsigned hosts = free_bits < 16 ? (1U << free_bits) - 2 : UINT16_MAX;
	unsigned carry = 1 + number % hosts;

	for (unsigned i = ip_length; i-- > 0 && carry > 0; carry >>= 8) {
		carry += address.ip[i];
		address.ip[i] = (uint8_t)carry;
	}
	address.port = (uint16_t)(address.port + number);
	return address;
}

static void add_client(struct load *load, unsigned number)
{
	const struct load_options *options = load->options;
	struct client *client = &load->clients[number];
	struct address address = client_address(options, number);
	unsigned share = (ROOM_FOR_ALL + options->clients - 1) / options->clients;
	unsigned least = ROOM_WINDOWS * options->window;

	client->number = number;
	client->header_length =
		framing_write(options->framing, &address, &options->destination, client->header);
	client->fd = options->one_socket ? load->shared_fd : open_socket(load, client);
	flight_init(&client->flight, share > least ? share : least);
}

void load_prepare(struct load *load)
{
	const struct load_options *options = load->options;

	load->clients = calloc(options->clients, sizeof(*load->clients));
	load->filler = malloc(options->size);
	if (load->clients == NULL || load->filler == NULL)
		err(EXIT_FAILURE, "no memory");
	for (size_t i = 0; i < options->size; i++)
		load->filler[i] = (uint8_t)(i % 251);
	/* One byte more than is expected, so that a longer reply is seen to be one. */
	batch_init(&load->batch, options->size + SPP_HEADER_LENGTH + 1);
	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (load->epoll < 0)
		err(EXIT_FAILURE, "epoll_create1");
	if (options->one_socket)
		load->shared_fd = open_socket(load, NULL);
	for (unsigned i = 0; i < options->clients; i++)
		add_client(load, i);
}
