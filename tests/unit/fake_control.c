/* SPDX-License-Identifier: MIT */
/* The fake from the test's side: faults to come, the events so far, time, and who connects. */
#include <assert.h>
#include <sys/epoll.h>

#include "fake_socket.h"
#include "fake_sys.h"

void fake_fail(struct fake_sys *of, enum fake_call call, unsigned in, int error)
{
	for (unsigned i = 0; i < FAKE_PLANS_MAX; i++) {
		if (of->plans[i].in == 0) {
			of->plans[i] = (struct fake_plan){call, in, error};
			return;
		}
	}
	assert(false); /* too many plans */
}

int fake_option(const struct fake_socket *socket, int level, int name)
{
	for (size_t i = socket->option_count; i-- > 0;) {
		if (socket->options[i].level == level && socket->options[i].name == name)
			return socket->options[i].value;
	}
	return -1;
}

size_t fake_poll(struct fake_sys *of, struct fake_event *events, size_t max)
{
	size_t count = 0;
	struct list round;

	list_init(&round);
	list_splice(&round, &of->ready);
	while (!list_empty(&round)) {
		struct fake_socket *socket =
			container_of(round.next, struct fake_socket, watch.ready);
		struct fake_watch *watch = &socket->watch;
		uint32_t found;

		list_remove(&watch->ready);
		if (count == max) {
			list_append(&of->ready, &watch->ready);
			continue;
		}
		found = fake_socket_poll(socket) & (watch->events | EPOLLERR | EPOLLHUP);
		if (found == 0)
			continue;
		events[count++] = (struct fake_event){watch->source, found};
		if ((watch->events & EPOLLET) == 0)
			list_append(&of->ready, &watch->ready);
	}
	return count;
}

void fake_pass(struct fake_sys *of, uint64_t milliseconds)
{
	of->now += milliseconds;
	for (struct list *link = of->sockets.next; link != &of->sockets; link = link->next)
		fake_socket_pass(container_of(link, struct fake_socket, link));
}

struct fake_socket *fake_listen(struct fake_sys *of)
{
	struct fake_socket *socket = fake_socket_create(of);

	socket->state = FAKE_LISTENING;
	socket->fd = fake_take_fd(of);
	return socket;
}

/* Where peers find it. */
#define OWN_IPV4 "198.51.100.7:443"
#define OWN_IPV6 "[2001:db8::7]:443"

struct fake_socket *fake_incoming(struct fake_socket *listener, const char *from)
{
	struct fake_socket *socket = fake_socket_create(listener->fake);
	int error = address_parse_endpoint(from, &socket->peer);

	assert(error == 0);
	socket->state = FAKE_CONNECTED;
	error = address_parse_endpoint(socket->peer.family == ADDRESS_IPV4 ? OWN_IPV4 : OWN_IPV6,
				       &socket->bound);
	assert(error == 0);
	list_append(&listener->queued, &socket->queued);
	fake_socket_wake(listener, EPOLLIN);
	return socket;
}

struct fake_socket *fake_dialled(struct fake_sys *of)
{
	for (struct list *link = of->sockets.previous; link != &of->sockets;
	     link = link->previous) {
		struct fake_socket *socket = container_of(link, struct fake_socket, link);

		if (socket->dialled)
			return socket;
	}
	return NULL;
}

size_t fake_dial_count(const struct fake_sys *of)
{
	size_t count = 0;

	for (struct list *link = of->sockets.next; link != &of->sockets; link = link->next)
		count += container_of(link, struct fake_socket, link)->dialled;
	return count;
}
