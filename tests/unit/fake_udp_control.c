/* SPDX-License-Identifier: MIT */
/* The fake from the test's side: faults to come, the events so far, and what arrives. */
#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "fake_udp.h"

void fake_udp_fail(struct fake_udp *of, enum fake_udp_call call, unsigned in, int error)
{
	for (unsigned i = 0; i < FAKE_UDP_PLANS_MAX; i++) {
		if (of->plans[i].in == 0) {
			of->plans[i] = (struct fake_udp_plan){call, in, error};
			return;
		}
	}
	assert(false); /* too many plans */
}

struct fake_udp_socket *fake_udp_adopt(struct fake_udp *of, int eventfd)
{
	struct fake_udp_socket *socket = calloc(1, sizeof(*socket));

	assert(socket != NULL && eventfd >= 0);
	socket->fd = eventfd;
	socket->notices = true;
	list_init(&socket->arrivals);
	list_append(&of->sockets, &socket->link);
	return socket;
}

bool fake_udp_posted(const struct fake_udp_socket *notices)
{
	struct pollfd asked = {.fd = notices->fd, .events = POLLIN};

	return poll(&asked, 1, 0) == 1;
}

static uint32_t ready_events(struct fake_udp_socket *socket)
{
	uint32_t found = 0;

	if (socket->heard)
		socket->heard = fake_udp_posted(socket);
	if (!list_empty(&socket->arrivals) || socket->heard)
		found |= EPOLLIN;
	if (socket->error < 0)
		found |= EPOLLIN | EPOLLERR;
	return found & (socket->events | EPOLLERR);
}

size_t fake_udp_poll(struct fake_udp *of, struct fake_udp_event *events, size_t max, unsigned start)
{
	struct list *first = of->sockets.next;
	struct list *link;
	size_t count = 0;

	while (start-- > 0 && !list_empty(&of->sockets))
		first = first->next != &of->sockets ? first->next : of->sockets.next;
	link = first;
	do {
		struct fake_udp_socket *socket = container_of(link, struct fake_udp_socket, link);
		uint32_t found = 0;

		if (link != &of->sockets && socket->watched)
			found = ready_events(socket);
		if (found != 0)
			events[count++] = (struct fake_udp_event){socket->source, found};
		link = link->next;
	} while (link != first && count < max);
	return count;
}

struct fake_udp_arrival *fake_udp_arrive(struct fake_udp_socket *socket, const struct address *from,
					 const void *bytes, size_t length)
{
	struct fake_udp_arrival *arrival = malloc(sizeof(*arrival) + length);

	assert(arrival != NULL && socket->fd >= 0);
	*arrival = (struct fake_udp_arrival){
		.from = *from,
		.to = socket->bound,
		.length = length,
	};
	if (length > 0)
		memcpy(arrival->bytes, bytes, length);
	list_append(&socket->arrivals, &arrival->link);
	return arrival;
}

struct fake_udp_socket *fake_udp_bound_to(struct fake_udp *of, const struct address *address)
{
	for (struct list *link = of->sockets.previous; link != &of->sockets;
	     link = link->previous) {
		struct fake_udp_socket *socket = container_of(link, struct fake_udp_socket, link);

		if (socket->dialled && socket->fd >= 0 && address_equal(&socket->bound, address))
			return socket;
	}
	return NULL;
}

unsigned fake_udp_dialled(const struct fake_udp *of)
{
	unsigned count = 0;

	for (struct list *link = of->sockets.next; link != &of->sockets; link = link->next) {
		const struct fake_udp_socket *socket =
			container_of(link, struct fake_udp_socket, link);

		count += socket->dialled && socket->fd >= 0;
	}
	return count;
}

int fake_udp_option(const struct fake_udp_socket *socket, int level, int name)
{
	for (size_t i = socket->option_count; i-- > 0;) {
		if (socket->options[i].level == level && socket->options[i].name == name)
			return socket->options[i].value;
	}
	return -1;
}
