/* SPDX-License-Identifier: MIT */
/*
 * The operating system as the relay sees it: one small table of calls. Tests put another table in
 * its place, to drive the session machine without sockets and to make any call fail.
 *
 * Descriptors are non-blocking. A call returns what its system call does, or -errno.
 */
#ifndef MMPROXY_OS_SYS_H
#define MMPROXY_OS_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct mmsghdr;
struct tcp_info;

/* Where a TCP connection stands, in sequence numbers and the ticks of its timestamps. */
struct tcp_position {
	uint32_t sent;     /* behind the last byte that was written */
	uint32_t received; /* the one that is expected next */
	uint32_t edge;     /* behind the last one that the peer may send */
	uint32_t timestamp;
	uint32_t segment; /* the largest that the peer takes, with its options */
};

struct sys {
	int (*socket)(int domain, int type); /* SOCK_STREAM or SOCK_DGRAM; close-on-exec */
	int (*accept)(int fd, struct sockaddr_storage *peer);
	int (*bind)(int fd, const struct sockaddr_storage *address, socklen_t length);
	int (*connect)(int fd, const struct sockaddr_storage *address, socklen_t length);
	int (*set_option)(int fd, int level, int name, int value);
	int (*socket_error)(int fd); /* SO_ERROR as -errno, 0 for none */
	int (*local_address)(int fd, struct sockaddr_storage *address);
	int (*path_mtu)(int fd); /* of a connected datagram socket: bytes of an IP packet */
	int (*tcp_info)(int fd, struct tcp_info *info);
	ssize_t (*recv)(int fd, void *bytes, size_t size);
	ssize_t (*send)(int fd, const void *bytes, size_t size);
	/* Several datagrams at once: how many, or -errno when not even one. */
	int (*recvmmsg)(int fd, struct mmsghdr *messages, unsigned count);
	int (*sendmmsg)(int fd, struct mmsghdr *messages, unsigned count);
	uint32_t (*dropped)(int fd); /* datagrams that found the receive queue full; 0: unknown */
	ssize_t (*splice)(int from, int to, size_t size);
	int (*pipe)(int fds[2], int size); /* asks for `size` bytes; returns what the pipe has */
	int (*unsent)(int fd);   /* bytes in the socket that the peer has not acknowledged */
	int (*unread)(int fd);   /* bytes that the socket has received */
	int (*not_sent)(int fd); /* bytes in it that have not been sent even once */
	ssize_t (*peek)(int fd, void *bytes, size_t size); /* reads, and leaves it there */
	void (*skip)(int fd, size_t size);                 /* reads into nothing */
	uint16_t (*segment_size)(int fd);                  /* what TCP sends at most; 0: unknown */
	int (*tcp_position)(int fd, struct tcp_position *position);
	void (*abandon)(int fd); /* closes without a word to the peer, who goes on */
	int (*shutdown_write)(int fd);
	int (*reset_on_close)(int fd); /* SO_LINGER with zero: close() sends RST */
	void (*close)(int fd);
	/* epoll: `modify` for a descriptor that is watched already. */
	int (*watch)(int epoll, int fd, uint32_t events, void *source, bool modify);
	void (*unwatch)(int epoll, int fd);
	/* CLOCK_MONOTONIC in microseconds: for what is shorter than a round of the loop. */
	uint64_t (*clock)(void);
};

extern const struct sys sys_linux;

#endif
