/* SPDX-License-Identifier: MIT */
/* Reading a UDP datagram from a packet. */
#ifndef MMPROXY_OFFLOAD_BPF_DATAGRAM_H
#define MMPROXY_OFFLOAD_BPF_DATAGRAM_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "offload/udp_layout.h"

#define INLINE static __always_inline

#define IPV4_FRAGMENT 0x3fff /* more of them, or not the first */
#define VLAN_NUMBER   0x0fff

/* What has to be linear: as far as the addresses of a v2 header of IPv6 reach. */
#define HEADS_MAX (ETH_HLEN + sizeof(struct ipv6hdr) + sizeof(struct udphdr) + 52)

struct datagram {
	struct offload_udp_key key;
	__u32 transport; /* where in the packet the UDP header begins */
	__u32 payload;   /* bytes behind it, header included */
	__u8 ipv6;
	__u8 framing; /* enum offload_udp_framing, by what it begins with */
};

/*
 * A length of 1 to `size`, a power of two, such as it is; but now the verifier sees it. The
 * compiler, which may know it as well, must not take that away.
 */
INLINE __u32 bounded(__u32 length, __u32 size)
{
	length--;
	asm volatile("" : "+r"(length));
	length &= size - 1;
	return length + 1;
}

/* `length` bytes of the packet at `offset`, which is less than 128; or NULL. */
INLINE void *bytes_at(struct __sk_buff *skb, __u32 offset, __u32 length)
{
	void *bytes;

	/* The compiler may know that it is small, and drop what shows it to the verifier. */
	asm volatile("" : "+r"(offset));
	bytes = (void *)(long)skb->data + (offset & 127);
	return bytes + length <= (void *)(long)skb->data_end ? bytes : NULL;
}

/* The length that UDP's header tells: is there so much? */
INLINE int read_length(struct __sk_buff *skb, struct datagram *datagram, __u32 length)
{
	if (length < sizeof(struct udphdr) || skb->len < datagram->transport + length)
		return -1;
	datagram->payload = length - sizeof(struct udphdr);
	return 0;
}

INLINE int read_ipv4(struct __sk_buff *skb, struct datagram *datagram)
{
	const struct iphdr *ip = bytes_at(skb, ETH_HLEN, sizeof(*ip) + sizeof(struct udphdr));
	const struct udphdr *udp = (const void *)(ip + 1);
	struct offload_tuple *tuple = &datagram->key.tuple;

	if (ip == NULL || ip->protocol != IPPROTO_UDP || ip->ihl != 5 ||
	    (ip->frag_off & bpf_htons(IPV4_FRAGMENT)) != 0 ||
	    bpf_ntohs(ip->tot_len) != bpf_ntohs(udp->len) + sizeof(*ip))
		return -1;
	datagram->transport = ETH_HLEN + sizeof(*ip);
	tuple->source[2] = tuple->destination[2] = bpf_htonl(0xffff);
	tuple->source[3] = ip->saddr;
	tuple->destination[3] = ip->daddr;
	tuple->source_port = udp->source;
	tuple->destination_port = udp->dest;
	return read_length(skb, datagram, bpf_ntohs(udp->len));
}

INLINE int read_ipv6(struct __sk_buff *skb, struct datagram *datagram)
{
	const struct ipv6hdr *ip = bytes_at(skb, ETH_HLEN, sizeof(*ip) + sizeof(struct udphdr));
	const struct udphdr *udp = (const void *)(ip + 1);
	struct offload_tuple *tuple = &datagram->key.tuple;

	/* Fragments have a header of their own in between. */
	if (ip == NULL || ip->nexthdr != IPPROTO_UDP || ip->payload_len != udp->len)
		return -1;
	datagram->transport = ETH_HLEN + sizeof(*ip);
	datagram->ipv6 = 1;
	__builtin_memcpy(tuple->source, &ip->saddr, 16);
	__builtin_memcpy(tuple->destination, &ip->daddr, 16);
	tuple->source_port = udp->source;
	tuple->destination_port = udp->dest;
	return read_length(skb, datagram, bpf_ntohs(udp->len));
}

/* Who speaks to whom? -1 for what is no datagram, is in pieces, or is not what it says it is. */
INLINE int read_datagram(struct __sk_buff *skb, struct datagram *datagram)
{
	int error = -1;

	/* Those of a VLAN are seen once more, at the VLAN's own interface; of number 0 there is
	 * none. */
	if (skb->pkt_type != PACKET_HOST ||
	    (skb->vlan_present && (skb->vlan_tci & VLAN_NUMBER) != 0))
		return -1;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		error = read_ipv4(skb, datagram);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		error = read_ipv6(skb, datagram);
	return error;
}

#define V2_SIGNATURE_0 0x0d0a0d0a
#define V2_SIGNATURE_1 0x000d0a51
#define V2_SIGNATURE_2 0x5549540a
#define V2_PROXY_UDP4  0x2112 /* version, command, family, transport */
#define V2_PROXY_UDP6  0x2122
#define SPP_MAGIC      0x56ec

INLINE int read_v2_client(struct __sk_buff *skb, struct datagram *datagram, const __u32 *words)
{
	__u32 offset = datagram->transport + sizeof(struct udphdr) + 16;
	__u32 *client = datagram->key.client;
	const __u32 *block;

	switch (bpf_ntohl(words[3]) >> 16) {
	case V2_PROXY_UDP4:
		block = bytes_at(skb, offset, 12);
		if (block == NULL)
			return -1;
		client[2] = bpf_htonl(0xffff);
		client[3] = block[0];
		datagram->key.client_port = *(const __u16 *)(block + 2);
		return 0;
	case V2_PROXY_UDP6:
		block = bytes_at(skb, offset, 36);
		if (block == NULL)
			return -1;
		__builtin_memcpy(client, block, 16);
		datagram->key.client_port = *(const __u16 *)(block + 8);
		return 0;
	default:
		return -1;
	}
}

INLINE int read_spp_client(struct __sk_buff *skb, struct datagram *datagram)
{
	const __u16 *header =
		bytes_at(skb, datagram->transport + sizeof(struct udphdr), OFFLOAD_UDP_SPP_LENGTH);

	if (header == NULL)
		return -1;
	__builtin_memcpy(datagram->key.client, header + 1, 16);
	datagram->key.client_port = header[17];
	return 0;
}

/*
 * The client that the header names, if there is one. -1: there is the beginning of a header that
 * only the daemon can judge.
 */
INLINE int read_client(struct __sk_buff *skb, struct datagram *datagram)
{
	__u32 offset = datagram->transport + sizeof(struct udphdr);
	const __u32 *words = bytes_at(skb, offset, 16);

	datagram->framing = OFFLOAD_UDP_BARE;
	if (words == NULL)
		return 0;
	if (words[0] == bpf_htonl(V2_SIGNATURE_0) && words[1] == bpf_htonl(V2_SIGNATURE_1) &&
	    words[2] == bpf_htonl(V2_SIGNATURE_2)) {
		datagram->framing = OFFLOAD_UDP_EVERY;
		return read_v2_client(skb, datagram, words);
	}
	if (*(const __u16 *)words == bpf_htons(SPP_MAGIC) && read_spp_client(skb, datagram) == 0)
		datagram->framing = OFFLOAD_UDP_SPP;
	return 0;
}

#endif
