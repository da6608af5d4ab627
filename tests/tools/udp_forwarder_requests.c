/* SPDX-License-Identifier: MIT */
/* From the clients toward the target: each datagram behind its client's header. */
#include "udp_forwarder.h"

#include <errno.h>
#include <string.h>

/* Where a datagram arrived, on a socket that listens on every address. */
static void read_local(struct msghdr *message, struct client *seen)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
	     part = CMSG_NXTHDR(message, part)) {
		uint16_t port = seen->destination.port;

		if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(part), sizeof(info));
			seen->destination =
				address_from_ipv4((const uint8_t *)&info.ipi_addr, port);
		} else if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
			memcpy(&seen->local, CMSG_DATA(part), sizeof(seen->local));
			/* The way back is the routing's to choose. */
			seen->local.ipi6_ifindex = 0;
			seen->destination = address_from_ipv6(seen->local.ipi6_addr.s6_addr, port);
		}
	}
}

/* Who sent slot `i`; NULL when there is no room for one more client. */
static struct client *sender_of(struct forwarder *forwarder, unsigned i)
{
	struct msghdr *message = &forwarder->from_clients.messages[i].msg_hdr;
	struct client *client,
		seen = {
			.address = address_from_sockaddr(&forwarder->from_clients.names[i]),
			.destination = forwarder->listen,
			.name = forwarder->from_clients.names[i],
			.name_length = message->msg_namelen,
		};

	if (forwarder->wildcard)
		read_local(message, &seen);
	client = client_find(forwarder, &seen.address, &seen.destination);
	return client != NULL ? client : client_add(forwarder, &seen);
}

static void send_requests(struct forwarder *forwarder, int fd)
{
	struct requests *requests = &forwarder->requests;
	unsigned done = 0;
	bool again = false;

	while (done < requests->count) {
		int sent = sendmmsg(fd, requests->messages + done, requests->count - done, 0);

		if (sent > 0) {
			forwarder->forwarded += (unsigned)sent;
			done += (unsigned)sent;
			again = false;
		} else if (!again && error_is_from_network(errno)) {
			/* The error of an earlier datagram is told instead of sending this one. */
			again = true;
		} else {
			if (requests->opens[done] != NULL)
				requests->opens[done]->opened = false;
			forwarder->dropped++;
			done++;
			again = false;
		}
	}
	requests->count = 0;
}

static void add_request(struct forwarder *forwarder, unsigned i)
{
	struct requests *requests = &forwarder->requests;
	struct client *client = forwarder->senders[i];
	unsigned slot = requests->count++;
	struct iovec *pieces = requests->pieces[slot];
	bool opens = forwarder->framing == FRAMING_FIRST && !client->opened;
	bool headed = forwarder->framing != FRAMING_FIRST || opens;

	pieces[0] = (struct iovec){client->header, headed ? client->header_length : 0};
	pieces[1] = (struct iovec){forwarder->from_clients.pieces[i].iov_base,
				   forwarder->from_clients.messages[i].msg_len};
	requests->messages[slot].msg_hdr = (struct msghdr){.msg_iov = pieces, .msg_iovlen = 2};
	requests->opens[slot] = opens ? client : NULL;
	client->opened = true;
}

void requests_forward(struct forwarder *forwarder)
{
	struct client **senders = forwarder->senders;
	unsigned count =
		batch_receive(&forwarder->from_clients, forwarder->listen_fd, 0, MSG_DONTWAIT);

	forwarder->received += count;
	for (unsigned i = 0; i < count; i++) {
		senders[i] = sender_of(forwarder, i);
		forwarder->dropped += senders[i] == NULL;
	}
	for (unsigned i = 0; i < count; i++) {
		int fd;

		if (senders[i] == NULL)
			continue;
		fd = senders[i]->fd;
		for (unsigned j = i; j < count; j++) {
			if (senders[j] != NULL && senders[j]->fd == fd) {
				add_request(forwarder, j);
				senders[j] = NULL;
			}
		}
		send_requests(forwarder, fd);
	}
}
