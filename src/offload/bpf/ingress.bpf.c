/* SPDX-License-Identifier: MIT */
/*
 * What stands at the interfaces: each of their packets passes it. Who writes into packets has the
 * kernel make sure, before anything else, that they are its own: this one writes nothing, so that
 * it is done once, by the one that it goes on to. It calls no functions: with those in it, older
 * kernels would not let it go on to another program.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "offload/layout.h"

/* Whoever loads all of this puts offload_tcp and offload_udp here. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, OFFLOAD_NEXT_COUNT);
	__type(key, __u32);
	__type(value, __u32);
} offload_next SEC(".maps");

static __always_inline const void *header(const struct __sk_buff *skb, __u32 size)
{
	const void *bytes = (void *)(long)skb->data + ETH_HLEN;

	return bytes + size <= (void *)(long)skb->data_end ? bytes : NULL;
}

/* What has not even its IP header at hand is TCP's, which fetches it. */
static __always_inline int is_udp(const struct __sk_buff *skb)
{
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip = header(skb, sizeof(*ip));

		return ip != NULL && ip->protocol == IPPROTO_UDP;
	}
	if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip = header(skb, sizeof(*ip));

		return ip != NULL && ip->nexthdr == IPPROTO_UDP;
	}
	return 0;
}

SEC("tc")
int offload_ingress(struct __sk_buff *skb)
{
	/* Static: to a constant the kernel jumps. */
	if (is_udp(skb))
		bpf_tail_call_static(skb, &offload_next, OFFLOAD_NEXT_UDP);
	else
		bpf_tail_call_static(skb, &offload_next, OFFLOAD_NEXT_TCP);
	return TC_ACT_UNSPEC;
}

/* Some helpers are only for programs that say so. */
char LICENSE[] SEC("license") = "Dual MIT/GPL";
