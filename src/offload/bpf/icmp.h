/* SPDX-License-Identifier: MIT */
/*
 * Messages of routers on the balancer's side that a packet was too big. We have sent it, with the
 * listener's address, but it was the upstream's, who is to send smaller ones: it gets the message,
 * about its own packet. Other errors are the stack's, which finds no socket for them.
 */
#ifndef MMPROXY_OFFLOAD_BPF_ICMP_H
#define MMPROXY_OFFLOAD_BPF_ICMP_H

#include <linux/pkt_cls.h>

#include "change.h"
#include "packet.h"
#include "send.h"
#include "session.h"

/* Of RFC 792, RFC 1191 and RFC 4443; <linux/icmp.h> takes the C library with it. */
#define ICMP_UNREACHABLE 3
#define ICMP_TOO_BIG     4 /* the code */
#define ICMPV6_TOO_BIG   2
#define ICMP_HEADER      8
#define ICMP_CHECKSUM    2 /* where in both it is */

#define IPV4_ADDRESSES __builtin_offsetof(struct iphdr, saddr)
#define IPV4_CHECKSUM  __builtin_offsetof(struct iphdr, check)

/* The packet that a message is about: its IP header and the eight bytes of TCP that are always
 * there. */
struct quote {
	__u32 offset; /* of its IP header in the message's packet */
	__u32 size;   /* of its IP header */
	struct {
		__u16 source_port, destination_port;
		__u32 sequence; /* as on the wire */
	} tcp;
	/* As it would arrive if it came from the other side. */
	struct offload_tuple tuple;
};

INLINE int read_quote_ipv4(struct __sk_buff *skb, struct quote *quote)
{
	const __u32 start = ETH_HLEN + sizeof(struct iphdr);
	const __u8 *icmp;
	const struct iphdr *ip = bytes_at(skb, ETH_HLEN, sizeof(*ip));

	if (ip == NULL || ip->ihl != 5)
		return -1;
	icmp = bytes_at(skb, start, ICMP_HEADER + sizeof(*ip) + sizeof(quote->tcp));
	if (icmp == NULL || icmp[0] != ICMP_UNREACHABLE || icmp[1] != ICMP_TOO_BIG)
		return -1;
	ip = (const struct iphdr *)(icmp + ICMP_HEADER);
	if (ip->ihl != 5 || ip->protocol != IPPROTO_TCP ||
	    (ip->frag_off & bpf_htons(IPV4_FRAGMENT)) != 0)
		return -1;
	quote->offset = start + ICMP_HEADER;
	quote->size = sizeof(*ip);
	quote->tuple.source[2] = quote->tuple.destination[2] = bpf_htonl(0xffff);
	quote->tuple.source[3] = ip->daddr;
	quote->tuple.destination[3] = ip->saddr;
	__builtin_memcpy(&quote->tcp, ip + 1, sizeof(quote->tcp));
	return 0;
}

INLINE int read_quote_ipv6(struct __sk_buff *skb, struct quote *quote)
{
	const __u32 start = ETH_HLEN + sizeof(struct ipv6hdr);
	const __u8 *icmp;
	const struct ipv6hdr *ip;

	icmp = bytes_at(skb, start, ICMP_HEADER + sizeof(*ip) + sizeof(quote->tcp));
	if (icmp == NULL || icmp[0] != ICMPV6_TOO_BIG)
		return -1;
	ip = (const struct ipv6hdr *)(icmp + ICMP_HEADER);
	if (ip->nexthdr != IPPROTO_TCP)
		return -1;
	quote->offset = start + ICMP_HEADER;
	quote->size = sizeof(*ip);
	__builtin_memcpy(quote->tuple.source, &ip->daddr, 16);
	__builtin_memcpy(quote->tuple.destination, &ip->saddr, 16);
	__builtin_memcpy(&quote->tcp, ip + 1, sizeof(quote->tcp));
	return 0;
}

/* Is it of a packet that the upstream has sent, and that is still on its way? */
INLINE int is_on_its_way(struct session *session, __u32 sequence)
{
	const struct place place = place_of(session, OFFLOAD_UPSTREAM);
	int is;

	bpf_spin_lock(&session->lock);
	/* What our socket has sent it sends again itself, as long as there is one. */
	is = session->state == OFFLOAD_MOVED && !is_after(place.other->acked, sequence) &&
	     !is_after(place.other_base->sent, sequence) &&
	     is_after(place.leg->end + place.base->change.sequence, sequence);
	bpf_spin_unlock(&session->lock);
	return is;
}

