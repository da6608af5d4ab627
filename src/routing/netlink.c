/* SPDX-License-Identifier: MIT */
/* Requests and answers over one netlink socket, with libmnl's framing. */
#include "routing/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <poll.h>
#include <stdlib.h>

/* Milliseconds. The kernel answers while the request is sent, or not at all. */
#define NETLINK_PATIENCE 2000

/* A list that is changed while it is read is read again, so often at most. */
#define NETLINK_TRIES 10

struct netlink {
	struct mnl_socket *socket;
	unsigned sequence;
	char buffer[32768]; /* the most that the kernel puts into one datagram of a list */
};

/* What a request's messages are given to, and what came of it. */
struct asking {
	netlink_each *each;
	void *context;
	int error;
};

struct netlink *netlink_open(int bus)
{
	struct netlink *netlink = calloc(1, sizeof(*netlink));
	int strict = 1, error;

	if (netlink == NULL)
		return NULL;
	netlink->socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (netlink->socket == NULL ||
	    mnl_socket_bind(netlink->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		error = errno;
		netlink_close(netlink);
		errno = error;
		return NULL;
	}
	/* A list then has what was asked for, and no more. Where that is refused, readers choose.
	 */
	mnl_socket_setsockopt(netlink->socket, NETLINK_GET_STRICT_CHK, &strict, sizeof(strict));
	return netlink;
}

void netlink_close(struct netlink *netlink)
{
	if (netlink == NULL)
		return;
	if (netlink->socket != NULL)
		mnl_socket_close(netlink->socket);
	free(netlink);
}

static int message_ready(const struct nlmsghdr *message, void *data)
{
	struct asking *asking = data;

	if (asking->each != NULL && asking->error == 0)
		asking->error = asking->each(message, asking->context);
	return asking->error < 0 ? MNL_CB_ERROR : MNL_CB_OK;
}

static int receive(struct netlink *netlink, ssize_t *length)
{
	struct pollfd waited = {.fd = mnl_socket_get_fd(netlink->socket), .events = POLLIN};
	int ready;

	do {
		ready = poll(&waited, 1, NETLINK_PATIENCE);
	} while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		return ready < 0 ? -errno : -ETIMEDOUT;
	*length = mnl_socket_recvfrom(netlink->socket, netlink->buffer, sizeof(netlink->buffer));
	return *length < 0 ? -errno : 0;
}

/* Messages of an earlier question, which was given up, are none of this one's. */
static bool is_stale(const struct netlink *netlink, ssize_t length)
{
	const struct nlmsghdr *message = (const void *)netlink->buffer;

	return mnl_nlmsg_ok(message, (int)length) && message->nlmsg_seq != netlink->sequence;
}

/* -EINTR: what is listed has changed under the listing. */
static int ask_once(struct netlink *netlink, struct nlmsghdr *request, struct asking *asking)
{
	unsigned port = mnl_socket_get_portid(netlink->socket);
	int more = MNL_CB_OK, error;
	ssize_t length = 0;

	request->nlmsg_seq = ++netlink->sequence;
	if (mnl_socket_sendto(netlink->socket, request, request->nlmsg_len) < 0)
		return -errno;
	while (more > MNL_CB_STOP) {
		error = receive(netlink, &length);
		if (error < 0)
			return error;
		if (is_stale(netlink, length))
			continue;
		more = mnl_cb_run(netlink->buffer, (size_t)length, netlink->sequence, port,
				  message_ready, asking);
	}
	if (more == MNL_CB_ERROR)
		return asking->error < 0 ? asking->error : -errno;
	return 0;
}

int netlink_ask(struct netlink *netlink, struct nlmsghdr *request, netlink_each *each,
		void (*restart)(void *context), void *context)
{
	bool list = (request->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	int error = -EINTR;

	request->nlmsg_flags |= NLM_F_REQUEST;
	/* A list ends with a message of its own, all else with the acknowledgement. */
	if (!list)
		request->nlmsg_flags |= NLM_F_ACK;
	for (unsigned tries = 0; error == -EINTR && tries < NETLINK_TRIES; tries++) {
		struct asking asking = {each, context, 0};

		if (tries > 0 && restart != NULL)
			restart(context);
		error = ask_once(netlink, request, &asking);
	}
	return error;
}
