/* SPDX-License-Identifier: MIT */
/* The way of a packet that has become one of the other leg. */
#ifndef MMPROXY_OFFLOAD_BPF_SEND_H
#define MMPROXY_OFFLOAD_BPF_SEND_H

#include <linux/pkt_cls.h>

#include "packet.h"

INLINE int send_on(struct __sk_buff *skb, const struct offload_change *change)
{
	const __u8 nobody[ETH_ALEN] = {};

	switch (change->way) {
	case OFFLOAD_TO_LOOPBACK:
		/* With the interface's own address lo would take it for somebody else's. */
		if (bpf_skb_store_bytes(skb, 0, nobody, ETH_ALEN, 0) != 0)
			return TC_ACT_SHOT;
		return bpf_redirect(change->interface, BPF_F_INGRESS);
	case OFFLOAD_TO_NEIGHBOUR:
		return bpf_redirect_neigh(change->interface, NULL, 0, 0);
	default:
		return TC_ACT_UNSPEC;
	}
}

#endif
