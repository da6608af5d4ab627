/* SPDX-License-Identifier: MIT */
/* Reading a TCP segment from a packet. */
#ifndef MMPROXY_OFFLOAD_BPF_SEGMENT_H
#define MMPROXY_OFFLOAD_BPF_SEGMENT_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "offload/layout.h"

#define INLINE static __always_inline

/* The header in 32-bit words, of which the first five are no options. */
#define TCP_WORDS     15
#define TCP_WORDS_MIN 5

/* Words with which options begin, as everybody sends them: two NOPs, kind, length. */
#define WORD_TIMESTAMP 0x0101080a
#define WORD_SACK      0x01010500 /* and the length */
#define WORD_NOPS      0x01010101
#define WORD_END       0

#define SACK_EDGES_MAX 8

#define IPV4_FRAGMENT 0x3fff /* more of them, or not the first */

struct segment {
	struct offload_tuple tuple;
	__u32 transport;        /* where in the packet the TCP header begins, */
	__u32 header;           /* how long it is, */
	__u32 payload;          /* and what is behind it, in bytes */
	__u32 words[TCP_WORDS]; /* the header as it is */
	__u32 sequence, acknowledgement;
	__u32 timestamp;
	/* A bit for each word that is a timestamp, its echo, or the edge of a block. */
	__u16 timestamps, echoes, edges;
	__u8 odd; /* there is something that cannot be carried over */
	__u8 ipv6;
	__u8 syn, ack, fin, rst;
};

/* `length` bytes of the packet at `offset`, or NULL. */
INLINE void *bytes_at(struct __sk_buff *skb, __u32 offset, __u32 length)
{
	void *bytes;

	/* The compiler may know that it is small, and drop what shows it to the verifier. */
	asm volatile("" : "+r"(offset));
	bytes = (void *)(long)skb->data + (offset & 127);
	return bytes + length <= (void *)(long)skb->data_end ? bytes : NULL;
}

INLINE int read_ipv4(struct __sk_buff *skb, struct segment *segment)
{
	const struct iphdr *ip = bytes_at(skb, ETH_HLEN, sizeof(*ip));

	if (ip == NULL || ip->protocol != IPPROTO_TCP || ip->ihl < 5)
		return -1;
	segment->transport = ETH_HLEN + ip->ihl * 4;
	segment->payload = bpf_ntohs(ip->tot_len) - ip->ihl * 4;
	segment->tuple.source[2] = segment->tuple.destination[2] = bpf_htonl(0xffff);
	segment->tuple.source[3] = ip->saddr;
	segment->tuple.destination[3] = ip->daddr;
	segment->odd = (ip->frag_off & bpf_htons(IPV4_FRAGMENT)) != 0;
	return 0;
}

INLINE int read_ipv6(struct __sk_buff *skb, struct segment *segment)
{
	const struct ipv6hdr *ip = bytes_at(skb, ETH_HLEN, sizeof(*ip));
	__u32 length;

	if (ip == NULL || ip->nexthdr != IPPROTO_TCP)
		return -1;
	segment->ipv6 = 1;
	segment->transport = ETH_HLEN + sizeof(*ip);
	length = bpf_ntohs(ip->payload_len);
	/* Several segments in one packet may be more than the field can say. */
	segment->payload = length != 0 ? length : skb->len - segment->transport;
	__builtin_memcpy(segment->tuple.source, &ip->saddr, 16);
	__builtin_memcpy(segment->tuple.destination, &ip->daddr, 16);
	return 0;
}

/*
 * Who speaks to whom? The payload still has the header. Returns -1 for what is not TCP, and for
 * fragments but the first.
 */
INLINE int read_tuple(struct __sk_buff *skb, struct segment *segment)
{
	const struct tcphdr *tcp;
	int error = -1;

	/* Those of a VLAN are seen once more, at the VLAN's own interface. */
	if (skb->vlan_present)
		return -1;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		error = read_ipv4(skb, segment);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		error = read_ipv6(skb, segment);
	if (error != 0)
		return error;
	tcp = bytes_at(skb, segment->transport, sizeof(*tcp));
	if (tcp == NULL)
		return -1;
	segment->tuple.source_port = tcp->source;
	segment->tuple.destination_port = tcp->dest;
	return 0;
}

INLINE void read_options(struct segment *segment)
{
	__u32 skip = 0;

#pragma clang loop unroll(full)
	for (__u32 i = TCP_WORDS_MIN; i < TCP_WORDS; i++) {
		__u32 word = bpf_ntohl(segment->words[i]);
		__u32 edges = ((word & 0xff) - 2) / 4;

		if (i * 4 >= segment->header)
			break;
		if (skip > 0) {
			skip--;
		} else if (word == WORD_TIMESTAMP && i + 2 < TCP_WORDS) {
			segment->timestamps |= 1 << (i + 1);
			segment->echoes |= 1 << (i + 2);
			segment->timestamp = bpf_ntohl(segment->words[i + 1]);
			skip = 2;
		} else if ((word & ~0xffu) == WORD_SACK && edges <= SACK_EDGES_MAX) {
			segment->edges |= ((1 << edges) - 1) << (i + 1);
			skip = edges;
		} else if (word != WORD_NOPS && word != WORD_END && !segment->syn) {
			segment->odd = 1;
		}
	}
}

/* The rest. Returns -1 for what is no whole header. */
INLINE int read_segment(struct __sk_buff *skb, struct segment *segment)
{
	const struct tcphdr *tcp = bytes_at(skb, segment->transport, sizeof(*tcp));
	__u32 length;

	if (tcp == NULL)
		return -1;
	segment->syn = tcp->syn;
	segment->ack = tcp->ack;
	segment->fin = tcp->fin;
	segment->rst = tcp->rst;
	length = tcp->doff * 4;
	asm volatile("" : "+r"(length));
	length &= 63;
	if (length < sizeof(*tcp) || length > sizeof(segment->words) || length > segment->payload ||
	    bpf_skb_load_bytes(skb, segment->transport, segment->words, length) != 0)
		return -1;
	segment->header = length;
	segment->payload -= length;
	segment->sequence = bpf_ntohl(segment->words[1]);
	segment->acknowledgement = bpf_ntohl(segment->words[2]);
	read_options(segment);
	return 0;
}

#endif
