/* SPDX-License-Identifier: MIT */
/* The fake's sockets, as its table of calls sees them. */
#ifndef MMPROXY_TESTS_FAKE_SOCKET_H
#define MMPROXY_TESTS_FAKE_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct fake_bytes;
struct fake_socket;
struct fake_sys;
struct tcp_info;
struct tcp_position;

int fake_take_fd(struct fake_sys *fake);
void fake_bytes_append(struct fake_bytes *to, const void *bytes, size_t length);

struct fake_socket *fake_socket_create(struct fake_sys *fake);

/* What epoll would find; the events that are asked for are the caller's concern. */
uint32_t fake_socket_poll(struct fake_socket *socket);
/* Marks it to be looked at, if `key` (EPOLL* bits; 0: anything) is what the watcher waits for. */
void fake_socket_wake(struct fake_socket *socket, uint32_t key);
void fake_socket_unwatch(struct fake_socket *socket);

/* recv(), or a splice into a pipe, which urgent data stops. */
ssize_t fake_socket_read(struct fake_socket *socket, void *bytes, size_t size, bool splice);
ssize_t fake_socket_write(struct fake_socket *socket, const void *bytes, size_t size);
int fake_socket_unsent(const struct fake_socket *socket);
int fake_socket_not_sent(const struct fake_socket *socket); /* not even once: there is no window */
ssize_t fake_socket_peek(const struct fake_socket *socket, void *bytes, size_t size);
void fake_socket_skip(struct fake_socket *socket, size_t size);
void fake_socket_position(const struct fake_socket *socket, struct tcp_position *position);
void fake_socket_abandon(struct fake_socket *socket);
/* What has been sent goes to the peer, and its acknowledgement comes back. */
void fake_socket_flush(struct fake_socket *socket);
int fake_socket_shutdown(struct fake_socket *socket);
void fake_socket_info(const struct fake_socket *socket, struct tcp_info *info);
void fake_socket_connect(struct fake_socket *socket, bool hold);
void fake_socket_close(struct fake_socket *socket);
void fake_socket_pass(struct fake_socket *socket); /* time has passed */

#endif
