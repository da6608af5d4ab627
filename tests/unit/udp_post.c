/* SPDX-License-Identifier: MIT */
/* The post office's counter. */
#include "udp_post.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct post *post;

static int refusal(const struct fake_message *message)
{
	size_t longest = message->segment > 0 ? message->segment : message->length;
	int error = fake_message_verdict(message);

	if (error < 0)
		return error;
	if (message->segment > 0 && post->run_error < 0)
		return post->run_error;
	if (post->mtu > 0 && longest > post->mtu)
		return message->segment > 0 ? -EINVAL : -EMSGSIZE;
	return post->fault != NULL ? post->fault(post, message) : 0;
}

static void take(const struct msghdr *header, const struct fake_message *message)
{
	uint8_t *bytes = fake_message_bytes(header, message);
	size_t offset = 0;

	assert(post->message_count < POST_MESSAGES_MAX);
	for (unsigned i = 0; i < message->datagrams; i++) {
		struct post_datagram *datagram = &post->datagrams[post->datagram_count++];

		assert(post->datagram_count <= POST_DATAGRAMS_MAX);
		datagram->length = fake_message_cut(message, offset);
		datagram->bytes = malloc(datagram->length + 1);
		assert(datagram->bytes != NULL);
		memcpy(datagram->bytes, bytes + offset, datagram->length);
		offset += datagram->length;
	}
	free(bytes);
	post->messages[post->message_count++] = *message;
}

static int call_sendmmsg(int fd, struct mmsghdr *messages, unsigned count)
{
	unsigned taken = 0;

	assert(fd == POST_FD && count > 0);
	post->calls++;
	if (post->failing > 0 && post->calls >= post->failing &&
	    post->calls - post->failing <= post->failing_for)
		return post->error;
	while (taken < count && (post->at_most == 0 || taken < post->at_most)) {
		const struct fake_message message = fake_message_read(&messages[taken].msg_hdr);
		int error = refusal(&message);

		if (error < 0)
			return taken > 0 ? (int)taken : error;
		take(&messages[taken].msg_hdr, &message);
		messages[taken++].msg_len = (unsigned)message.length;
	}
	return (int)taken;
}

const struct sys post_table = {.sendmmsg = call_sendmmsg};

void post_open(struct post *of)
{
	memset(of, 0, sizeof(*of));
	post = of;
}

void post_close(struct post *of)
{
	for (unsigned i = 0; i < of->datagram_count; i++)
		free(of->datagrams[i].bytes);
	post = NULL;
}
