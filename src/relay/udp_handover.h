/* SPDX-License-Identifier: MIT */
/* What the kernel has to know of a flow to carry it, and whether it can. */
#ifndef MMPROXY_RELAY_UDP_HANDOVER_H
#define MMPROXY_RELAY_UDP_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counter.h"
#include "offload/udp_datapath.h"

struct udp_flow;

struct udp_handover {
	struct udp_places places;
	struct offload_udp_flow flow;
	struct offload_udp_record record;
};

/*
 * `header` is what every datagram of the flow begins with; empty where only the first does. Returns
 * false when the flow must stay a relay, and the counter that says why.
 */
bool udp_handover_prepare(const struct udp_flow *flow, const uint8_t *header, size_t length,
			  struct udp_handover *handover, enum counter *stays);

#endif
