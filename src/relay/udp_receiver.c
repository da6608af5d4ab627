/* SPDX-License-Identifier: MIT */
/* The slots of a batch, and the control messages of what is in them. */
#include "relay/udp_receiver.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "os/sys.h"

/* Missing from libc's headers: linux/in.h, linux/in6.h. */
#ifndef IP_ORIGDSTADDR
#define IP_ORIGDSTADDR 20
#endif
#ifndef IPV6_ORIGDSTADDR
#define IPV6_ORIGDSTADDR 74
#endif

/* More than the payload of any datagram, and of any burst that the kernel joins (65,535). */
#define SLOT_SIZE 65536

/*
 * From slot to slot. Most datagrams are short, so only the first lines of each slot are used: a
 * power of two would have them all compete for the same few places of the caches.
 */
#define SLOT_STRIDE (SLOT_SIZE + 5 * 64)

struct udp_receiver_slot {
	struct iovec part;
	struct sockaddr_in6 name; /* the largest that comes */
	/* IP_PKTINFO or IPV6_PKTINFO, or where it was sent to; SO_RXQ_OVFL, UDP_GRO. */
	uint8_t control[CMSG_SPACE(sizeof(struct sockaddr_in6)) + CMSG_SPACE(sizeof(uint32_t)) +
			CMSG_SPACE(sizeof(int))] __attribute__((aligned(sizeof(size_t))));
};

/* A head as recvmmsg() wants it; what it fills in afterwards differs. */
static void reset_head(struct udp_receiver *receiver, unsigned slot)
{
	struct msghdr *header = &receiver->messages[slot].msg_hdr;

	header->msg_namelen = receiver->routes ? sizeof(receiver->slots[slot].name) : 0;
	header->msg_controllen = sizeof(receiver->slots[slot].control);
}

int udp_receiver_init(struct udp_receiver *receiver, bool routes)
{
	void *bytes = mmap(NULL, (size_t)UDP_RECEIVER_SLOTS * SLOT_STRIDE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*receiver = (struct udp_receiver){
		.messages = calloc(UDP_RECEIVER_SLOTS, sizeof(struct mmsghdr)),
		.slots = calloc(UDP_RECEIVER_SLOTS, sizeof(struct udp_receiver_slot)),
		.bytes = bytes != MAP_FAILED ? bytes : NULL,
		.routes = routes,
	};
	if (receiver->messages == NULL || receiver->slots == NULL || receiver->bytes == NULL) {
		udp_receiver_finish(receiver);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < UDP_RECEIVER_SLOTS; i++) {
		struct udp_receiver_slot *slot = &receiver->slots[i];

		slot->part.iov_base = receiver->bytes + (size_t)i * SLOT_STRIDE;
		slot->part.iov_len = SLOT_SIZE;
		receiver->messages[i].msg_hdr = (struct msghdr){
			.msg_name = routes ? &slot->name : NULL,
			.msg_iov = &slot->part,
			.msg_iovlen = 1,
			.msg_control = slot->control,
		};
		reset_head(receiver, i);
	}
	return 0;
}

void udp_receiver_finish(struct udp_receiver *receiver)
{
	free(receiver->messages);
	free(receiver->slots);
	if (receiver->bytes != NULL)
		munmap(receiver->bytes, (size_t)UDP_RECEIVER_SLOTS * SLOT_STRIDE);
	*receiver = (struct udp_receiver){0};
}

int udp_receiver_fill(struct udp_receiver *receiver, const struct sys *sys, int fd, unsigned first,
		      unsigned count)
{
	int filled;

	/* Mostly few slots are filled, and the heads of the others are as they were. */
	for (unsigned i = first; i < first + count && i < receiver->touched; i++)
		reset_head(receiver, i);
	if (first < receiver->touched && first + count >= receiver->touched)
		receiver->touched = first;
	filled = sys->recvmmsg(fd, &receiver->messages[first], count);
	if (filled > 0 && first + (unsigned)filled > receiver->touched)
		receiver->touched = first + (unsigned)filled;
	return filled;
}

static void read_local(const struct cmsghdr *control, struct udp_route *route)
{
	if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
		struct in_pktinfo info;

		memcpy(&info, CMSG_DATA(control), sizeof(info));
		/* Ours, where ipi_addr may be a broadcast address. */
		route->local.in = info.ipi_spec_dst;
		route->local_family = AF_INET;
		route->interface = (unsigned)info.ipi_ifindex;
	} else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo info;

		memcpy(&info, CMSG_DATA(control), sizeof(info));
		route->local.in6 = info.ipi6_addr;
		route->local_family = AF_INET6;
		route->interface = info.ipi6_ifindex;
	}
}

