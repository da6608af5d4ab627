/* SPDX-License-Identifier: MIT */
/*
 * Replies of flows that the kernel carries, but leaves to us as they are: too large for the way to
 * the balancer, joined, or with a header to come in front that it has no room for. A worker has one
 * socket for them in each family.
 */
#ifndef MMPROXY_RELAY_UDP_SPILL_H
#define MMPROXY_RELAY_UDP_SPILL_H

#include <stdint.h>

#include "base/address.h"

struct relay;
struct udp_spill;

void udp_spill_destroy(struct udp_spill *spill); /* takes NULL */

/* The port on the family's loopback address, network order; or 0 with *error, and there is none. */
uint16_t udp_spill_port(struct relay *relay, enum address_family family, int *error);

#endif
