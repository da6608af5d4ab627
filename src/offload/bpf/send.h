/* SPDX-License-Identifier: MIT */
/* The way of a packet that has become one of the other leg. */
#ifndef MMPROXY_OFFLOAD_BPF_SEND_H
#define MMPROXY_OFFLOAD_BPF_SEND_H

#include <linux/pkt_cls.h>

#include "packet.h"

/* `interface`: by which the other leg's packets come now. */
INLINE int send_on(struct __sk_buff *skb, __u8 way, __u32 interface)
{
	const __u8 nobody[ETH_ALEN] = {};

	switch (way) {
	case OFFLOAD_TO_LOOPBACK:
		/* With the interface's own address lo would take it for somebody else's. */
		if (bpf_skb_store_bytes(skb, 0, nobody, ETH_ALEN, 0) != 0)
			return TC_ACT_SHOT;
		return bpf_redirect(interface, BPF_F_INGRESS);
	case OFFLOAD_TO_NEIGHBOUR:
		/* What leads answers to lo must not lead them there now. */
		skb->mark = 0;
		return bpf_redirect_neigh(interface, NULL, 0, 0);
	default:
		return TC_ACT_UNSPEC;
	}
}

#endif
