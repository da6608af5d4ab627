/* SPDX-License-Identifier: MIT */
/*
 * A message on its way into a fake kernel: what a struct msghdr of sendmmsg() says, read as Linux
 * would. Aborts where a sound program would not have written such a thing.
 */
#ifndef MMPROXY_TESTS_FAKE_MESSAGE_H
#define MMPROXY_TESTS_FAKE_MESSAGE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct fake_message {
	struct sockaddr_in6 name; /* as far as name_length goes */
	socklen_t name_length;    /* 0: none */
	size_t parts;
	size_t length;
	size_t segment; /* UDP_SEGMENT; 0: none */
	bool has_local4, has_local6;
	struct in_pktinfo local4;
	struct in6_pktinfo local6;
	unsigned datagrams;
};

struct fake_message fake_message_read(const struct msghdr *header);

/* 0, or the error that Linux has for any message of this size. */
int fake_message_verdict(const struct fake_message *message);

/* The bytes of all parts, on the heap; never NULL. */
uint8_t *fake_message_bytes(const struct msghdr *header, const struct fake_message *message);

/* Of the datagram at this offset. */
size_t fake_message_cut(const struct fake_message *message, size_t offset);

#endif
