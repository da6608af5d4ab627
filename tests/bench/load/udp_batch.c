/* SPDX-License-Identifier: MIT */
/* UDP sockets of the tools, and receiving from them many datagrams at a time. */
#include "udp_batch.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Per socket. Enough for thousands of datagrams, each of which is charged with the kernel's own
 * bookkeeping besides.
 */
#define BUFFER_SIZE (32 * 1024 * 1024)

/*
 * Slots a power of two apart would all fall into the same few cache sets. Small datagrams take the
 * start of each slot alone.
 */
#define SLOT_SHIFT 1536

/* What recvmmsg() has changed in a slot is as it was. */
static void make_ready(struct batch *batch, unsigned i)
{
	batch->pieces[i].iov_len = batch->room;
	batch->messages[i].msg_hdr = (struct msghdr){
		.msg_name = &batch->names[i],
		.msg_namelen = sizeof(batch->names[i]),
		.msg_iov = &batch->pieces[i],
		.msg_iovlen = 1,
		.msg_control = &batch->controls[i],
		.msg_controllen = sizeof(batch->controls[i]),
	};
}

void batch_init(struct batch *batch, size_t room)
{
	size_t stride = (room + 63) / 64 * 64 + SLOT_SHIFT;

	batch->room = room;
	batch->used = 0;
	batch->bytes = calloc(BATCH_MAX, stride);
	if (batch->bytes == NULL)
		err(EXIT_FAILURE, "no memory");
	for (unsigned i = 0; i < BATCH_MAX; i++) {
		batch->pieces[i].iov_base = batch->bytes + i * stride;
		make_ready(batch, i);
	}
}

unsigned batch_receive(struct batch *batch, int fd, unsigned from, int flags)
{
	int count;

	for (unsigned i = from; i < batch->used; i++)
		make_ready(batch, i);
	count = recvmmsg(fd, batch->messages + from, BATCH_MAX - from, flags, NULL);
	batch->used = from + (count > 0 ? (unsigned)count : 0);
	if (count >= 0)
		return (unsigned)count;
	/* Any other error may be there for good, and waiting for the socket would spin on it. */
	if (errno != EAGAIN && errno != EINTR && !error_is_from_network(errno))
		err(EXIT_FAILURE, "recvmmsg");
	return 0;
}

bool error_is_from_network(int error)
{
	return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH;
}

/* Root may exceed what the system allows others. */
static void grow_buffer(int fd, int force, int plain)
{
	int size = BUFFER_SIZE;

	if (setsockopt(fd, SOL_SOCKET, force, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, plain, &size, sizeof(size));
}

int udp_open(const struct address *address)
{
	int domain = address->family == ADDRESS_IPV4 ? AF_INET : AF_INET6;
	int fd = socket(domain, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);

	if (fd >= 0) {
		grow_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
		grow_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
	}
	return fd;
}

void udp_bind(int fd, const struct address *address)
{
	char text[ADDRESS_TEXT_SIZE];
	struct sockaddr_storage name;
	socklen_t length = address_to_sockaddr(address, &name);

	if (bind(fd, (struct sockaddr *)&name, length) < 0)
		err(EXIT_FAILURE, "bind %s", address_format(address, text));
}
