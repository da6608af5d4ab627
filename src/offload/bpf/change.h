/* SPDX-License-Identifier: MIT */
/* Making a TCP segment of one leg one of the other, with its checksums. */
#ifndef MMPROXY_OFFLOAD_BPF_CHANGE_H
#define MMPROXY_OFFLOAD_BPF_CHANGE_H

#include "checksum.h"
#include "packet.h"
#include "segment.h"

#define TCP_SEQUENCE   __builtin_offsetof(struct tcphdr, seq)
#define TCP_CHECKSUM   __builtin_offsetof(struct tcphdr, check)
#define IPV6_ADDRESSES __builtin_offsetof(struct ipv6hdr, saddr)

INLINE __u32 changed_window(__u32 word, const struct offload_change *change, __u32 most)
{
	__u32 window = (word & 0xffff) << (change->window_left & 15);

	window = (window > most ? most : window) >> (change->window_right & 15);
	return (word & 0xffff0000) | (window > 0xffff ? 0xffff : window);
}

/*
 * One, or zero, to multiply with. The compiler is not to know, as it would make a branch of it, or
 * a mask, and the verifier would follow both ways of each.
 */
INLINE __u32 bit_of(__u32 bits, __u32 i)
{
	__u32 bit = bits >> i & 1;

	asm volatile("" : "+r"(bit));
	return bit;
}

/* As on the wire: the first word of TCP's header. */
INLINE __u32 ports_of(__u16 source, __u16 destination)
{
	return bpf_htonl((__u32)bpf_ntohs(source) << 16 | bpf_ntohs(destination));
}

/*
 * The header as the other leg's, but for its checksum. Options that are not understood become NOPs:
 * our own socket would have ignored them, and they may have numbers of this leg.
 */
INLINE void change_words(__u32 *words, const struct segment *segment,
			 const struct offload_change *change)
{
	words[0] = ports_of(change->tuple.source_port, change->tuple.destination_port);
	words[1] = bpf_htonl(segment->sequence + change->sequence);
	words[2] = segment->words[2];
	if (segment->ack)
		words[2] = bpf_htonl(segment->acknowledgement + change->acknowledgement);
	words[3] = bpf_htonl(
		changed_window(bpf_ntohl(segment->words[3]), change, segment->window_most));
	words[4] = segment->words[4];
#pragma clang loop unroll(full)
	for (__u32 i = TCP_WORDS_MIN; i < TCP_WORDS; i++) {
		__u32 word = bpf_ntohl(segment->words[i]), unknown = bit_of(segment->unknown, i);

		word += change->timestamp * bit_of(segment->timestamps, i);
		word += change->timestamp_echo * bit_of(segment->echoes, i);
		word += change->acknowledgement * bit_of(segment->edges, i);
		words[i] = bpf_htonl(word * (1 - unknown) + WORD_NOPS * unknown);
	}
}

/* Returns by how much the sum of all has grown. */
INLINE __u64 change_plain_words(__u32 *words, const struct segment *segment,
				const struct offload_change *change)
{
	__u32 acknowledgement = segment->ack ? change->acknowledgement : 0;
	__u64 grown = 0;

	replace_word(&words[0], ports_of(change->tuple.source_port, change->tuple.destination_port),
		     &grown);
	replace_word(&words[1], bpf_htonl(segment->sequence + change->sequence), &grown);
	replace_word(&words[2], bpf_htonl(segment->acknowledgement + acknowledgement), &grown);
	replace_word(&words[3],
		     bpf_htonl(changed_window(bpf_ntohl(segment->words[3]), change,
					      segment->window_most)),
		     &grown);
	replace_word(&words[PLAIN_TIMESTAMP], bpf_htonl(segment->timestamp + change->timestamp),
		     &grown);
	replace_word(&words[PLAIN_ECHO],
		     bpf_htonl(bpf_ntohl(segment->words[PLAIN_ECHO]) + change->timestamp_echo),
		     &grown);
	return grown;
}

INLINE int change_plain_header(struct __sk_buff *skb, const struct packet *packet,
			       const struct segment *segment, const struct offload_change *change)
{
	__u32 *words = bytes_at(skb, packet->transport, TCP_WORDS_PLAIN * 4);

	if (words == NULL)
		return -1;
	return bpf_l4_csum_replace(skb, packet->transport + TCP_CHECKSUM, 0,
				   folded(change_plain_words(words, segment, change)), 0);
}

INLINE int change_any_header(struct __sk_buff *skb, const struct packet *packet,
			     struct segment *segment, const struct offload_change *change)
{
	__u32 words[TCP_WORDS + 1] = {};
	__u32 length = segment->header;
	__s64 difference;

	change_words(words, segment, change);
	asm volatile("" : "+r"(length));
	length &= 60;
	if (length < sizeof(struct tcphdr))
		return -1;
	difference = bpf_csum_diff(segment->words, length, words, length, 0);
	if (bpf_skb_store_bytes(skb, packet->transport, words, length, 0) != 0)
		return -1;
	return bpf_l4_csum_replace(skb, packet->transport + TCP_CHECKSUM, 0, difference, 0);
}

/* `difference`: of the addresses, which are in TCP's checksum as well. */
INLINE int change_ipv4(struct __sk_buff *skb, const struct offload_tuple *tuple, __s64 *difference)
{
	struct iphdr *ip = bytes_at(skb, ETH_HLEN, sizeof(*ip));
	__u64 grown = 0;

	if (ip == NULL)
		return -1;
	replace_word(&ip->saddr, tuple->source[3], &grown);
	replace_word(&ip->daddr, tuple->destination[3], &grown);
	ip->check = changed_checksum(ip->check, grown);
	*difference = folded(grown);
	return 0;
}

INLINE int change_ipv6(struct __sk_buff *skb, struct packet *packet,
		       const struct offload_tuple *tuple, __s64 *difference)
{
	__u32 after[8];

	__builtin_memcpy(after, tuple->source, sizeof(after));
	*difference = bpf_csum_diff(packet->tuple.source, sizeof(after), after, sizeof(after), 0);
	/*
	 * A card's sum of the whole packet stays right, as no IP checksum makes up for the
	 * addresses, but TCP's does: what BPF_F_PSEUDO_HDR takes from the sum, this flag has to
	 * add.
	 */
	return bpf_skb_store_bytes(skb, ETH_HLEN + IPV6_ADDRESSES, after, sizeof(after),
				   BPF_F_RECOMPUTE_CSUM);
}

/* 0; or -1, and the packet is not what it was. */
INLINE int change_segment(struct __sk_buff *skb, struct packet *packet, struct segment *segment,
			  const struct offload_change *change)
{
	__s64 difference;
	int error;

	error = segment->plain ? change_plain_header(skb, packet, segment, change)
			       : change_any_header(skb, packet, segment, change);
	if (error != 0)
		return -1;
	error = packet->ipv6 ? change_ipv6(skb, packet, &change->tuple, &difference)
			     : change_ipv4(skb, &change->tuple, &difference);
	if (error != 0)
		return error;
	return bpf_l4_csum_replace(skb, packet->transport + TCP_CHECKSUM, 0, difference,
				   BPF_F_PSEUDO_HDR);
}

#endif
