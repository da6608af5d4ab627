/* SPDX-License-Identifier: MIT */
/* Reading struct msghdr the way the kernel does. */
#include "fake_message.h"

#include <assert.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

/* The kernel's own limits. */
#define SEGMENTS_MAX 64
#define PAYLOAD_MAX  65507

static void read_control(const struct cmsghdr *control, struct fake_message *message)
{
	size_t size = control->cmsg_len - CMSG_LEN(0);
	uint16_t segment;

	if (control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_SEGMENT) {
		assert(size == sizeof(segment) && message->segment == 0);
		memcpy(&segment, CMSG_DATA(control), size);
		assert(segment > 0);
		message->segment = segment;
	} else if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
		assert(size == sizeof(message->local4) && !message->has_local4);
		memcpy(&message->local4, CMSG_DATA(control), size);
		message->has_local4 = true;
	} else {
		assert(control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO);
		assert(size == sizeof(message->local6) && !message->has_local6);
		memcpy(&message->local6, CMSG_DATA(control), size);
		message->has_local6 = true;
	}
}

struct fake_message fake_message_read(const struct msghdr *header)
{
	struct msghdr copy = *header;
	struct fake_message message = {
		.name_length = header->msg_namelen,
		.parts = header->msg_iovlen,
		.datagrams = 1,
	};

	assert(header->msg_flags == 0 && header->msg_namelen <= sizeof(message.name));
	assert((header->msg_name == NULL) == (header->msg_namelen == 0));
	assert((header->msg_control == NULL) == (header->msg_controllen == 0));
	assert(header->msg_controllen == 0 || CMSG_FIRSTHDR(&copy) != NULL);
	if (header->msg_name != NULL)
		memcpy(&message.name, header->msg_name, header->msg_namelen);
	for (size_t i = 0; i < header->msg_iovlen; i++)
		message.length += header->msg_iov[i].iov_len;
	for (struct cmsghdr *control = CMSG_FIRSTHDR(&copy); control != NULL;
	     control = CMSG_NXTHDR(&copy, control))
		read_control(control, &message);
	if (message.segment > 0)
		message.datagrams =
			(unsigned)((message.length + message.segment - 1) / message.segment);
	return message;
}

int fake_message_verdict(const struct fake_message *message)
{
	if (message->datagrams > SEGMENTS_MAX)
		return -EINVAL;
	return message->length > PAYLOAD_MAX ? -EMSGSIZE : 0;
}

uint8_t *fake_message_bytes(const struct msghdr *header, const struct fake_message *message)
{
	uint8_t *bytes = malloc(message->length + 1), *at = bytes;

	assert(bytes != NULL);
	for (size_t i = 0; i < header->msg_iovlen; i++) {
		if (header->msg_iov[i].iov_len > 0)
			memcpy(at, header->msg_iov[i].iov_base, header->msg_iov[i].iov_len);
		at += header->msg_iov[i].iov_len;
	}
	return bytes;
}

size_t fake_message_cut(const struct fake_message *message, size_t offset)
{
	size_t left = message->length - offset;

	return message->segment > 0 && left > message->segment ? message->segment : left;
}
