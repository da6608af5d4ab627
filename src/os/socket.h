/* SPDX-License-Identifier: MIT */
/* Socket options that accepted and dialled connections share. */
#ifndef MMPROXY_OS_SOCKET_H
#define MMPROXY_OS_SOCKET_H

#include <stdint.h>

struct sys;

/*
 * TCP_NODELAY, keepalive and TCP_USER_TIMEOUT, in milliseconds, 0 for none. On a listening socket
 * they pass to what it accepts. Best effort: a connection without them still works.
 */
void socket_set_liveness(const struct sys *sys, int fd, uint32_t user_timeout, uint32_t keepalive);

/*
 * Has a connection receive no more than `size` bytes that are not read yet, and the kernel no
 * longer adapt that to the traffic; and the end of it. Best effort, as above.
 */
void socket_fix_receive_buffer(const struct sys *sys, int fd, int size);
void socket_free_receive_buffer(const struct sys *sys, int fd);

#endif