static void read_destination(const struct cmsghdr *control, struct sockaddr_storage *destination)
{
	size_t length = control->cmsg_len - CMSG_LEN(0);

	if (length <= sizeof(struct sockaddr_in6))
		memcpy(destination, CMSG_DATA(control), length);
}

static bool tells_destination(const struct cmsghdr *control)
{
	return (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_ORIGDSTADDR) ||
	       (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_ORIGDSTADDR);
}

static void read_peer(const struct msghdr *header, struct udp_route *route)
{
	/* All of it: routes are compared with what their family leaves unused. */
	memset(route, 0, sizeof(*route));
	route->peer_length = header->msg_namelen;
	if (route->peer_length <= sizeof(route->peer))
		memcpy(&route->peer, header->msg_name, route->peer_length);
}

static void read_control(struct msghdr *header, struct udp_received *received)
{
	for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control != NULL;
	     control = CMSG_NXTHDR(header, control)) {
		int segment;

		if (control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_GRO) {
			memcpy(&segment, CMSG_DATA(control), sizeof(segment));
			if (segment > 0)
				received->segment = (size_t)segment;
		} else if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SO_RXQ_OVFL) {
			memcpy(&received->overflow, CMSG_DATA(control), sizeof(received->overflow));
		} else if (tells_destination(control)) {
			read_destination(control, &received->destination);
		} else {
			read_local(control, &received->route);
		}
	}
}

void udp_receiver_read(const struct udp_receiver *receiver, unsigned slot,
		       struct udp_received *received)
{
	struct mmsghdr *message = &receiver->messages[slot];

	received->bytes = receiver->slots[slot].part.iov_base;
	received->length = received->segment = message->msg_len;
	received->overflow = 0;
	if (receiver->routes)
		read_peer(&message->msg_hdr, &received->route);
	if (message->msg_hdr.msg_controllen > 0)
		read_control(&message->msg_hdr, received);
}

struct address udp_route_peer(const struct udp_route *route)
{
	struct sockaddr_storage peer = {0};

	memcpy(&peer, &route->peer, sizeof(route->peer));
	return address_from_sockaddr(&peer);
}

static bool same_peer(const struct udp_route *a, const struct udp_route *b)
{
	if (a->peer.any.sa_family != b->peer.any.sa_family)
		return false;
	if (a->peer.any.sa_family == AF_INET)
		return a->peer.in.sin_addr.s_addr == b->peer.in.sin_addr.s_addr &&
		       a->peer.in.sin_port == b->peer.in.sin_port;
	return memcmp(&a->peer.in6.sin6_addr, &b->peer.in6.sin6_addr, sizeof(struct in6_addr)) ==
		       0 &&
	       a->peer.in6.sin6_port == b->peer.in6.sin6_port &&
	       a->peer.in6.sin6_scope_id == b->peer.in6.sin6_scope_id;
}

static bool same_local(const struct udp_route *a, const struct udp_route *b)
{
	/* What the family leaves unused is zero. */
	return a->local_family == b->local_family && a->interface == b->interface &&
	       memcmp(&a->local.in6, &b->local.in6, sizeof(a->local.in6)) == 0;
}

bool udp_route_equal(const struct udp_route *a, const struct udp_route *b)
{
	return same_peer(a, b) && same_local(a, b);
}