/* The eight bytes of TCP as the upstream has sent them. */
INLINE int change_quoted_tcp(struct __sk_buff *skb, struct quote *quote,
			     const struct offload_change *change)
{
	__u32 after[2] = {
		ports_of(change->tuple.destination_port, change->tuple.source_port),
		bpf_htonl(bpf_ntohl(quote->tcp.sequence) + change->acknowledgement),
	};
	__s64 difference =
		bpf_csum_diff((__be32 *)&quote->tcp, sizeof(after), after, sizeof(after), 0);

	if (bpf_skb_store_bytes(skb, quote->offset + quote->size, after, sizeof(after), 0) != 0)
		return -1;
	return bpf_l4_csum_replace(skb, quote->offset - ICMP_HEADER + ICMP_CHECKSUM, 0, difference,
				   0);
}

/* The quoted header's own checksum makes up for its addresses: the message's stays right. */
INLINE int change_message_ipv4(struct __sk_buff *skb, const struct quote *quote,
			       const struct offload_tuple *tuple)
{
	const __u32 address = ETH_HLEN + __builtin_offsetof(struct iphdr, daddr);
	__u32 before[2] = {quote->tuple.destination[3], quote->tuple.source[3]};
	__u32 after[2] = {tuple->destination[3], tuple->source[3]};
	__u32 receiver;
	__s64 difference = bpf_csum_diff(before, sizeof(before), after, sizeof(after), 0);

	if (bpf_skb_store_bytes(skb, quote->offset + IPV4_ADDRESSES, after, sizeof(after), 0) !=
		    0 ||
	    bpf_l3_csum_replace(skb, quote->offset + IPV4_CHECKSUM, 0, difference, 0) != 0 ||
	    bpf_skb_load_bytes(skb, address, &receiver, sizeof(receiver)) != 0)
		return -1;
	difference = bpf_csum_diff(&receiver, sizeof(receiver), after, sizeof(receiver), 0);
	if (bpf_skb_store_bytes(skb, address, after, sizeof(receiver), 0) != 0)
		return -1;
	return bpf_l3_csum_replace(skb, ETH_HLEN + IPV4_CHECKSUM, 0, difference, 0);
}

INLINE int change_message_ipv6(struct __sk_buff *skb, const struct quote *quote,
			       const struct offload_tuple *tuple)
{
	const __u32 address = ETH_HLEN + __builtin_offsetof(struct ipv6hdr, daddr);
	const __u32 checksum = quote->offset - ICMP_HEADER + ICMP_CHECKSUM;
	__u32 before[8], after[8];
	__s64 difference;

	__builtin_memcpy(before, quote->tuple.destination, 16);
	__builtin_memcpy(before + 4, quote->tuple.source, 16);
	__builtin_memcpy(after, tuple->destination, 16);
	__builtin_memcpy(after + 4, tuple->source, 16);
	difference = bpf_csum_diff(before, sizeof(before), after, sizeof(after), 0);
	if (bpf_skb_store_bytes(skb, quote->offset + IPV6_ADDRESSES, after, sizeof(after), 0) !=
		    0 ||
	    bpf_l4_csum_replace(skb, checksum, 0, difference, 0) != 0 ||
	    bpf_skb_load_bytes(skb, address, before, 16) != 0)
		return -1;
	difference = bpf_csum_diff(before, 16, after, 16, 0);
	if (bpf_skb_store_bytes(skb, address, after, 16, BPF_F_RECOMPUTE_CSUM) != 0)
		return -1;
	return bpf_l4_csum_replace(skb, checksum, 0, difference, BPF_F_PSEUDO_HDR);
}

/* Not inline: TCP has no use for its registers and its code. */
static NOINLINE int icmp_arrived(struct __sk_buff *skb, int ipv6)
{
	const struct offload_change *change;
	struct offload_place *place;
	struct session *session;
	struct quote quote = {};
	int error;

	if ((ipv6 ? read_quote_ipv6(skb, &quote) : read_quote_ipv4(skb, &quote)) != 0)
		return TC_ACT_UNSPEC;
	quote.tuple.source_port = quote.tcp.destination_port;
	quote.tuple.destination_port = quote.tcp.source_port;
	place = bpf_map_lookup_elem(&offload_places, &quote.tuple);
	if (place == NULL || place->leg != OFFLOAD_BALANCER)
		return TC_ACT_UNSPEC;
	session = bpf_map_lookup_elem(&offload_sessions, &place->session);
	if (session == NULL || !is_on_its_way(session, bpf_ntohl(quote.tcp.sequence)))
		return TC_ACT_UNSPEC;
	change = &session->bases[OFFLOAD_BALANCER].change;
	error = change_quoted_tcp(skb, &quote, change);
	if (error == 0)
		error = ipv6 ? change_message_ipv6(skb, &quote, &change->tuple)
			     : change_message_ipv4(skb, &quote, &change->tuple);
	return error == 0 ? send_on(skb, change->way, session->bases[OFFLOAD_UPSTREAM].interface)
			  : TC_ACT_SHOT;
}

#endif
