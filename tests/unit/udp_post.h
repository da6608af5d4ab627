/* SPDX-License-Identifier: MIT */
/*
 * A post office behind sendmmsg(): takes messages as the kernel does, cuts up runs, keeps a copy of
 * each datagram, and refuses what it is told to. For tests of the sender alone.
 */
#ifndef MMPROXY_TESTS_UDP_POST_H
#define MMPROXY_TESTS_UDP_POST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fake_message.h"
#include "os/sys.h"

#define POST_FD            5
#define POST_MESSAGES_MAX  256
#define POST_DATAGRAMS_MAX 4096

struct post_datagram {
	uint8_t *bytes;
	size_t length;
};

struct post {
	unsigned calls;
	unsigned message_count;
	unsigned datagram_count;
	struct fake_message messages[POST_MESSAGES_MAX]; /* those that were taken, in order */
	struct post_datagram datagrams[POST_DATAGRAMS_MAX];

	/* What is refused: 0 is nothing. */
	size_t mtu;           /* a longer datagram is: EMSGSIZE */
	int run_error;        /* any run is */
	unsigned at_most;     /* messages taken in one call */
	unsigned failing;     /* this call, counted from 1, fails as a whole */
	unsigned failing_for; /* and so many after it */
	int error;
	/* Besides: an error for this message, 0 for none. May be NULL. */
	int (*fault)(struct post *post, const struct fake_message *message);
};

extern const struct sys post_table;

/* It becomes the one that the table works on. */
void post_open(struct post *post);
void post_close(struct post *post);

#endif
