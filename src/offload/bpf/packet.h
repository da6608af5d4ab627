/* SPDX-License-Identifier: MIT */
/* Reading a packet up to where TCP or ICMP begins. */
#ifndef MMPROXY_OFFLOAD_BPF_PACKET_H
#define MMPROXY_OFFLOAD_BPF_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "offload/layout.h"

#define INLINE   static __always_inline
#define NOINLINE __attribute__((noinline))

#define IPV4_OFFSET   0x1fff /* in a packet's fragment field: where it was in the whole, */
#define IPV4_FRAGMENT 0x3fff /* the same, or more are to come */
#define IPV6_OFFSET   0xfff8
#define VLAN_NUMBER   0x0fff
#define JUMBO_LENGTH  0xc2 /* the option of IPv6 for packets of 64 KiB and more */

struct packet {
	struct offload_tuple tuple; /* with ports where it is TCP */
	__u32 transport;            /* where TCP or ICMP begins, */
	__u32 payload;              /* and how many bytes it has, with its header */
	__u8 protocol;              /* IPPROTO_TCP, IPPROTO_ICMP or IPPROTO_ICMPV6 */
	__u8 ipv6;
	__u8 fragment; /* the first; there are more */
};

/*
 * `length` bytes of the packet at `offset`, or NULL. What earlier calls have returned must not be
 * used any more: some network cards leave all but the first bytes elsewhere, and they move.
 */
INLINE void *bytes_at(struct __sk_buff *skb, __u32 offset, __u32 length)
{
	void *bytes;

	/* The compiler may know that it is small, and drop what shows it to the verifier. */
	asm volatile("" : "+r"(offset));
	offset &= 127;
	bytes = (void *)(long)skb->data + offset;
	if (bytes + length <= (void *)(long)skb->data_end)
		return bytes;
	if (bpf_skb_pull_data(skb, offset + length) != 0)
		return NULL;
	bytes = (void *)(long)skb->data + offset;
	return bytes + length <= (void *)(long)skb->data_end ? bytes : NULL;
}

/* Several segments in one packet may be more than its field for the length can say. */
INLINE __u32 length_of_segments(const struct __sk_buff *skb, __u32 header)
{
	return skb->gso_size != 0 ? skb->len - ETH_HLEN - header : 0;
}

INLINE int read_ipv4(struct __sk_buff *skb, struct packet *packet)
{
	const struct iphdr *ip = bytes_at(skb, ETH_HLEN, sizeof(*ip));
	__u32 header, length;

	if (ip == NULL || (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_ICMP))
		return -1;
	header = ip->ihl * 4;
	length = bpf_ntohs(ip->tot_len);
	if (length == 0)
		length = length_of_segments(skb, 0);
	if (header < sizeof(*ip) || length < header || length > skb->len - ETH_HLEN)
		return -1;
	/* Only the first has ports. */
	if ((ip->frag_off & bpf_htons(IPV4_OFFSET)) != 0)
		return -1;
	packet->fragment = (ip->frag_off & bpf_htons(IPV4_FRAGMENT)) != 0;
	packet->protocol = ip->protocol;
	packet->transport = ETH_HLEN + header;
	packet->payload = length - header;
	packet->tuple.source[2] = packet->tuple.destination[2] = bpf_htonl(0xffff);
	packet->tuple.source[3] = ip->saddr;
	packet->tuple.destination[3] = ip->daddr;
	return 0;
}

/* What may stand between the addresses and TCP. Eight bytes each, of which the first names the
 * next. */
INLINE int read_extension(struct __sk_buff *skb, struct packet *packet)
{
	const __u8 *bytes = bytes_at(skb, packet->transport, 8);

	if (bytes == NULL || bytes[0] != IPPROTO_TCP)
		return -1;
	if (packet->protocol == IPPROTO_HOPOPTS) {
		if (bytes[1] != 0 || bytes[2] != JUMBO_LENGTH)
			return -1;
		packet->payload = length_of_segments(skb, sizeof(struct ipv6hdr));
	} else {
		if ((bpf_htons(IPV6_OFFSET) & *(const __be16 *)(bytes + 2)) != 0)
			return -1;
		packet->fragment = 1;
	}
	if (packet->payload < 8)
		return -1;
	packet->protocol = IPPROTO_TCP;
	packet->transport += 8;
	packet->payload -= 8;
	return 0;
}

INLINE int read_ipv6(struct __sk_buff *skb, struct packet *packet)
{
	const struct ipv6hdr *ip = bytes_at(skb, ETH_HLEN, sizeof(*ip));
	__u32 length;

	if (ip == NULL)
		return -1;
	packet->ipv6 = 1;
	packet->protocol = ip->nexthdr;
	packet->transport = ETH_HLEN + sizeof(*ip);
	length = bpf_ntohs(ip->payload_len);
	if (length == 0)
		length = length_of_segments(skb, sizeof(*ip));
	if (length > skb->len - packet->transport)
		return -1;
	packet->payload = length;
	__builtin_memcpy(packet->tuple.source, &ip->saddr, 16);
	__builtin_memcpy(packet->tuple.destination, &ip->daddr, 16);
	switch (packet->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_ICMPV6:
		return 0;
	case IPPROTO_HOPOPTS:
	case IPPROTO_FRAGMENT:
		return read_extension(skb, packet);
	default:
		return -1;
	}
}

INLINE int read_ports(struct __sk_buff *skb, struct packet *packet)
{
	const __u16 *ports = bytes_at(skb, packet->transport, 4);

	if (ports == NULL)
		return -1;
	packet->tuple.source_port = ports[0];
	packet->tuple.destination_port = ports[1];
	return 0;
}

/* `packet` is all zero. Returns -1 for what is neither TCP nor ICMP, or not for TCP to take. */
INLINE int read_packet(struct __sk_buff *skb, struct packet *packet)
{
	int error = -1;

	/* Those of a VLAN are seen once more, at the VLAN's own interface; of number 0 there is
	 * none. */
	if (skb->pkt_type != PACKET_HOST ||
	    (skb->vlan_present && (skb->vlan_tci & VLAN_NUMBER) != 0))
		return -1;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		error = read_ipv4(skb, packet);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		error = read_ipv6(skb, packet);
	if (error == 0 && packet->protocol == IPPROTO_TCP)
		error = read_ports(skb, packet);
	return error;
}

#endif
