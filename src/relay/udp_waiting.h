/* SPDX-License-Identifier: MIT */
/*
 * Datagrams of a flow whose verdict is awaited: a short queue, since a client that gets no answer
 * sends again.
 */
#ifndef MMPROXY_RELAY_UDP_WAITING_H
#define MMPROXY_RELAY_UDP_WAITING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of one flow: datagrams, and their bytes together: the largest there is fits. */
#define UDP_WAITING_DATAGRAMS 16
#define UDP_WAITING_BYTES     65536

struct udp_waiting {
	unsigned count;
	size_t length; /* of `bytes` */
	uint8_t *bytes;
	uint16_t lengths[UDP_WAITING_DATAGRAMS];
};

struct udp_waiting *udp_waiting_create(void);          /* NULL when out of memory */
void udp_waiting_destroy(struct udp_waiting *waiting); /* takes NULL */

/* Copies the datagram. False: there is no room for it. */
bool udp_waiting_add(struct udp_waiting *waiting, const uint8_t *bytes, size_t length);

#endif
