/* SPDX-License-Identifier: MIT */
/*
 * An operating system that does nothing, behind struct sys: what waits is there at once, what is
 * sent is taken, and each call costs the same few instructions. What is counted beside it is the
 * relay's own work.
 *
 * It has one descriptor of each kind, which is used again and again. A call that no step makes is
 * missing from the table.
 */
#ifndef MMPROXY_BENCH_NULL_SYS_H
#define MMPROXY_BENCH_NULL_SYS_H

#include <stddef.h>
#include <stdint.h>

#include "os/sys.h"

struct address;

enum null_fd {
	NULL_LISTENER, /* of TCP or of UDP, where the balancer's datagrams arrive */
	NULL_CLIENT,   /* the connection that is accepted */
	NULL_UPSTREAM, /* the socket that is dialled */
	NULL_PIPE_READ,
	NULL_PIPE_WRITE,
	NULL_FD_COUNT,
};

extern const struct sys null_table;

/* `balancer`: who connects, and sends datagrams. IPv4. */
void null_init(const struct address *balancer);

/* A connection waits to be accepted. */
void null_connect(void);
/* Bytes wait to be read, by one call, or as many datagrams as `count` says. They stay the caller's.
 */
void null_receive(enum null_fd fd, const void *bytes, size_t length);
void null_receive_datagrams(enum null_fd fd, const void *bytes, size_t length, unsigned count);
/* The peer has finished sending. */
void null_finish(enum null_fd fd);

/* System calls so far. The clock is none: the kernel lets it be read without. */
uint64_t null_calls(void);

/* Tells whoever watches the descriptor, as epoll would. */
void null_report(enum null_fd fd, uint32_t events);

#endif
