/* SPDX-License-Identifier: MIT */
/*
 * From the target back to the clients. Replies of one size to one client leave in one segmented
 * send.
 */
#include "udp_forwarder.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#define SEGMENTED 65507 /* bytes of a segmented send, of either family */

/* Adds one item to what goes beside a message. */
static void add_control(struct msghdr *message, int level, int type, const void *data,
			size_t length)
{
	struct cmsghdr *part = (void *)((char *)message->msg_control + message->msg_controllen);

	part->cmsg_level = level;
	part->cmsg_type = type;
	part->cmsg_len = CMSG_LEN(length);
	memcpy(CMSG_DATA(part), data, length);
	message->msg_controllen += CMSG_SPACE(length);
}

/* The local address that the client wrote to, to answer from. */
static void add_local(struct forwarder *forwarder, struct msghdr *message,
		      const struct client *client)
{
	if (!forwarder->wildcard)
		return;
	if (forwarder->listen.family == ADDRESS_IPV6) {
		add_control(message, IPPROTO_IPV6, IPV6_PKTINFO, &client->local,
			    sizeof(client->local));
	} else {
		struct in_pktinfo info = {0};

		memcpy(&info.ipi_spec_dst, client->destination.ip, 4);
		add_control(message, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	}
}

static void finish_message(struct forwarder *forwarder, unsigned slot)
{
	struct reply *reply = &forwarder->replies.replies[slot];
	struct msghdr *message = &forwarder->replies.messages[slot].msg_hdr;

	message->msg_name = &reply->client->name;
	message->msg_namelen = reply->client->name_length;
	message->msg_control = &reply->control;
	message->msg_controllen = 0;
	add_local(forwarder, message, reply->client);
	if (reply->segments > 1) {
		uint16_t segment = (uint16_t)reply->segment;

		add_control(message, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	}
}

/* Without segmentation: the path to this client does not have it, not for this size at least. */
static void send_one_by_one(struct forwarder *forwarder, struct reply *reply,
			    const struct msghdr *whole)
{
	reply->client->segment_max = reply->segment - 1;
	for (unsigned i = 0; i < whole->msg_iovlen; i++) {
		char *bytes = reply->pieces[i].iov_base;
		size_t left = reply->pieces[i].iov_len;

		while (left > 0) {
			size_t length = left < reply->segment ? left : reply->segment;
			struct iovec piece = {bytes, length};
			struct msghdr message = *whole;

			message.msg_iov = &piece;
			message.msg_iovlen = 1;
			message.msg_controllen = 0;
			add_local(forwarder, &message, reply->client);
			if (sendmsg(forwarder->listen_fd, &message, 0) >= 0)
				forwarder->replied++;
			else
				forwarder->dropped++;
			bytes += length;
			left -= length;
		}
	}
}

static void send_replies(struct forwarder *forwarder)
{
	struct replies *replies = &forwarder->replies;
	unsigned done = 0;

	for (unsigned i = 0; i < replies->count; i++)
		finish_message(forwarder, i);
	while (done < replies->count) {
		struct reply *reply = &replies->replies[done];
		int sent = sendmmsg(forwarder->listen_fd, replies->messages + done,
				    replies->count - done, 0);

		for (int i = 0; i < sent; i++)
			forwarder->replied += reply[i].segments;
		if (sent > 0) {
			done += (unsigned)sent;
			continue;
		}
		if (reply->segments > 1 && errno != EAGAIN)
			send_one_by_one(forwarder, reply, &replies->messages[done].msg_hdr);
		else
			forwarder->dropped += reply->segments;
		done++;
	}
	replies->count = 0;
}

/* Whether one more datagram may leave with those that are there. */
static bool fits(const struct reply *reply, const struct client *client, size_t length)
{
	return reply->client == client && length > 0 && length <= reply->segment &&
	       reply->segment <= client->segment_max && reply->segments < SEGMENTS_MAX &&
	       /* None of them was shorter than the first. */
	       reply->length == reply->segments * reply->segment &&
	       reply->length + length <= SEGMENTED;
}

static void begin_reply(struct forwarder *forwarder, struct client *client, uint8_t *bytes,
			size_t length)
{
	struct replies *replies = &forwarder->replies;
	struct reply *reply;

	if (replies->count == BATCH_MAX)
		send_replies(forwarder);
	reply = &replies->replies[replies->count];
	reply->client = client;
	reply->segments = 1;
	reply->segment = reply->length = length;
	reply->pieces[0] = (struct iovec){bytes, length};
	replies->messages[replies->count].msg_hdr =
		(struct msghdr){.msg_iov = reply->pieces, .msg_iovlen = 1};
	replies->count++;
}

static void extend_reply(struct reply *reply, struct msghdr *message, uint8_t *bytes, size_t length)
{
	struct iovec *last = &reply->pieces[message->msg_iovlen - 1];

	if ((uint8_t *)last->iov_base + last->iov_len == bytes)
		last->iov_len += length;
	else
		reply->pieces[message->msg_iovlen++] = (struct iovec){bytes, length};
	reply->segments++;
	reply->length += length;
}

static void add_reply(struct forwarder *forwarder, struct client *client, uint8_t *bytes,
		      size_t length)
{
	struct replies *replies = &forwarder->replies;
	unsigned last = replies->count - 1;

	if (replies->count > 0 && fits(&replies->replies[last], client, length))
		extend_reply(&replies->replies[last], &replies->messages[last].msg_hdr, bytes,
			     length);
	else
		begin_reply(forwarder, client, bytes, length);
}

/* Whose reply this is by its SPP header; NULL when by that it is nobody's, or not its socket's. */
static struct client *owner_of(struct forwarder *forwarder, struct client *receiver,
			       const uint8_t *bytes, size_t length)
{
	struct address address, destination;

	if (!spp_read(bytes, length, &address, &destination))
		return NULL;
	if (receiver == NULL)
		return client_find(forwarder, &address, &destination);
	return memcmp(bytes, receiver->header, SPP_HEADER_LENGTH) == 0 ? receiver : NULL;
}

static void take_reply(struct forwarder *forwarder, struct client *receiver, uint8_t *bytes,
		       size_t length)
{
	if (forwarder->framing == FRAMING_SPP) {
		receiver = owner_of(forwarder, receiver, bytes, length);
		bytes += SPP_HEADER_LENGTH;
		length -= SPP_HEADER_LENGTH;
	}
	if (receiver == NULL)
		forwarder->dropped++;
	else
		add_reply(forwarder, receiver, bytes, length);
}

/* Bytes of each datagram in a message: several of one size may have come as one. */
static size_t segment_size(struct msghdr *message, size_t length)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
	     part = CMSG_NXTHDR(message, part)) {
		if (part->cmsg_level == IPPROTO_UDP && part->cmsg_type == UDP_GRO) {
			int segment;

			memcpy(&segment, CMSG_DATA(part), sizeof(segment));
			if (segment > 0)
				return (size_t)segment;
		}
	}
	return length;
}

void replies_return(struct forwarder *forwarder)
{
	struct batch *batch = &forwarder->from_target;

	for (unsigned i = 0; i < forwarder->collected; i++) {
		uint8_t *bytes = batch->pieces[i].iov_base;
		size_t left = batch->messages[i].msg_len;
		size_t segment = segment_size(&batch->messages[i].msg_hdr, left);

		do {
			size_t length = left < segment ? left : segment;

			take_reply(forwarder, forwarder->receivers[i], bytes, length);
			bytes += length;
			left -= length;
		} while (left > 0);
	}
	send_replies(forwarder);
	forwarder->collected = 0;
}

void replies_collect(struct forwarder *forwarder, int fd, struct client *receiver)
{
	struct batch *batch = &forwarder->from_target;
	unsigned count;

	if (forwarder->collected == BATCH_MAX)
		replies_return(forwarder);
	count = batch_receive(batch, fd, forwarder->collected, MSG_DONTWAIT);
	for (unsigned i = 0; i < count; i++)
		forwarder->receivers[forwarder->collected++] = receiver;
}
