/* SPDX-License-Identifier: MIT */
/*
 * A fake kernel datapath for UDP flows. It keeps what it is given, and passes nothing: what the
 * kernel would have passed, the test notes itself. Balancers are behind lo.
 */
#ifndef MMPROXY_TESTS_FAKE_UDP_DATAPATH_H
#define MMPROXY_TESTS_FAKE_UDP_DATAPATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "offload/udp_datapath.h"

#define FAKE_UDP_CARRIED_MAX 16

/* The index of lo, by which a datagram has to come to be the fake's to pass. */
#define FAKE_UDP_LOOPBACK 1

/* A flow that it knows of. */
struct fake_udp_carried {
	bool used;
	bool has_places; /* its datagrams are the kernel's */
	uint64_t id;
	struct udp_places places;
	struct offload_udp_flow flow;
	struct offload_udp_record record;
};

struct fake_udp_datapath {
	struct datapath datapath;
	struct fake_udp_carried carried[FAKE_UDP_CARRIED_MAX];
};

void fake_udp_datapath_init(struct fake_udp_datapath *self);

/* NULL when there is none. */
struct fake_udp_carried *fake_udp_datapath_flow(struct fake_udp_datapath *self, uint64_t id);
/* One more, to be filled by the test. */
struct fake_udp_carried *fake_udp_datapath_place(struct fake_udp_datapath *self);
size_t fake_udp_datapath_count(const struct fake_udp_datapath *self);

#endif
